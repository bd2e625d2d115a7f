"""What is done to one block: cut windows, normalize, batch, infer, trim, finish. Knows neither Dask nor zarr.

Pixels are canonical: [lead..., c, space...], where lead axes are those that the model does not see (t, z).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tilewise.geometry import Box, Grid, Index, source_indices
from tilewise.normalize import apply
from tilewise.postprocess import finish, has_channels
from tilewise.timing import Clock
from tilewise.turns import infer_turned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tilewise.geometry import Span
    from tilewise.settings import Normalization, Results
    from tilewise.stats import Statistics

    Infer = Callable[[np.ndarray], Sequence[np.ndarray]]
    Served = tuple[Box, list[Index]]


@dataclass(frozen=True, slots=True)
class Product:
    """What becomes of one output of the model."""

    name: str
    """The output's name in the graph."""
    folder: str | None
    """Its place below the output, if there are several."""
    layout: str
    """Its axes."""
    channels: int
    """Its channels."""
    dtype: str
    """Type of the result."""
    grid: Grid
    """The cut, with this output's own scale."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How every block of a run is computed."""

    lead: int
    """Number of axes that the model does not see."""
    shape: Index
    """The image: lead axes, then space."""
    neighbours: Index
    """Planes on each side that go in as channels, for each axis that the model does not see; mostly 0."""
    layout: str
    """Axes of the model's input."""
    dtype: str
    """Type of the model's input."""
    products: tuple[Product, ...]
    """What is made of the model's outputs, one at least, in the order in which ``Infer`` gives them."""
    batch: int
    """Tiles in one call; every call has exactly this many."""
    pad: str
    """What stands beyond the image's edges."""
    normalization: Normalization
    """How pixels become the model's numbers."""
    results: Results
    """What becomes of the model's output."""

    @property
    def chain_bytes(self) -> int:
        """Bytes a pixel for steps of a description: copies in double precision."""
        return 3 * 8 if self.normalization.before or self.normalization.after or self.results.steps else 0

    @property
    def spatial_ndim(self) -> int:
        """Axes that the model sees."""
        return len(self.shape) - self.lead


@dataclass(frozen=True, slots=True)
class Counted:
    """Odd pixels of the input, over the cores of a block."""

    nan: int
    """NaN."""
    inf: int
    """Infinity, of either sign."""


def process(
    shown: np.ndarray,
    span: Span,
    recipe: Recipe,
    *,
    statistics: Statistics | None,
    infer: Infer,
    clock: Clock | None = None,
) -> list[np.ndarray]:
    """Run the model over a span of cores.

    Args:
        shown: canonical pixels of the span's window, padded where it reaches outside the image (``show``).
        span: the cores to compute.
        recipe: how.
        statistics: of the image or its slices, if the normalization needs them.
        infer: the model: one batch of exactly ``recipe.batch`` tiles in, in ``recipe.layout``; each product out.
        clock: gets the seconds of each stage.

    Returns:
        For each product the span's cores together: [lead..., c, space...], without c for labels.
    """
    clock = clock or Clock()
    window = span.window
    spans = [replace(span, grid=product.grid) for product in recipe.products]
    # what no tile covers holds the output's fill value
    results = [
        (np.empty if span.kept is None else np.zeros)(
            result_shape(own.placed.shape, product, recipe), dtype=product.dtype
        )
        for own, product in zip(spans, recipe.products, strict=True)
    ]
    layouts = (recipe.layout, [product.layout for product in recipe.products])
    for group in _batches(_windows(span), recipe.batch):
        with clock.stage("normalize"):
            batch = _gather(shown, window, [place for place, _ in group], recipe, statistics)
        with clock.stage("infer"):
            outputs = infer_turned(batch, infer, layouts, recipe.results)
        with clock.stage("finish"):
            for result, output, own in zip(results, outputs, spans, strict=True):
                for given, (_, tiles) in zip(output, group, strict=False):
                    for tile in tiles:
                        _put(result, given, own, tile, recipe)
    return results


