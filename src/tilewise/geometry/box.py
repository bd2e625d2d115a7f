"""Half-open boxes of integers, one number an axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Index = tuple[int, ...]
"""One integer an axis."""


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open box [start, stop), one integer an axis."""

    start: Index
    """First index, per axis."""
    stop: Index
    """One past the last index, per axis."""

    def __post_init__(self) -> None:
        if len(self.start) != len(self.stop) or any(a > b for a, b in zip(self.start, self.stop, strict=True)):
            raise ValueError(f"box from {self.start} to {self.stop}: starts must not lie behind stops")

    @property
    def shape(self) -> Index:
        """Length per axis."""
        return tuple(b - a for a, b in zip(self.start, self.stop, strict=True))

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def slices(self) -> tuple[slice, ...]:
        """For indexing an array."""
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))

    def shift(self, by: Index) -> Box:
        """The same box, moved."""
        return Box(
            tuple(a + d for a, d in zip(self.start, by, strict=True)),
            tuple(b + d for b, d in zip(self.stop, by, strict=True)),
        )

    def inside(self, outer: Box) -> Box:
        """This box in coordinates that start where the outer one does."""
        return self.shift(tuple(-a for a in outer.start))

    def clip(self, shape: Index) -> Box:
        """What of it lies within [0, shape)."""
        return Box(
            tuple(min(max(a, 0), n) for a, n in zip(self.start, shape, strict=True)),
            tuple(min(max(b, 0), n) for b, n in zip(self.stop, shape, strict=True)),
        )


def box_of(ranges: Iterable[tuple[int, int]]) -> Box:
    """A box from its (start, stop) pairs, one an axis."""
    starts, stops = zip(*ranges, strict=True)
    return Box(starts, stops)
