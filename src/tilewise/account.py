"""The books of a run: what landed is entered, and what is to be done next is asked of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewise.errors import explain
from tilewise.events import Advanced, tell
from tilewise.ladder import Ladder, levels_path
from tilewise.ledger import Ledger
from tilewise.levels import rows_of
from tilewise.result import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from tilewise.events import Observer
    from tilewise.levels import Shrunk
    from tilewise.plans import Plan
    from tilewise.task import Outcome
    from tilewise.wave import Landed

FLUSH_SECONDS = 1.0
"""How often the ledgers are written."""

FLUSH_SHARE = 0.1
"""Of the time of a run that writing them may take: on a slow store they are written less often."""


@dataclass(slots=True)
class Account:
    """Ledgers and totals of one run; an iterator over what is to be done next, which may give more after none."""

    book: Ledger
    """Of the blocks."""
    ladder: Ladder | None
    """Of the coarser levels, if there are any."""
    tally: Tally
    """What workers say, added up."""
    observers: tuple[Observer, ...]
    """Who is told."""
    started: float
    """When the run began."""
    _pending: Iterator[int]
    _flushed: float
    _pause: float = FLUSH_SECONDS

    @classmethod
    def open(
        cls, book: Ledger, plan: Plan, record: Mapping[str, Any], observers: tuple[Observer, ...], started: float
    ) -> Account:
        """The books of an output that is set up."""
        rows = rows_of(plan)
        coarse = Ledger.create(levels_path(book.path), rows.total, record) if rows.total else None
        ladder = Ladder(rows, book, coarse) if coarse is not None else None
        return cls(book, ladder, Tally.load(book.path), observers, started, book.pending(), time.monotonic())

    @property
    def finished(self) -> bool:
        """True if nothing is left to do on any level."""
        books = [self.book] if self.ladder is None else [self.book, self.ladder.levels]
        return all(counts.done + counts.skipped == book.blocks for book in books for counts in [book.counts()])

    def __iter__(self) -> Account:
        return self

    def __next__(self) -> int:
        """A shard of a coarser level that is ready, numbered after the blocks, or else the next block."""
        if self.ladder is not None:
            row = next(self.ladder, None)
            if row is not None:
                return self.book.blocks + row
        return next(self._pending)

    def name(self, number: int) -> str:
        """What a dashboard calls it."""
        return "predict" if number < self.book.blocks else "shrink"

    def enter(self, landed: Landed) -> None:
        """Note what landed, tell it, and store the books once in a while."""
        detail = self._enter_block(landed) if landed.number < self.book.blocks else self._enter_shard(landed)
        counts = self.book.counts()
        tell(self.observers, Advanced("blocks", counts.done + counts.skipped, counts.failed, detail))
        if time.monotonic() - self._flushed > self._pause:
            self.flush()

    def flush(self) -> None:
        """Store the books: blocks first, so that no shard counts as done before what it stands on."""
        begun = time.monotonic()
        self.book.flush()
        if self.ladder is not None:
            self.ladder.levels.flush()
        self.tally.save(time.monotonic() - self.started)
        self._flushed = time.monotonic()
        self._pause = max(FLUSH_SECONDS, (self._flushed - begun) / FLUSH_SHARE)

    def _enter_block(self, landed: Landed) -> str:
        number, tries = landed.number, landed.attempts
        if landed.error is not None:
            self.book.mark(number, "failed", executions=tries, cause=explain(landed.error))
            return f"block {number} failed: {explain(landed.error)}"
        outcome: Outcome = landed.result
        seconds = sum(outcome.seconds.values())
        self.book.mark(number, "done", seconds=seconds, executions=tries, nan=outcome.nan, inf=outcome.inf)
        self.tally.add(outcome)
        if self.ladder is not None:
            self.ladder.rise(number)
        return f"block {number} on {outcome.provider} at {outcome.worker} in {seconds:.2f} s"

    def _enter_shard(self, landed: Landed) -> str:
        if self.ladder is None:
            raise ValueError(f"a shard {landed.number} of coarser levels where there are none")
        row, tries = landed.number - self.book.blocks, landed.attempts
        output, level, number = self.ladder.rows.locate(row)
        several = len(self.ladder.rows.pyramids) > 1
        which = f"shard {number} of level {level}" + (f" of output {output}" if several else "")
        if landed.error is not None:
            self.ladder.mark(row, "failed", seconds=0.0, executions=tries, cause=f"{which}: {explain(landed.error)}")
            return f"{which} failed: {explain(landed.error)}"
        shrunk: Shrunk = landed.result
        seconds = sum(shrunk.seconds.values())
        self.ladder.mark(row, "done", seconds=seconds, executions=tries)
        self.tally.add_shard(shrunk.seconds, shrunk.peak_memory)
        return f"{which} at {shrunk.worker} in {seconds:.2f} s"
