"""Cores gathered into blocks: the unit of work, of resume and of writing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewise.geometry.grid import Span

if TYPE_CHECKING:
    from tilewise.geometry.box import Index
    from tilewise.geometry.grid import Grid


@dataclass(frozen=True)
class Blocks:
    """The grid gathered into blocks of ``cores`` cores an axis: the unit of work, of resume and of writing."""

    grid: Grid
    """The cores."""
    cores: Index
    """Cores per axis in a block; the last block of an axis may hold fewer."""

    def __post_init__(self) -> None:
        if len(self.cores) != len(self.grid.axes) or any(m < 1 for m in self.cores):
            raise ValueError(f"{self.cores} cores a block: one number of at least 1 for each of the grid's axes")

    @property
    def counts(self) -> Index:
        """Blocks per axis."""
        return tuple(-(-n // m) for n, m in zip(self.grid.counts, self.cores, strict=True))

    @property
    def total(self) -> int:
        """Blocks in all."""
        return math.prod(self.counts)

    @property
    def shape(self) -> Index:
        """A whole block in input pixels."""
        return tuple(m * axis.step for m, axis in zip(self.cores, self.grid.axes, strict=True))

    @property
    def placed_shape(self) -> Index:
        """A whole block in output pixels: the output's shard."""
        return tuple(axis.scaled(n) for n, axis in zip(self.shape, self.grid.axes, strict=True))

    def index(self, number: int) -> Index:
        """Place of a block from its number, in C order."""
        place = []
        for n in reversed(self.counts):
            number, k = divmod(number, n)
            place.append(k)
        return tuple(reversed(place))

    def number(self, index: Index) -> int:
        """Number of a block from its place."""
        number = 0
        for k, n in zip(index, self.counts, strict=True):
            number = number * n + k
        return number

    def span(self, index: Index) -> Span:
        """The cores of a block."""
        return Span(self.grid, tuple(self._range(axis, k) for axis, k in enumerate(index)))

    @property
    def largest_window(self) -> Index:
        """Upper bound of a block's window per axis, in input pixels."""
        return tuple(
            (min(m, axis.count) - 1) * axis.step + axis.tile for m, axis in zip(self.cores, self.grid.axes, strict=True)
        )

    def read_pixels(self) -> int:
        """Pixels within the image that all blocks read together."""
        return math.prod(sum(self._read_length(axis, k) for k in range(n)) for axis, n in enumerate(self.counts))

    def _read_length(self, axis: int, k: int) -> int:
        cut = self.grid.axes[axis]
        cores = self._range(axis, k)
        start, stop = cut.window(cores[0])[0], cut.window(cores[-1])[1]
        # a window may lie beyond the image, where tiles of one vector leave gaps
        return max(min(stop, cut.size) - max(start, 0), 0)

    def _range(self, axis: int, k: int) -> range:
        m = self.cores[axis]
        return range(k * m, min((k + 1) * m, self.grid.axes[axis].count))
