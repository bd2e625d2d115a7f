"""States of blocks, their totals, and why blocks failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from tilewise.record import folder_of, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping


State = Literal["pending", "done", "skipped", "failed"]
"""Of a block; its place in the list is what is stored."""

STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals over all blocks."""

    pending: int
    """Not done yet."""
    done: int
    """Written."""
    skipped: int
    """Left out on purpose."""
    failed: int
    """Failed for good in the last run that tried them."""
    executions: int
    """How often a block was begun, over all runs."""
    seconds: float
    """Sum of what the blocks took, in the last execution of each."""
    nan: int
    """Pixels that were not a number, over cores."""
    inf: int
    """Infinite pixels, over cores."""


def list_unready(*, failed: bool = True) -> list[int]:
    """Codes of the states of blocks that are still to be done."""
    return [STATES.index("pending")] + ([STATES.index("failed")] if failed else [])


def read_failures(path: str) -> dict[int, str]:
    """Numbers of failed blocks with their causes; none if there is no such file."""
    try:
        entries = read_json(folder_of(path), "failures.json")
        return {int(entry["block"]): str(entry["cause"]) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_failures(path: str, failures: Mapping[int, str]) -> None:
    """Replace what is stored; nothing is, as long as nothing fails."""
    folder, key = folder_of(path), "failures.json"
    if failures or folder.holds(key):
        write_json(folder, key, [{"block": number, "cause": cause} for number, cause in sorted(failures.items())])
