"""The seat of a lock: what a kind of store must be able to do for one run to have an output to itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from tilewise.errors import OutputError
from tilewise.owner import Owner

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

KEY = "lock.json"
"""Name of the lock, in the ledger's folder."""


class Seat(Protocol):
    """Where a lock stands or would stand."""

    def look(self) -> tuple[Owner, Any] | None:
        """Its owner, and a sign that changes with every heartbeat; None if it is free."""

    def turn(self) -> AbstractContextManager[None]:
        """Let one process at a time look and change, where the store itself does not decide."""

    def take(self, owner: Owner, found: tuple[Owner, Any] | None) -> bool:
        """Take it as it was found, free or left behind; False if it is no longer so."""

    def beat(self, owner: Owner) -> bool:
        """Give a sign of life; False if it is no longer the owner's."""

    def leave(self, owner: Owner) -> None:
        """Give it free, if it still is the owner's; what the lock alone had made goes with it."""


def read_owner(content: Any, place: str) -> Owner:
    """The owner that a lock names.

    Raises:
        OutputError: the lock is broken.
    """
    try:
        return Owner(**{name: value for name, value in content.items() if name != "beat"})
    except (AttributeError, TypeError) as error:
        raise broken(place) from error


def broken(place: str) -> OutputError:
    """A lock that cannot be read."""
    return OutputError(
        f"the lock {place} is broken", "a lock as tilewise writes it", "If no run is writing there, remove it."
    )
