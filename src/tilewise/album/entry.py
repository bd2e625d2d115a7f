"""What is known of many images and of their outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tilewise.result import Result

State = Literal["pending", "running", "done", "failed", "stopped", "refused"]
"""Of an image: as a run's, or refused before anything of it was written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of many."""

    image: str
    """Where it is."""
    field: str | None
    """Its field, if it is one of a plate."""
    output: str
    """Where its result goes."""
    state: State = "pending"
    """What became of it."""
    cause: str | None = None
    """Why it was refused or failed as a whole."""
    result: Result | None = None
    """What its ledger says, if it was begun."""

    @property
    def name(self) -> str:
        """The output's name."""
        return self.output.rpartition("/")[2]

    def to_json(self) -> dict[str, Any]:
        """Its part of what ``--json`` prints: the keys of one run, and those of this record."""
        told = {} if self.result is None else self.result.to_json()
        own = {"image": self.image, "field": self.field, "output": self.output, "state": self.state}
        return {**told, **own, "cause": self.cause}


@dataclass(frozen=True, slots=True)
class Album:
    """How a run over many images came out, or how far it has come."""

    folder: str
    """Where the outputs are."""
    entries: tuple[Entry, ...]
    """The images, in the order in which they were named."""

    @property
    def failed(self) -> int:
        """Images that are not done."""
        return sum(entry.state != "done" for entry in self.entries)

    @property
    def left(self) -> str:
        """What did not go well, in words; empty if all did."""
        return f"{self.failed} of {len(self.entries)} images are not done" if self.failed else ""

    def to_json(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {"images": [entry.to_json() for entry in self.entries]}

    def __repr__(self) -> str:
        width = max([len(entry.name) for entry in self.entries], default=0)
        lines = [f"{self.folder}: {len(self.entries) - self.failed} of {len(self.entries)} images done"]
        return "\n".join(lines + [f"{entry.name:<{width}}  {show_entry(entry)}" for entry in self.entries])


def show_entry(entry: Entry) -> str:
    """What became of an image, in one line."""
    if entry.result is None:
        return entry.state + (f": {entry.cause}" if entry.cause else "")
    found = entry.result
    parts = [f"{found.done:,} of {found.blocks:,} blocks"]
    parts += [f"{found.skipped:,} skipped"] * bool(found.skipped) + [f"{found.failed:,} failed"] * bool(found.failed)
    return f"{entry.state}  {', '.join(parts)}, {found.seconds:.1f} s" + (f": {entry.cause}" if entry.cause else "")
