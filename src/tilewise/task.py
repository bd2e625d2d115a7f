"""What a worker does for one task: read a block with its halo, infer, write one shard. Self-contained.

A job reaches each worker once, as a plugin; after that a task carries the job's name and a number.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tilewise import sink, stats
from tilewise.block import count_odd, process, show
from tilewise.errors import ImageError, RuntimeMissingError
from tilewise.geometry import Axis, Blocks, Box, Grid, Index, round_down, round_up, source_box
from tilewise.session import SessionOptions, cached_session, offers_cuda
from tilewise.source import Source, missing_chunks
from tilewise.timing import Clock

if TYPE_CHECKING:
    import numpy as np

    from tilewise.block import Infer
    from tilewise.plans import Plan
    from tilewise.session import Session
    from tilewise.stats import Partial, Request, State, Statistics

SURVEY = {2: (2048, 2048), 3: (64, 512, 512)}
"""Pixels that a survey box aims at."""


@dataclass(frozen=True)
class Job:
    """All that a worker needs for any block of a run."""

    run: str
    """The run's id, new for every run."""
    plan: Plan
    """What to do."""
    model: bytes
    """The prepared model; constants of further inputs are part of it."""
    device: str
    """cpu, cuda or cuda:N: the same on every worker."""
    statistics: Statistics | None = None
    """Of the image, once they are known."""

    @cached_property
    def digest(self) -> str:
        """sha256 of the prepared model: the file's own says nothing of the constants that it was given."""
        return hashlib.sha256(self.model).hexdigest()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a worker says of a finished block."""

    number: int
    """Which block."""
    seconds: dict[str, float]
    """Wall seconds by stage."""
    nan: int
    """NaN pixels over the block's cores."""
    inf: int
    """Infinite pixels over the block's cores."""
    missing: int
    """Chunks of the image that begin in the cores and are not stored; they were read as fill."""
    provider: str
    """The execution provider that really ran."""
    worker: str
    """Which worker, as host and process."""
    peak_memory: int
    """Largest resident size of the worker so far, in bytes."""


_jobs: dict[str, Job] = {}


def enlist(job: Job) -> None:
    """Make a job known in this process."""
    _jobs[job.run] = job


def dismiss(run: str) -> None:
    """Forget a job."""
    _jobs.pop(run, None)


def find_job(run: str) -> Job:
    """A job that this process knows."""
    return _jobs[run]


def settle_device(run: str) -> str:
    """The device of a job on this worker; the model is opened on it, so that what is wrong is known early."""
    job = _jobs[run]
    open_model(job)
    return _device(job)


def predict_block(run: str, number: int) -> Outcome:
    """Read, infer and write one block of a job that this process knows."""
    job = _jobs[run]
    plan, clock = job.plan, Clock()
    if not plan.outputs:
        raise ValueError("a plan without an output cannot be run")
    session = open_model(job)
    span = plan.span(number)
    box = source_box(span.window, plan.grid.shape, plan.recipe.pad)
    with clock.stage("read"):
        pixels = read(plan, box)
    odd = count_odd(pixels, box, span.seen, plan.lead)
    core = span.seen.clip(plan.recipe.shape)
    # tiles with gaps between them may stand beyond the image
    begun = _source(plan).region(*_split(plan, core)) if core.size else None
    absent = 0 if begun is None else len(missing_chunks(plan.image, begun, begun=True))
    if plan.behaviour.nan == "error" and (odd.nan or odd.inf):
        raise ImageError(
            f"{odd.nan} NaN and {odd.inf} infinite pixels", "finite pixels", "Mend the image, or use --nan keep."
        )
    infer = infer_with(session, plan)
    pixels = show(pixels, box, span.window, plan.recipe)
    results = process(pixels, span, plan.recipe, statistics=job.statistics, infer=infer, clock=clock)
    del pixels
    if run not in _jobs:
        raise InterruptedError("the run was given up")
    with clock.stage("write"):
        for output, product, result in zip(plan.outputs, plan.recipe.products, results, strict=True):
            sink.write(output, plan.placed_start(product, span), plan.ordered(result))
    return Outcome(number, clock.seconds, odd.nan, odd.inf, absent, session.provider, worker_name(), peak_memory())


