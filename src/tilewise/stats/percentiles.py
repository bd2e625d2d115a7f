"""Percentiles by numpy's linear rule, from the pixels of the ranks on either side of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewise.stats.histogram import value_of

if TYPE_CHECKING:
    import numpy as np

    from tilewise.stats.histogram import Histogram


@dataclass(frozen=True, slots=True)
class Search:
    """How far one pixel of a given rank has been found."""

    prefix: int
    """Leading bits of its ordered pattern."""
    rank: int
    """Its rank, from 0, among the pixels that begin with them."""

    def within(self, histogram: Histogram, digits: int) -> Search:
        """The same search, so many bits further."""
        return Search(*histogram.find(self.prefix, digits, self.rank))


def searches_for(percentiles: tuple[float, ...], count: int) -> tuple[Search, ...]:
    """For each percentile of so many pixels, the pixel of the rank below and of the rank above it."""
    places = [_place(count, percentile) for percentile in percentiles]
    return tuple(Search(0, rank) for below, above, _ in places for rank in (below, above))


def values_at(
    percentiles: tuple[float, ...], count: int, searches: tuple[Search, ...], dtype: np.dtype
) -> tuple[float, ...]:
    """The percentiles, in float64, from searches that have found their pixels."""
    found = [value_of(search.prefix, dtype) for search in searches]
    return tuple(
        _between(found[2 * k], found[2 * k + 1], _place(count, percentile)[2])
        for k, percentile in enumerate(percentiles)
    )


def _place(count: int, percentile: float) -> tuple[int, int, float]:
    """Rank below, rank above, and how far between them a percentile lies, in numpy's order of operations."""
    virtual = (count - 1) * (percentile / 100)
    below = min(math.floor(virtual), count - 1)
    return below, min(below + 1, count - 1), virtual - below


def _between(a: float, b: float, t: float) -> float:
    return b - (b - a) * (1 - t) if t >= 0.5 else a + (b - a) * t
