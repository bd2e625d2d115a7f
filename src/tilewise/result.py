"""How far a run has come, in the words of ``run`` and ``status``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from tilewise.errors import OutputError
from tilewise.ladder import levels_path
from tilewise.ledger import Ledger
from tilewise.lock import find_owner
from tilewise.record import folder_of, read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from tilewise.task import Outcome

State = Literal["pending", "running", "done", "failed", "stopped"]
"""Not begun; going on; all blocks done or skipped; ended with failed ones; cut short and resumable."""


@dataclass(frozen=True, slots=True)
class Levels:
    """How far the coarser levels have come."""

    shards: int = 0
    """Shards in all, level 0 not counted."""
    done: int = 0
    """Written."""
    skipped: int = 0
    """Standing on skipped blocks alone."""
    failed: int = 0
    """Failed for good."""
    executions: int = 0
    """How often a shard was made."""
    seconds: float = 0.0
    """Worker seconds spent on them."""
    failures: tuple[str, ...] = ()
    """The first that failed, and why."""

    @property
    def finished(self) -> bool:
        """True if nothing is left to do."""
        return self.done + self.skipped == self.shards


@dataclass(frozen=True, slots=True)
class Result:
    """What a run has done so far, over all times that it was started."""

    output: str
    """Where."""
    state: State
    """pending, running, done, failed or stopped."""
    blocks: int
    """Blocks in all."""
    done: int
    """Blocks whose shard is written."""
    skipped: int
    """Blocks that needed no work."""
    failed: int
    """Blocks that failed for good."""
    tiles_skipped: int
    """Tiles that the mask leaves out, also those of blocks that have others."""
    executions: int
    """How often a block was computed."""
    seconds: float
    """Wall time."""
    providers: dict[str, int]
    """Blocks by the execution provider that really ran."""
    peak_memory: int
    """Largest resident size of any worker, in bytes."""
    nan: int
    """NaN pixels of the input, over the cores."""
    inf: int
    """Infinite pixels of the input, over the cores."""
    missing: int
    """Chunks of the image that are not stored and were read as fill."""
    failures: tuple[dict[str, Any], ...]
    """The first failed blocks and their causes."""
    levels: Levels
    """The coarser levels."""

    @property
    def left(self) -> str:
        """What did not go well, in words; empty if all did."""
        if self.failed:
            return f"{self.failed} of {self.blocks} blocks failed"
        return "" if self.levels.finished else f"{self.levels.failed} shards of coarser levels failed"

    def to_json(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        levels = {**asdict(self.levels), "failures": list(self.levels.failures)}
        return {**asdict(self), "failures": list(self.failures), "levels": levels}

    def __repr__(self) -> str:
        parts = [f"{self.done:,} of {self.blocks:,} blocks done"]
        masked = f" ({self.tiles_skipped:,} tiles)" if self.tiles_skipped else ""
        parts += [f"{self.skipped:,} skipped{masked}"] * bool(self.skipped or masked)
        parts += [f"{self.failed:,} failed"] * bool(self.failed)
        parts += [f"{self.missing:,} chunks of the image not stored, read as fill"] * bool(self.missing)
        parts += [f"{self.nan:,} NaN and {self.inf:,} infinite pixels"] * bool(self.nan or self.inf)
        ran = ", ".join(f"{name}: {count:,} blocks" for name, count in sorted(self.providers.items()))
        lines = [f"{self.output}: {self.state}, {', '.join(parts)}, {self.seconds:.1f} s"]
        lines += [f"ran on {ran}"] if ran else []
        lines += [f"block {f['block']} failed: {f['cause']}" for f in self.failures[:5]]
        lines += [f"failed: {cause}" for cause in self.levels.failures[:5]]
        if not self.levels.finished:
            lines.append(f"{self.levels.done:,} of {self.levels.shards:,} shards of coarser levels done")
        return "\n".join(lines)


@dataclass(slots=True)
class Tally:
    """What workers say, added up over all runs of an output, and kept beside its ledger."""

    path: str
    """The output."""
    seconds: float = 0.0
    """Wall time of earlier runs and, once it is over, this one."""
    providers: dict[str, int] = field(default_factory=dict)
    """Blocks by provider."""
    stages: dict[str, float] = field(default_factory=dict)
    """Worker seconds by stage."""
    peak_memory: int = 0
    """Largest resident size of any worker, in bytes."""
    missing: int = 0
    """Chunks of the image that are not stored and were read as fill."""
    tiles_skipped: int = 0
    """Tiles that the mask leaves out."""

    @classmethod
    def load(cls, path: str) -> Tally:
        """What earlier runs of an output left; empty if there were none."""
        try:
            return cls(path, **read_json(folder_of(path), "tally.json"))
        except (OSError, ValueError, TypeError):
            return cls(path)

    def add(self, outcome: Outcome) -> None:
        """Count a finished block."""
        self.providers[outcome.provider] = self.providers.get(outcome.provider, 0) + 1
        for stage, seconds in outcome.seconds.items():
            self.stages[stage] = self.stages.get(stage, 0.0) + seconds
        self.missing += outcome.missing
        self.peak_memory = max(self.peak_memory, outcome.peak_memory)

    def add_shard(self, seconds: dict[str, float], peak_memory: int) -> None:
        """Count a finished shard of a coarser level."""
        for stage, spent in seconds.items():
            self.stages[stage] = self.stages.get(stage, 0.0) + spent
        self.peak_memory = max(self.peak_memory, peak_memory)

    def save(self, seconds: float) -> None:
        """Store it, with so many seconds of this run added."""
        content = asdict(self)
        del content["path"]
        content["seconds"] += seconds
        write_json(folder_of(self.path), "tally.json", content)


def status(out: str | Path) -> Result:
    """What the ledger of an output says, also while a run goes on.

    Raises:
        OutputError: it is no output of tilewise.
    """
    return _result(Ledger.open(str(out)), running=_is_held(str(out)))


def result_of(book: Ledger) -> Result:
    """How a run that has ended came out."""
    return _result(book, running=False)


def _result(book: Ledger, *, running: bool) -> Result:
    counts, tally = book.counts(), Tally.load(book.path)
    levels = _levels(book.path)
    state: State = "running" if running else "stopped"
    if not running and counts.pending == 0:
        ended = "done" if levels.finished else "failed" if levels.failed else "stopped"
        state = "failed" if counts.failed else cast(State, ended)
    elif not running and counts.pending == book.blocks:
        state = "pending"
    return Result(
        output=book.path,
        state=state,
        blocks=book.blocks,
        done=counts.done,
        skipped=counts.skipped,
        failed=counts.failed,
        tiles_skipped=tally.tiles_skipped,
        executions=counts.executions,
        seconds=round(tally.seconds, 3),
        providers=tally.providers,
        peak_memory=tally.peak_memory,
        nan=counts.nan,
        inf=counts.inf,
        missing=tally.missing,
        failures=tuple(book.failures),
        levels=levels,
    )


def _levels(out: str) -> Levels:
    try:
        book = Ledger.open(levels_path(out))
    except OutputError:
        return Levels()
    counts = book.counts()
    return Levels(
        shards=book.blocks,
        done=counts.done,
        skipped=counts.skipped,
        failed=counts.failed,
        executions=counts.executions,
        seconds=round(counts.seconds, 3),
        failures=tuple(str(entry["cause"]) for entry in book.failures),
    )


def _is_held(out: str) -> bool:
    owner = find_owner(out)
    return owner is not None and (owner.alive or not owner.here)