def show(pixels: np.ndarray, box: Box, window: Box, recipe: Recipe) -> np.ndarray:
    """The pixels of a window that may reach outside the image: padded by mirrored, edge or no pixels."""
    for axis, (start, stop, size) in enumerate(zip(window.start, window.stop, recipe.shape, strict=True)):
        if start >= 0 and stop <= size:
            continue
        place = axis if axis < recipe.lead else axis + 1
        # beside the first and the last plane stand these themselves
        pad = recipe.pad if axis >= recipe.lead else "edge"
        indices = np.array(source_indices(start, stop, size, pad))
        outside = indices < 0
        pixels = pixels.take(np.where(outside, 0, indices - box.start[axis]), axis=place)
        if outside.any():
            np.moveaxis(pixels, place, 0)[outside] = 0
    return pixels


def count_odd(pixels: np.ndarray, box: Box, core: Box, lead: int) -> Counted:
    """NaN and infinite pixels within the cores."""
    if pixels.dtype.kind != "f":
        return Counted(0, 0)
    slices = core.inside(box).slices
    inner = pixels[(*slices[:lead], slice(None), *slices[lead:])]
    finite = np.isfinite(inner)
    if finite.all():
        return Counted(0, 0)
    nan = int(np.isnan(inner).sum())
    return Counted(nan, int(finite.size - np.count_nonzero(finite)) - nan)


def result_shape(placed: Index, product: Product, recipe: Recipe) -> Index:
    """Shape of the result for cores of this shape: with the channels in their place, or without."""
    if not has_channels(recipe.results):
        return placed
    return (*placed[: recipe.lead], product.channels, *placed[recipe.lead :])


def _windows(span: Span) -> list[Served]:
    """Windows of a span, each once, with the cores that it serves."""
    served: dict[Box, list[Index]] = {}
    for tile in span.tiles():
        served.setdefault(span.grid.window(tile), []).append(tile)
    return list(served.items())


def _batches(items: list[Served], size: int) -> Iterator[list[Served]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _gather(
    shown: np.ndarray, window: Box, places: list[Box], recipe: Recipe, statistics: Statistics | None
) -> np.ndarray:
    """One full batch of normalized tiles; the last one is filled up by repeating its last tile."""
    places = places + places[-1:] * (recipe.batch - len(places))
    # [tiles, planes, c, space...]
    tiles = np.stack([_tile(shown, place.inside(window), recipe) for place in places])
    count, planes, channels, *space = tiles.shape
    if recipe.normalization.of_tile:
        whole = apply(tiles.swapaxes(1, 2), recipe.normalization, dtype=recipe.dtype).swapaxes(1, 2)
    else:
        rows = [row for place in places for row in _slice_numbers(place, recipe)]
        own = None if statistics is None else statistics.take(rows)
        whole = apply(tiles.reshape(-1, channels, *space), recipe.normalization, own, dtype=recipe.dtype)
    return whole.reshape(count, planes * channels, *space)


def _tile(shown: np.ndarray, place: Box, recipe: Recipe) -> np.ndarray:
    """The planes of a tile [planes, c, space...], its neighbours in their order."""
    lead = place.slices[: recipe.lead]
    found = shown[(*lead, slice(None), *place.slices[recipe.lead :])]
    return found.reshape(-1, *found.shape[recipe.lead :])


def _slice_numbers(place: Box, recipe: Recipe) -> list[int]:
    """Which slices of the stack a tile's planes are, in C order over the lead axes."""
    numbers = [0]
    for start, stop, size in zip(place.start, place.stop, recipe.shape[: recipe.lead], strict=False):
        shown = source_indices(start, stop, size, "edge")
        numbers = [n * size + k for n in numbers for k in shown]
    return numbers


def _put(result: np.ndarray, given: np.ndarray, span: Span, tile: Index, recipe: Recipe) -> None:
    taken = span.grid.taken(tile).slices[recipe.lead :]
    core = np.ascontiguousarray(given[(slice(None), *taken)])
    finished = finish(core[np.newaxis], recipe.results, activated=recipe.results.averages_scores)[0]
    placed = span.grid.placed(tile).inside(span.placed)
    channel = (slice(None),) if has_channels(recipe.results) else ()
    result[_index(placed, recipe.lead, *channel)] = finished


def _index(box: Box, lead: int, *channel: slice) -> tuple[int | slice, ...]:
    """A tile's place in canonical pixels: one plane of the lead axes, all channels, a box of space."""
    return (*box.start[:lead], *channel, *box.slices[lead:])
