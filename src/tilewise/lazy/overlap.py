"""The only ``map_overlap``: chunks that see their neighbours, in blocks of whole cores."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tilewise.block import process
from tilewise.geometry import Share, Span, share_cores, source_indices
from tilewise.lazy.surveyed import statistics_of
from tilewise.postprocess import has_channels
from tilewise.task import Job, infer_with, open_model

if TYPE_CHECKING:
    import dask.array as da

    from tilewise.block import Product
    from tilewise.model import Model
    from tilewise.plans import Plan
    from tilewise.stats import Statistics


def overlap(array: da.Array, axes: str, made: Plan, model: Model) -> dict[str, da.Array]:
    """The result for each output of the model, by its name."""
    import dask
    import dask.array as da

    canonical = _canonical(array, axes, made)
    shares = tuple(share_cores(axis, m) for axis, m in zip(made.grid.axes, made.blocks.cores, strict=True))
    chunks = _with_channel([share.chunks for share in shares], made.lead, (len(made.channels),))
    several = len(made.recipe.products) > 1
    whole = da.map_overlap(
        predict_chunk,
        _pad(canonical, made).rechunk(chunks),
        depth=dict(enumerate(_with_channel([share.depth for share in shares], made.lead, (0, 0)))),
        boundary="none",
        trim=False,
        allow_rechunk=False,
        # several results of a chunk travel together, so that the model runs once for all of them
        meta=np.empty((0,) * canonical.ndim, dtype=object if several else made.recipe.products[0].dtype),
        chunks=_placed_chunks(shares, made.recipe.products[0], made),
        token="tilewise-predict",  # noqa: S106 a name on the dashboard
        shares=shares,
        # one node of the graph: the model reaches each worker once, not with every task
        job=dask.delayed(Job("", made, model.prepared(), made.machine.device), pure=True),
        statistics=statistics_of(canonical, made),
    )
    return {
        product.name: _finish(_pick(whole, shares, number, made) if several else whole, product, made)
        for number, product in enumerate(made.recipe.products)
    }


def _placed_chunks(shares: tuple[Share, ...], product: Product, made: Plan) -> tuple[Any, ...]:
    """Lengths of the chunks of a product, as the model's chunks give them."""
    lengths = [replace(share, axis=axis).placed for share, axis in zip(shares, product.grid.axes, strict=True)]
    return _with_channel(lengths, made.lead, (_kept(product, made),))


def _kept(product: Product, made: Plan) -> int:
    return product.channels if has_channels(made.recipe.results) else 1


def _pick(whole: da.Array, shares: tuple[Share, ...], number: int, made: Plan) -> da.Array:
    """One of several results."""
    import dask.array as da

    product = made.recipe.products[number]
    return da.map_blocks(
        pick_result,
        whole,
        number=number,
        chunks=_placed_chunks(shares, product, made),
        meta=np.empty((0,) * whole.ndim, dtype=product.dtype),
        token="tilewise-pick",  # noqa: S106 a name on the dashboard
    )


def pick_result(results: list[np.ndarray], *, number: int) -> np.ndarray:
    """One of the results of a chunk; runs on a worker."""
    return results[number]


def _finish(result: da.Array, product: Product, made: Plan) -> da.Array:
    """Chunks of whole blocks, axes in the output's order."""
    block = replace(made.blocks, grid=product.grid).placed_shape
    result = result.rechunk(_with_channel(list(block), made.lead, _kept(product, made)))
    if not has_channels(made.recipe.results):
        result = result[(slice(None),) * made.lead + (0,)]
    return made.ordered(result)


def predict_chunk(
    chunk: np.ndarray,
    *,
    shares: tuple[Share, ...],
    job: Job,
    statistics: Statistics | None,
    block_id: tuple[int, ...],
) -> np.ndarray | list[np.ndarray]:
    """Compute the cores of one chunk that came with its neighbours' pixels around it; runs on a worker."""
    made = job.plan
    place = block_id[: made.lead] + block_id[made.lead + 1 :]
    span = Span(made.grid, tuple(share.cores[k] for share, k in zip(shares, place, strict=True)))
    window = span.window
    inner = [
        slice(start - share.first(k), stop - share.first(k))
        for share, k, start, stop in zip(shares, place, window.start, window.stop, strict=True)
    ]
    shown = chunk[tuple(_with_channel(inner, made.lead, slice(None)))]
    infer = infer_with(open_model(job), made)
    results = process(shown, span, made.recipe, statistics=statistics, infer=infer)
    if not has_channels(made.recipe.results):
        results = [np.expand_dims(result, made.lead) for result in results]
    return results[0] if len(results) == 1 else results


def _canonical(array: da.Array, axes: str, made: Plan) -> da.Array:
    """Lead axes, the chosen channels, space."""
    lead = [a for a in "tz" if a in axes and a not in made.spatial]
    if "c" not in axes:
        array, axes = array[np.newaxis], "c" + axes
    array = array.transpose([axes.index(a) for a in (*lead, "c", *made.spatial)])
    chosen = list(made.channels)
    if chosen != list(range(array.shape[len(lead)])):
        array = array[(slice(None),) * len(lead) + (chosen,)]
    return array


def _pad(array: da.Array, made: Plan) -> da.Array:
    """Pad the axes of which the model sees more than the image; ``da.pad`` is wrong where the pad exceeds it."""
    import dask.array as da

    for number, axis in enumerate(made.grid.axes):
        k = number if number < made.lead else number + 1
        pad = made.recipe.pad if number >= made.lead else "edge"
        parts = []
        for start, stop in ((-axis.lead, 0), (axis.size, axis.padded + axis.trail)):
            indices = source_indices(start, stop, axis.size, pad)
            shown = array[(slice(None),) * k + ([max(i, 0) for i in indices],)]
            parts.append(da.zeros_like(shown) if -1 in indices else shown)
        array = da.concatenate([p for p in (parts[0], array, parts[1]) if p.shape[k]], axis=k)
    return array


def _with_channel(parts: list[Any], place: int, channel: Any) -> tuple[Any, ...]:
    return (*parts[:place], channel, *parts[place:])
