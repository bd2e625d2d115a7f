"""``predict``: a Dask array or DataArray in, one out for each output of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from tilewise.errors import SettingError
from tilewise.lazy.arrays import cut_region, describe, unwrap, wrap
from tilewise.lazy.overlap import overlap
from tilewise.model import Model
from tilewise.planning import decide
from tilewise.precedence import blame, settle
from tilewise.settings import Asked, Cut, Graph, Machine, Pixels, Results

if TYPE_CHECKING:
    from pathlib import Path

    import dask.array as da
    import xarray as xr

    Lazy: TypeAlias = da.Array | xr.DataArray


def predict(
    x: Lazy,
    model: str | Path | Model,
    *,
    cut: Cut = Cut(),
    pixels: Pixels = Pixels(),
    results: Results = Results(),
    graph: Graph = Graph(),
    machine: Machine = Machine(),
    given: frozenset[str] = frozenset(),
) -> Lazy | dict[str, Lazy]:
    """Run a model over a Dask array or DataArray, lazily; the same bits as ``run`` writes.

    Args:
        x: the image. A DataArray whose dimensions are named from t c z y x says its axes itself; an array of two
            dimensions is y x, of three z y x, others need ``pixels.axes``.
        model: an ONNX file, or a bioimage.io description of one: its YAML file, folder or zip archive.
        cut: tiles, halos, blocks.
        pixels: axes, region, channels, normalization; there are no levels.
        results: what comes out.
        graph: what the model file does not tell.
        machine: device; the scheduler is Dask's own choice.
        given: options, by name, that win over the model's contract even at their default.

    Returns:
        The same kind as ``x``, axes in the order t c z y x, in chunks of whole blocks: ``to_zarr`` writes it as it is.
        Of a model of several outputs, a dict of them by name; computed together, the model runs once.

    Raises:
        TilewiseError: the request cannot be met.
    """
    array, axes = unwrap(x, pixels.axes)
    x, array = cut_region(x, array, axes, pixels)
    known = model if isinstance(model, Model) else Model(model, graph)
    asked = Asked(
        cut=cut,
        pixels=pixels,
        results=results,
        graph=known.graph if graph == Graph() else graph,
        machine=machine,
        given=given,
    )
    if asked.graph.freeze_norms != "none":
        raise SettingError(
            f"--freeze-norms {asked.graph.freeze_norms} with predict, which computes nothing yet",
            "run, which gathers statistics first",
            "Use tilewise.run.",
        )
    asked = settle(asked, known.contract)
    try:
        made = decide(describe(array, axes), known.spec, asked, known.contract)
    except SettingError as error:
        raise blame(error, asked) from error
    found = overlap(array, axes, made, known)
    wrapped: dict[str, Lazy] = {
        name: wrap(result, x, made, product)
        for (name, result), product in zip(found.items(), made.recipe.products, strict=True)
    }
    return wrapped if len(wrapped) > 1 else next(iter(wrapped.values()))
