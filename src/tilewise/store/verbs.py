"""The verbs of a store: all that tilewise asks of the place where an image lies or an output goes."""

from __future__ import annotations

from typing import Any, Literal, Protocol

Kind = Literal["nothing", "folder", "other"]
"""What stands at a place; other is a file, or an object of that very name."""


class Store(Protocol):
    """A folder, and what lies below it by keys: names with slashes between. Safe to use from many threads."""

    @property
    def place(self) -> str:
        """The folder's path or URL."""

    def below(self, key: str) -> Store:
        """A folder further down."""

    def kind(self) -> Kind:
        """What stands at the place itself."""

    def linked(self, key: str) -> bool:
        """True if a key is a link to somewhere else, as disks have them."""

    def read(self, key: str) -> bytes | None:
        """All bytes of an object; None if there is none."""

    def peek(self, key: str, count: int) -> tuple[bytes, int] | None:
        """The first bytes of an object, and how many it has in all; None if there is none."""

    def size(self, key: str) -> int | None:
        """How many bytes an object has; None if there is none."""

    def holds(self, *keys: str) -> bool:
        """True if at least one of some objects is there and may be seen."""

    def names(self, key: str = "") -> list[str]:
        """What lies directly below, objects and folders, sorted; nothing if there is no such folder."""

    def write(self, key: str, content: bytes) -> None:
        """Put an object there as a whole, in one step: others see the old one or the new one."""

    def remove(self, key: str) -> None:
        """Remove an object, or a folder and all below it; a link is removed, never followed."""

    def sweep(self) -> int:
        """Remove what writers that were killed left half written; says how many."""

    def check_writable(self) -> None:
        """Refuse a place that cannot be written, as far as can be told without writing."""

    def nodes(self, key: str = "", *, writable: bool = False) -> Any:
        """The folder as zarr takes it."""
