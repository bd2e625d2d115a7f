"""What is to be done next: blocks in order, and a shard of a coarser level as soon as what it stands on is done.

Nothing is listed that can be asked: a shard is ready when the ledgers say so of its parents, and one that a kill left
ready is found by walking over those that are pending. Blocks come in order, so few shards wait half ready.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tilewise.states import STATES, State
from tilewise.store import join

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilewise.ledger import Ledger
    from tilewise.pyramid import Rows

FOLDER = "tilewise/levels"
"""Where the ledger of the coarser levels lies, below the output: a ledger like that of the blocks, inside of theirs."""

READY: tuple[State, ...] = ("done", "skipped")
"""States of what can be stood on."""


@dataclass(slots=True)
class Ladder:
    """An iterator that may give more after it has given none: whoever marks something done may make another ready."""

    rows: Rows
    """The numbering of coarser shards."""
    blocks: Ledger
    """Of level 0."""
    levels: Ledger
    """Of all coarser levels."""
    _urgent: deque[int] = field(default_factory=deque)
    _taken: set[int] = field(default_factory=set)
    _found: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        self._invalidate()
        counts = self.blocks.counts()
        self._found = iter(self._left_ready() if counts.done + counts.skipped else ())

    def __iter__(self) -> Ladder:
        return self

    def __next__(self) -> int:
        """The row of a coarser shard that is ready."""
        if self._urgent:
            return self._urgent.popleft()
        row = next(self._found)
        self._taken.add(row)
        return row

    def rise(self, number: int) -> None:
        """A block is done or skipped: what stands on it may be ready."""
        for output, pyramid in enumerate(self.rows.pyramids):
            child = pyramid.child(0, number)
            if child is not None:
                self._look(output, 1, child)

    def mark(self, row: int, state: State, *, seconds: float, executions: int, cause: str | None = None) -> None:
        """Note what became of a shard; what stands on it may be ready."""
        self.levels.mark(row, state, seconds=seconds, executions=executions, cause=cause)
        self._taken.discard(row)
        if state in READY:
            self._climb(*self.rows.locate(row))

    def _climb(self, output: int, level: int, number: int) -> None:
        child = self.rows.pyramids[output].child(level, number)
        if child is not None:
            self._look(output, level + 1, child)

    def _look(self, output: int, level: int, number: int) -> None:
        """Hand a shard out if it waits for nothing; what stands on skipped ones alone is skipped, too."""
        row = self.rows.row(output, level, number)
        if row in self._taken or self.levels.state(row) in READY:
            return
        states = self._ready_below(output, level, number)
        if states == {"skipped"}:
            self.mark(row, "skipped", seconds=0.0, executions=0)
        elif states:
            self._taken.add(row)
            self._urgent.append(row)

    def _ready_below(self, output: int, level: int, number: int) -> set[State]:
        """States of the parents; nothing if one of them is not ready."""
        start = self.rows.row(output, level - 1, 0) if level > 1 else 0
        book, found = self.levels if level > 1 else self.blocks, set[State]()
        for parent in self.rows.pyramids[output].parents(level, number):
            state = book.state(start + parent)
            if state not in READY:
                return set()
            found.add(state)
        return found

    def _left_ready(self) -> Iterator[int]:
        """Shards that an earlier run left ready, or failed with."""
        for row in self.levels.pending():
            if row not in self._taken and self.levels.state(row) not in READY:
                states = self._ready_below(*self.rows.locate(row))
                if states == {"skipped"}:
                    self.mark(row, "skipped", seconds=0.0, executions=0)
                elif states:
                    yield row

    def _invalidate(self) -> None:
        """What stands on something that is to be done again does not count, level by level."""
        for output, pyramid in enumerate(self.rows.pyramids):
            for level in range(1, pyramid.levels):
                counts, coarse = pyramid.counts(level - 1), pyramid.counts(level)
                for numbers in self._open(output, level - 1):
                    places = np.unravel_index(numbers, counts)
                    above = tuple(k // f for k, f in zip(places, pyramid.steps[level - 1], strict=True))
                    for child in np.unique(np.ravel_multi_index(above, coarse)):
                        row = self.rows.row(output, level, int(child))
                        if self.levels.state(row) in READY:
                            self.levels.mark(row, "pending", executions=0)

    def _open(self, output: int, level: int) -> Iterator[np.ndarray]:
        """Numbers of the shards of a level that nothing can stand on, a stretch at a time."""
        book = self.levels if level else self.blocks
        start = self.rows.row(output, level, 0) if level else 0
        stop = start + self.rows.pyramids[output].total(level)
        at = 0
        for codes in book.states():
            inside = codes[max(start - at, 0) : max(stop - at, 0)]
            first = max(at - start, 0)
            at += len(codes)
            waiting = ~np.isin(inside, [STATES.index(state) for state in READY])
            if waiting.any():
                yield np.flatnonzero(waiting) + first


def levels_path(out: str) -> str:
    """The path of the ledger of an output's coarser levels."""
    return join(out, FOLDER)
