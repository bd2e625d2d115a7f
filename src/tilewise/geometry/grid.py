"""The cut of all axes: the product of the cuts of each, and the cores that are computed together."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tilewise.geometry.axis import Axis
from tilewise.geometry.box import Box, Index, box_of
from tilewise.geometry.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Iterator


AnyAxis: TypeAlias = Axis | Samples
"""The cut of an axis."""


@dataclass(frozen=True)
class Grid:
    """The cut of the whole image: the product of its axes, leading axes first, then those the model sees."""

    axes: tuple[AnyAxis, ...]
    """One cut an axis, in the order of the block's pixels (channels are never cut)."""

    @property
    def counts(self) -> Index:
        """Cores per axis."""
        return tuple(axis.count for axis in self.axes)

    @property
    def tiles(self) -> int:
        """Cores in all."""
        return math.prod(self.counts)

    @property
    def shape(self) -> Index:
        """The image."""
        return tuple(axis.size for axis in self.axes)

    @property
    def placed_shape(self) -> Index:
        """The output."""
        return tuple(axis.placed(axis.count - 1)[1] for axis in self.axes)

    @property
    def tile(self) -> Index:
        """A window's shape, the same for all."""
        return tuple(axis.tile for axis in self.axes)

    def window(self, index: Index) -> Box:
        """What the model sees for a core, in input pixels; parts may lie outside the image and are padded."""
        return box_of(axis.window(k) for axis, k in zip(self.axes, index, strict=True))

    def core(self, index: Index) -> Box:
        """A core in input pixels."""
        return box_of(axis.core(k) for axis, k in zip(self.axes, index, strict=True))

    def placed(self, index: Index) -> Box:
        """A core in output pixels."""
        return box_of(axis.placed(k) for axis, k in zip(self.axes, index, strict=True))

    def taken(self, index: Index) -> Box:
        """A core in the pixels of its window's output."""
        return box_of(axis.taken(k) for axis, k in zip(self.axes, index, strict=True))

    @property
    def redundancy(self) -> float:
        """Pixels that the model computes per pixel of the image."""
        return math.prod(axis.count * axis.tile / axis.size for axis in self.axes)


@dataclass(frozen=True)
class Span:
    """Neighbouring cores that are computed together."""

    grid: Grid
    """The grid that they belong to."""
    ranges: tuple[range, ...]
    """Which cores, per axis."""
    kept: frozenset[Index] | None = None
    """Those of them that are computed, one at least; None is all. The others are only written."""

    def tiles(self) -> Iterator[Index]:
        """Its cores that are computed, in C order."""
        every = itertools.product(*self.ranges)
        return every if self.kept is None else (tile for tile in every if tile in self.kept)

    @property
    def core(self) -> Box:
        """Its cores together, in input pixels."""
        return Box(self.grid.core(self._first).start, self.grid.core(self._last).stop)

    @property
    def placed(self) -> Box:
        """Its cores together, in output pixels."""
        return Box(self.grid.placed(self._first).start, self.grid.placed(self._last).stop)

    @property
    def seen(self) -> Box:
        """The smallest box around the cores that are computed, in input pixels."""
        first, last = self._ends
        return Box(self.grid.core(first).start, self.grid.core(last).stop)

    @property
    def window(self) -> Box:
        """All that its windows see, in input pixels; it may reach outside the image."""
        first, last = self._ends
        return Box(self.grid.window(first).start, self.grid.window(last).stop)

    @property
    def _ends(self) -> tuple[Index, Index]:
        """The first and the last core, per axis, that is computed."""
        if self.kept is None:
            return self._first, self._last
        places = list(zip(*self.kept, strict=True))
        return tuple(map(min, places)), tuple(map(max, places))

    @property
    def _first(self) -> Index:
        return tuple(cores[0] for cores in self.ranges)

    @property
    def _last(self) -> Index:
        return tuple(cores[-1] for cores in self.ranges)
