"""One pass over the image, through a network as far as a tensor, for that tensor's statistics."""

from __future__ import annotations

import time
import uuid
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tilewise import stats
from tilewise.block import process, show
from tilewise.errors import ModelError, StoppedError, explain
from tilewise.events import Advanced, Ended, Started, tell
from tilewise.geometry import source_box
from tilewise.model import Model
from tilewise.norms import Row
from tilewise.planning import decide
from tilewise.plugin import hand_out, take_back
from tilewise.settings import Cut, Graph, Results
from tilewise.task import Job, find_job, infer_with, open_model, read
from tilewise.wave import drive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from distributed import Client

    from tilewise.events import Observer
    from tilewise.plans import Plan
    from tilewise.stats import Moments, Statistics

SAMPLE = 16
"""Blocks that ``sample`` looks at."""


def gather(
    client: Client,
    job: Job,
    told: dict[str, Any],
    graph: Path,
    statistics: Statistics | None,
    observers: tuple[Observer, ...],
) -> Row:
    """One pass: the tensor's moments over the whole image, or over some blocks of it."""
    prefix = graph.rename(graph.with_name(f"{uuid.uuid4().hex}.onnx"))
    inner = Model(prefix, Graph(layout=job.plan.model.layout, output_layout=told["layout"], output_name=told["tensor"]))
    made = _plan_pass(job.plan, inner, told)
    own = hand_out(client, Job(uuid.uuid4().hex[:12], made, inner.prepared(), job.device, statistics))
    numbers = _choose(made, job.plan.asked.graph.freeze_norms)
    words = f"statistics of {told['tensor']}"
    tell(observers, Started(words, len(numbers), 0, made.image_pixels // made.blocks.total))
    begin, merged = time.monotonic(), None
    try:
        wave = drive(client, gather_block, "freeze", numbers, (own.run,))
        with closing(wave):
            for done, landed in enumerate(wave, 1):
                if landed.error is not None:
                    raise StoppedError(f"{words}: {explain(landed.error)}") from landed.error
                found = landed.result
                merged = found if merged is None else [a + b for a, b in zip(merged, found, strict=True)]
                tell(observers, Advanced(words, done, 0, f"block {landed.number}"))
    finally:
        take_back(client, own)
    tell(observers, Ended(words, time.monotonic() - begin))
    return _row(merged or [], told["tensor"])


def _plan_pass(whole: Plan, inner: Model, told: dict[str, Any]) -> Plan:
    """The cut for a pass: of the image padded as the untiled network would see it."""
    image, asked = whole.image, whole.asked
    spec = inner.spec
    if spec.halo is None or not spec.exact:
        site = next(s for s in told["sites"] if s["tensor"] == told["tensor"])
        raise ModelError(
            f"{site['operator']} cannot be frozen: what lies before it is {spec.verdict} ({spec.reason})",
            "local operators before it",
            "Run without --freeze-norms; --audit measures what tiles change.",
        )
    padded = dict(zip(whole.spatial, (axis.padded for axis in whole.grid.axes[whole.lead :]), strict=True))
    stretched = replace(image, shape=tuple(padded.get(a, n) for a, n in zip(image.axes, image.shape, strict=True)))
    mine = replace(asked, results=Results(output="raw"), cut=Cut(pad=asked.cut.pad, halo="exact"))
    made = decide(stretched, spec, mine)
    return replace(made, image=image, recipe=replace(made.recipe, shape=whole.grid.shape))


def _choose(made: Plan, mode: str) -> Sequence[int]:
    """All blocks, or some that are spread evenly."""
    total = made.blocks.total
    if mode != "sample" or total <= SAMPLE:
        return range(total)
    return sorted({(2 * k + 1) * total // (2 * SAMPLE) for k in range(SAMPLE)})


def gather_block(run: str, number: int) -> list[Moments]:
    """Moments of each channel over one block; runs on a worker."""
    job = find_job(run)
    plan = job.plan
    span = plan.blocks.span(plan.blocks.index(number))
    box = source_box(span.window, plan.recipe.shape, plan.recipe.pad)
    pixels = show(read(plan, box), box, span.window, plan.recipe)
    infer = infer_with(open_model(job), plan)
    (made,) = process(pixels, span, plan.recipe, statistics=job.statistics, infer=infer)
    cell = [int(m * q) for m, q in zip(plan.model.multiple, plan.model.scale, strict=True)]
    return [stats.moments_of_cells(channel, cell) for channel in made.reshape(made.shape[plan.lead :])]


def _row(merged: Sequence[Moments], tensor: str) -> Row:
    if any(m.nan or m.inf for m in merged):
        raise StoppedError(f"{tensor} holds values that are not finite: its statistics are none")
    means = [m.total / m.count for m in merged]
    variances = [m.squares / m.count - mean * mean for m, mean in zip(merged, means, strict=True)]
    return Row(
        tuple(float(mean) for mean in means),
        tuple(max(float(variance), 0.0) for variance in variances),
        tuple(float(m.maximum or 0.0) for m in merged),
    )
