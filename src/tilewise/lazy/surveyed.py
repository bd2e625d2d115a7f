"""Statistics of the whole array, as a lazy part of the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilewise import stats
from tilewise.task import survey, survey_boxes

if TYPE_CHECKING:
    import dask.array as da
    import numpy as np

    from tilewise.geometry import Blocks
    from tilewise.plans import Plan

FAN_IN = 16
"""Partial statistics merged in one task."""


def statistics_of(array: da.Array, made: Plan) -> Any:
    """Statistics as a lazy part of the graph, from the same boxes in any order: a tree of merges a pass."""
    if not made.recipe.normalization.needs_statistics:
        return None
    import dask

    request = stats.request_for(made.recipe.normalization, made.image.dtype)
    boxes = survey_boxes(made)
    chunks = [tuple(axis.core(k)[1] - axis.core(k)[0] for k in range(axis.count)) for axis in boxes.grid.axes]
    parts = array.rechunk((*chunks[: made.lead], (len(made.channels),), *chunks[made.lead :])).to_delayed().ravel()
    accumulate, merge = dask.delayed(survey_chunk, pure=True), dask.delayed(stats.merge, pure=True)
    advance, finish = dask.delayed(stats.advance, pure=True), dask.delayed(stats.finish, pure=True)
    state: Any = stats.start(request)
    for _ in range(request.passes):
        partials = [accumulate(part, request, state, boxes, number, made.lead) for number, part in enumerate(parts)]
        while len(partials) > 1:
            partials = [merge(*partials[k : k + FAN_IN]) for k in range(0, len(partials), FAN_IN)]
        state = advance(request, state, partials[0])
    return finish(request, state)


def survey_chunk(
    pixels: np.ndarray, request: stats.Request, state: stats.State, boxes: Blocks, number: int, lead: int
) -> stats.Partial:
    """What one chunk adds to a pass of the statistics; runs on a worker."""
    return survey(pixels, boxes.span(boxes.index(number)).core, request, state, boxes.grid.shape[:lead])
