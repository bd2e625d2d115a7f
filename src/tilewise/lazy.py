"""The lazy face: a Dask array or DataArray in, one out, nothing computed. The only ``map_overlap``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tilewise import stats
from tilewise.block import process
from tilewise.errors import ImageError
from tilewise.geometry import Share, Span, share_cores, source_indices
from tilewise.model import Model
from tilewise.openers.spec import ImageSpec
from tilewise.planning import decide
from tilewise.postprocess import has_channels
from tilewise.settings import Asked, Cut, Graph, Machine, Pixels, Results
from tilewise.task import Job, infer_with, open_model, survey, survey_boxes

if TYPE_CHECKING:
    from pathlib import Path

    import dask.array as da
    import xarray as xr

    from tilewise.geometry import Blocks
    from tilewise.plans import Plan
    from tilewise.stats import Statistics

    Lazy: TypeAlias = da.Array | xr.DataArray

FAN_IN = 16
"""Partial statistics merged in one task."""


def predict(
    x: Lazy,
    model: str | Path | Model,
    *,
    cut: Cut = Cut(),
    pixels: Pixels = Pixels(),
    results: Results = Results(),
    graph: Graph = Graph(),
    machine: Machine = Machine(),
) -> Lazy:
    """Run a model over a Dask array or DataArray, lazily; the same bits as ``run`` writes.

    Args:
        x: the image. A DataArray whose dimensions are named from t c z y x says its axes itself; an array of two
            dimensions is y x, of three z y x, others need ``pixels.axes``.
        model: an ONNX file.
        cut: tiles, halos, blocks.
        pixels: axes, channels, normalization; there are no levels.
        results: what comes out.
        graph: what the model file does not tell.
        machine: device; the scheduler is Dask's own choice.

    Returns:
        The same kind as ``x``, axes in the order t c z y x, in chunks of whole blocks: ``to_zarr`` writes it as it is.

    Raises:
        TilewiseError: the request cannot be met.
    """
    array, axes = _unwrap(x, pixels.axes)
    known = model if isinstance(model, Model) else Model(model, graph)
    asked = Asked(cut=cut, pixels=pixels, results=results, graph=graph, machine=machine)
    made = decide(describe(array, axes), known.spec, asked)
    result = _predict(array, axes, made, known)
    wrapped: Lazy = _wrap(result, x, made)
    return wrapped


def _unwrap(x: Any, axes: str | None) -> tuple[da.Array, str]:
    """The Dask array and its axes."""
    import dask.array as da

    named = "".join(str(d).lower() for d in getattr(x, "dims", ()))
    data = getattr(x, "data", x) if named else x
    array = data if isinstance(data, da.Array) else da.from_array(np.asarray(data))
    found = axes or (named if named and set(named) <= set("tczyx") else {2: "yx", 3: "zyx"}.get(array.ndim, ""))
    if len(found) != array.ndim or len(set(found)) != len(found) or not set(found) <= set("tczyx"):
        raise ImageError(
            f"axes {found or 'none'} for an array of shape {array.shape}",
            "one letter an axis from t c z y x",
            "Give Pixels(axes=...), or a DataArray whose dimensions have these names.",
        )
    if any(np.isnan(n) for n in array.shape):
        raise ImageError("an array of unknown shape", "known sizes", "Call compute_chunk_sizes() first.")
    return array, found


def describe(array: da.Array, axes: str) -> ImageSpec:
    """An array's facts, in the words of a stored image's."""
    ndim = array.ndim
    return ImageSpec(
        path="",
        array_path="",
        axes=axes,
        shape=array.shape,
        dtype=array.dtype.newbyteorder("=").name,
        chunks=array.chunksize,
        shards=None,
        level=0,
        levels=1,
        scale=(1.0,) * ndim,
        translation=(0.0,) * ndim,
        units=(None,) * ndim,
        channel_names=(),
        name="array",
        zarr_format=3,
        codecs=(),
        fingerprint="",
    )


def _predict(array: da.Array, axes: str, made: Plan, model: Model) -> da.Array:
    import dask
    import dask.array as da

    canonical = _canonical(array, axes, made)
    shares = tuple(share_cores(axis, m) for axis, m in zip(made.grid.axes, made.blocks.cores, strict=True))
    chunks = _with_channel([share.chunks for share in shares], made.lead, (len(made.channels),))
    kept = made.recipe.out_channels if has_channels(made.recipe.results) else 1
    result = da.map_overlap(
        predict_chunk,
        _pad(canonical, made).rechunk(chunks),
        depth=dict(enumerate(_with_channel([share.depth for share in shares], made.lead, (0, 0)))),
        boundary="none",
        trim=False,
        allow_rechunk=False,
        meta=np.empty((0,) * canonical.ndim, dtype=made.recipe.out_dtype),
        chunks=_with_channel([share.placed for share in shares], made.lead, (kept,)),
        token="tilewise-predict",  # noqa: S106 a name on the dashboard
        shares=shares,
        # one node of the graph: the model reaches each worker once, not with every task
        job=dask.delayed(Job("", made, model.prepared(), made.machine.device), pure=True),
        statistics=_statistics(canonical, made),
    )
    result = result.rechunk(_with_channel(list(made.blocks.placed_shape), made.lead, kept))
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
) -> np.ndarray:
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
    result = process(shown, span, made.recipe, statistics=statistics, infer=infer)
    return result if has_channels(made.recipe.results) else np.expand_dims(result, made.lead)


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
    """Pad the axes that the model sees; ``da.pad`` is wrong where the pad exceeds the image."""
    import dask.array as da

    for k, axis in enumerate(made.grid.axes[made.lead :], made.lead + 1):
        parts = []
        for start, stop in ((-axis.lead, 0), (axis.size, axis.padded + axis.trail)):
            indices = source_indices(start, stop, axis.size, made.recipe.pad)
            shown = array[(slice(None),) * k + ([max(i, 0) for i in indices],)]
            parts.append(da.zeros_like(shown) if -1 in indices else shown)
        array = da.concatenate([p for p in (parts[0], array, parts[1]) if p.shape[k]], axis=k)
    return array


def _with_channel(parts: list[Any], place: int, channel: Any) -> tuple[Any, ...]:
    return (*parts[:place], channel, *parts[place:])


def _statistics(array: da.Array, made: Plan) -> Any:
    """Statistics as a lazy part of the graph, from the same boxes in any order: a tree of merges a pass."""
    if not made.recipe.normalization.needs_statistics:
        return None
    import dask

    request = stats.request_for(made.recipe.normalization, made.image.dtype)
    boxes = survey_boxes(made)
    chunks = [tuple(axis.core(k)[1] - axis.core(k)[0] for k in range(axis.count)) for axis in boxes.grid.axes]
    parts = array.rechunk(_with_channel(chunks, made.lead, (len(made.channels),))).to_delayed().ravel()
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


def _wrap(result: da.Array, x: Any, made: Plan) -> Any:
    """The same kind as came in; a DataArray keeps name, attributes and the coordinates that still fit."""
    if not hasattr(x, "dims"):
        return result
    import xarray as xr

    named = {str(d).lower(): d for d in x.dims}
    dims = [named.get(a, a) for a in made.output_axes]
    shape = dict(zip(dims, result.shape, strict=True))
    coords = {
        name: value
        for name, value in x.coords.items()
        if named.get("c") not in value.dims and all(shape.get(d) == x.sizes[d] for d in value.dims)
    }
    return xr.DataArray(result, dims=dims, coords=coords, name=x.name, attrs=x.attrs)
