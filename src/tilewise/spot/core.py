"""What a halo smaller than the model's reach costs: a core computed twice, with that halo and with the exact one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tilewise.block import process, show
from tilewise.errors import TilewiseError
from tilewise.geometry import Span, source_box
from tilewise.planning import decide
from tilewise.task import find_job, infer_with, open_model, read

if TYPE_CHECKING:
    from tilewise.geometry import Index
    from tilewise.plans import Plan
    from tilewise.task import Job

SPOTS = 3
"""Cores that are tried, spread over the image."""


def widen(made: Plan) -> Plan | None:
    """The same cores with the exact halo around them; None where no worker could hold such tiles."""
    exact = made.model.halo
    if exact is None or made.model.fixed_size is not None:
        return None
    axes = made.grid.axes[made.lead :]
    tile = tuple(axis.step + 2 * h if axis.count > 1 else axis.tile for axis, h in zip(axes, exact, strict=True))
    cut = replace(made.asked.cut, tile=tile, halo="exact", overlap=None, block="auto")
    try:
        return decide(made.image, made.model, replace(made.asked, cut=cut))
    except TilewiseError:
        return None


def choose_spots(made: Plan) -> list[int]:
    """Numbers of cores that are computed, spread evenly, the first and the last left out where there are others."""
    counts = made.grid.counts
    if made.mask is None:
        return sorted({(2 * k + 1) * made.grid.tiles // (2 * SPOTS) for k in range(SPOTS)})
    places = np.flatnonzero(np.broadcast_to(made.mask.tiles, counts))
    return sorted({int(places[(2 * k + 1) * len(places) // (2 * SPOTS)]) for k in range(SPOTS if len(places) else 0)})


def measure_spot(run: str, number: int, wide: Plan) -> float:
    """Largest difference of one core between the run's tiles and wider ones; runs on a worker."""
    job = find_job(run)
    index = tuple(int(k) for k in np.unravel_index(number, job.plan.grid.counts))
    both = zip(*(compute_core(job, plan, index) for plan in (job.plan, wide)), strict=True)
    return max(float(np.abs(narrow.astype(np.float64) - exact).max()) for narrow, exact in both)


def compute_core(job: Job, made: Plan, index: Index) -> list[np.ndarray]:
    """One core by itself, as a plan cuts it: each product's result."""
    span = Span(made.grid, tuple(range(k, k + 1) for k in index))
    box = source_box(span.window, made.recipe.shape, made.recipe.pad)
    shown = show(read(made, box), box, span.window, made.recipe)
    infer = infer_with(open_model(job), made)
    return process(shown, span, made.recipe, statistics=job.statistics, infer=infer)
