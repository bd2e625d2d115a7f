"""Passes over an image: blocks give partials, partials merge in any order, each pass sharpens the percentiles.

state = start(request)
for _ in range(request.passes):
    partials = [accumulate(request, state, pixels, x_origin=x) for x, pixels in blocks]
    state = advance(request, state, merge(*partials))
statistics = finish(request, state)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tilewise.errors import ImageError
from tilewise.stats.exact import root
from tilewise.stats.histogram import (
    DIGIT,
    Histogram,
    count_patterns,
    digits_of,
    histogram_of_counts,
    histogram_of_digits,
    patterns,
)
from tilewise.stats.moments import Moments, moments_of_counts, moments_of_floats, moments_of_integers
from tilewise.stats.percentiles import Search, searches_for, values_at
from tilewise.stats.statistics import Statistics
from tilewise.steps import Step, take

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilewise.settings import Normalization

Key = tuple[int, int]
"""Slice and channel of a set of statistics; 0 where they are taken over all."""


NONE = (math.nan, math.nan)
"""Where nothing finite was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is wanted of an image."""

    dtype: str
    """Type of the pixels, numpy's name."""
    per_slice: bool = False
    """Statistics for each slice by itself."""
    per_channel: bool = True
    """Statistics for each channel by itself."""
    percentiles: tuple[float, float] | None = None
    """The two percentiles, if they are wanted."""
    before: tuple[Step, ...] = ()
    """What pixels go through before they are looked at; the type is float64 then."""

    def __post_init__(self) -> None:
        dtype = np.dtype(self.dtype)
        if dtype.kind not in "buif" or dtype.itemsize > 8:
            raise ImageError(
                f"pixels of type {dtype}",
                "integers, booleans or floats of at most 64 bits",
                "Convert the image to one of them.",
            )

    @property
    def passes(self) -> int:
        """How often the image has to be read."""
        if self.percentiles is None:
            return 1
        return max(1, 8 * np.dtype(self.dtype).itemsize // DIGIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What earlier passes found; small, and all that a later pass needs to know."""

    number: int = 0
    """Passes that are done."""
    moments: dict[Key, Moments] = field(default_factory=dict)
    """Sums of the first pass."""
    searches: dict[Key, tuple[Search, ...]] = field(default_factory=dict)
    """For each percentile the pixels of the rank below and above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """What one block, or several together, give to a pass; only the slices that were seen are in it."""

    moments: dict[Key, Moments] = field(default_factory=dict)
    """Sums, in the first pass."""
    histograms: dict[Key, Histogram] = field(default_factory=dict)
    """Patterns near the percentiles that are sought."""


def request_for(normalization: Normalization, dtype: np.dtype | str) -> Request:
    """What a normalization needs to know of pixels of this type. Scope tile takes each tile as a slice."""
    return Request(
        dtype="float64" if normalization.before else np.dtype(dtype).newbyteorder("=").name,
        before=normalization.before,
        per_slice=normalization.scope != "image",
        per_channel=normalization.stats == "channel",
        percentiles=normalization.percentiles if normalization.kind == "percentile" else None,
    )


def start(request: Request) -> State:  # noqa: ARG001 - the face of a pass is the same from first to last
    """The state before the first pass."""
    return State()


def accumulate(
    request: Request, state: State, pixels: np.ndarray, *, x_origin: int = 0, slices: Sequence[int] | None = None
) -> Partial:
    """What a block adds to the pass that follows a state.

    Args:
        request: What is wanted.
        state: What earlier passes found.
        pixels: Axes (slices, channels, spatial...), the last of them x.
        x_origin: Absolute x of the first pixel. Blocks must meet at multiples of 256 along x.
        slices: Number of each slice within the image; by default 0, 1, ...
    """
    pixels = take(np.asarray(pixels, np.dtype(request.dtype)), request.before)
    partial = Partial()
    for s, number in enumerate(range(pixels.shape[0]) if slices is None else slices):
        for c in range(pixels.shape[1]):
            key = (number if request.per_slice else 0, c if request.per_channel else 0)
            seen = _look(request, state, key, np.ascontiguousarray(pixels[s, c]), x_origin)
            _add(partial, seen)
    return partial


def merge(*partials: Partial) -> Partial:
    """Partials of the same pass as one; associative and commutative, and of nothing it is empty."""
    merged = Partial()
    for partial in partials:
        _add(merged, partial)
    return merged


def advance(request: Request, state: State, partial: Partial) -> State:
    """The state after a pass, from the partials of all blocks merged."""
    moments, searches = state.moments, state.searches
    if state.number == 0:
        moments = dict(sorted(partial.moments.items()))
        searches = {key: searches_for(request.percentiles or (), m.count) for key, m in moments.items() if m.count}
    if request.percentiles is not None:
        digits = digits_of(np.dtype(request.dtype))
        searches = {
            key: tuple(search.within(partial.histograms[key], digits) for search in sought)
            for key, sought in searches.items()
        }
    return State(number=state.number + 1, moments=moments, searches=searches)


def finish(request: Request, state: State) -> Statistics:
    """The statistics, once ``request.passes`` passes are done."""
    if state.number != request.passes:
        raise ValueError(f"{state.number} passes are done of {request.passes}")
    slices = 1 + max((s for s, _ in state.moments), default=0)
    channels = 1 + max((c for _, c in state.moments), default=0)
    keys = [(s, c) for s in range(slices) for c in range(channels)]
    moments = [state.moments.get(key, Moments()) for key in keys]
    spreads = [_mean_and_std(m) for m in moments]
    ends = [_ends(request, m.count, state.searches.get(key, ())) for key, m in zip(keys, moments, strict=True)]

    def table(values: list[int] | list[float], dtype: type) -> np.ndarray:
        return np.array(values, dtype).reshape(slices, channels)

    return Statistics(
        count=table([m.count for m in moments], np.int64),
        nan=table([m.nan for m in moments], np.int64),
        inf=table([m.inf for m in moments], np.int64),
        mean=table([mean for mean, _ in spreads], np.float64),
        std=table([std for _, std in spreads], np.float64),
        minimum=table([math.nan if m.minimum is None else float(m.minimum) for m in moments], np.float64),
        maximum=table([math.nan if m.maximum is None else float(m.maximum) for m in moments], np.float64),
        low=table([low for low, _ in ends], np.float64),
        high=table([high for _, high in ends], np.float64),
    )


def statistics_of(pixels: np.ndarray, normalization: Normalization) -> Statistics:
    """Statistics of an array in memory, with axes (slices, channels, spatial...): the serial twin of a run."""
    request = request_for(normalization, pixels.dtype)
    state = start(request)
    for _ in range(request.passes):
        state = advance(request, state, accumulate(request, state, pixels))
    return finish(request, state)


def _add(partial: Partial, other: Partial) -> None:
    for key, moments in other.moments.items():
        partial.moments[key] = partial.moments[key] + moments if key in partial.moments else moments
    for key, histogram in other.histograms.items():
        partial.histograms[key] = partial.histograms[key] + histogram if key in partial.histograms else histogram


def _look(request: Request, state: State, key: Key, plane: np.ndarray, x_origin: int) -> Partial:
    """One channel of one slice."""
    dtype = np.dtype(request.dtype)
    if dtype.itemsize <= 2:
        counts = count_patterns(plane)
        seen = np.flatnonzero(counts)
        moments = moments_of_counts(patterns(dtype)[seen], counts[seen])
        histograms = {} if request.percentiles is None else {key: histogram_of_counts(counts, dtype)}
        return Partial(moments={key: moments}, histograms=histograms)
    shift = 8 * dtype.itemsize - DIGIT * (state.number + 1)
    if state.number:
        prefixes = tuple(s.prefix for s in state.searches.get(key, ()))
        return Partial(histograms={key: histogram_of_digits(plane, prefixes, shift)}) if prefixes else Partial()
    moments = moments_of_floats(plane, x_origin) if dtype.kind == "f" else moments_of_integers(plane)
    histograms = {} if request.percentiles is None else {key: histogram_of_digits(plane, None, shift)}
    return Partial(moments={key: moments}, histograms=histograms)


def _mean_and_std(moments: Moments) -> tuple[float, float]:
    """Population mean and standard deviation from exact sums, each rounded once."""
    if not moments.count or moments.minimum is None:
        return NONE
    if moments.minimum == moments.maximum:
        # sums of floats are exact over cells only up to the additions inside a cell
        return float(moments.minimum), 0.0
    mean = moments.total / moments.count
    return float(mean), root(moments.squares / moments.count - mean * mean)


def _ends(request: Request, count: int, searches: tuple[Search, ...]) -> tuple[float, ...]:
    if request.percentiles is None or not searches:
        return NONE
    return values_at(request.percentiles, count, searches, np.dtype(request.dtype))
