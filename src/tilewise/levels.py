"""What a worker does for one shard of a coarser level: read what it stands on, halve, write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewise import sink
from tilewise.pyramid import Rows
from tilewise.task import Outcome, find_job, peak_memory, predict_block, worker_name
from tilewise.timing import Clock

if TYPE_CHECKING:
    from tilewise.plans import Plan


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What a worker says of a finished shard."""

    seconds: dict[str, float]
    """Wall seconds by stage."""
    worker: str
    """Which worker, as host and process."""
    peak_memory: int
    """Largest resident size of the worker so far, in bytes."""


def rows_of(plan: Plan) -> Rows:
    """The numbering of a plan's coarser shards."""
    return Rows(tuple(output.pyramid for output in plan.outputs))


def work(run: str, number: int) -> Outcome | Shrunk:
    """Do a block, or a coarser shard: these are numbered after the blocks."""
    blocks = find_job(run).plan.blocks.total
    return predict_block(run, number) if number < blocks else shrink_shard(run, number - blocks)


def shrink_shard(run: str, row: int) -> Shrunk:
    """Make one shard of a coarser level of a job that this process knows."""
    plan, clock = find_job(run).plan, Clock()
    output, level, number = rows_of(plan).locate(row)
    with clock.stage("shrink"):
        sink.write_coarser(plan.outputs[output], level, number)
    return Shrunk(clock.seconds, worker_name(), peak_memory())
