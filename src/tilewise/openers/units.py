"""Stored units of an array, such as its chunks, by their index on a grid."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from tilewise.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilewise.geometry import Index


def walk(box: Box, unit: Index) -> Iterator[Index]:
    """Indices of all units that a box touches."""
    return itertools.product(*(range(a // n, -(-b // n)) for a, b, n in zip(box.start, box.stop, unit, strict=True)))


def place_of(index: Index, unit: Index) -> Box:
    """Where a unit lies, as if the array went on behind its end."""
    start = tuple(k * n for k, n in zip(index, unit, strict=True))
    return Box(start, tuple(a + n for a, n in zip(start, unit, strict=True)))


def spread(shape: Index, unit: Index, count: int) -> Iterator[Index]:
    """Indices of at least count units, if there are as many, spread evenly over an array."""
    grid = [-(-n // size) for n, size in zip(shape, unit, strict=True)]
    total = math.prod(grid)
    step = max(total // count, 1)
    for number in range(step // 2, total, step):
        place, rest = [], number
        for n in reversed(grid):
            rest, k = divmod(rest, n)
            place.append(k)
        yield tuple(reversed(place))