def survey_block(run: str, number: int, state: State) -> Partial:
    """What one box of the image adds to a pass of its statistics."""
    plan = _jobs[run].plan
    boxes = survey_boxes(plan)
    core = boxes.span(boxes.index(number)).core
    request = stats.request_for(plan.recipe.normalization, plan.image.dtype)
    return survey(read(plan, core), core, request, state, plan.grid.shape[: plan.lead])


def survey(pixels: np.ndarray, core: Box, request: Request, state: State, stack: Index) -> Partial:
    """What canonical pixels add to a pass.

    Args:
        pixels: of the box ``core``.
        core: a box of ``survey_boxes``.
        request: what is wanted.
        state: what earlier passes found.
        stack: lengths of the axes that the model does not see.
    """
    flat = pixels.reshape(-1, *pixels.shape[len(stack) :])
    return stats.accumulate(request, state, flat, x_origin=core.start[-1], slices=_slices(core, stack))


def survey_boxes(plan: Plan) -> Blocks:
    """The image cut into boxes for statistics: whole chunks where they are small, whole cells along x always."""
    sides = SURVEY[len(plan.spatial)]
    chunks = dict(zip(plan.image.axes, plan.image.chunks, strict=True))
    axes = [Axis(size=n) for n in plan.grid.shape[: plan.lead]]
    for letter, size, side in zip(plan.spatial, plan.grid.shape[plan.lead :], sides, strict=True):
        unit = min(chunks[letter], side)
        step = round_down(side, unit)
        step = round_up(step, stats.CELL) if letter == "x" else step
        axes.append(Axis(size=size, tile=min(step, size)))
    return Blocks(Grid(tuple(axes)), (1,) * len(axes))


def read(plan: Plan, box: Box) -> np.ndarray:
    """Canonical pixels of a box of the image; lead axes, then space."""
    return _source(plan).read(*_split(plan, box), missing=plan.behaviour.missing)


def _source(plan: Plan) -> Source:
    return Source(plan.image, plan.spatial)


def _split(plan: Plan, box: Box) -> tuple[Box, tuple[int, ...], Box]:
    """A box as a source takes it: lead axes, channels, space."""
    lead = plan.lead
    return Box(box.start[:lead], box.stop[:lead]), plan.channels, Box(box.start[lead:], box.stop[lead:])


def open_model(job: Job) -> Session:
    """The session of this process for the job's model."""
    return cached_session(job.digest, lambda: job.model, SessionOptions(device=_device(job)))


def _device(job: Job) -> str:
    """The job's device; auto is the GPU if a session starts there, else the CPU, once for this process."""
    if job.device != "auto":
        return job.device
    if "auto" not in _settled:
        _settled["auto"] = "cpu"
        if offers_cuda():
            try:
                open_model(replace(job, device="cuda"))
                _settled["auto"] = "cuda"
            except RuntimeMissingError:
                pass
    return _settled["auto"]


_settled: dict[str, str] = {}


def infer_with(session: Session, plan: Plan) -> Infer:
    """The model as a function of one batch."""
    names = [product.name for product in plan.recipe.products]

    def infer(batch: np.ndarray) -> list[np.ndarray]:
        return session.run({plan.model.input_name: batch}, names)

    return infer


def worker_name() -> str:
    """Host and process of this worker."""
    import os
    import socket

    return f"{socket.gethostname()}:{os.getpid()}"


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    try:
        # not getrusage: a child starts with its parent's peak there
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _slices(core: Box, stack: Index) -> list[int]:
    """Numbers of the slices that a box covers, in C order over the lead axes."""
    numbers = [0]
    for axis, size in enumerate(stack):
        numbers = [n * size + k for n in numbers for k in range(core.start[axis], core.stop[axis])]
    return numbers
