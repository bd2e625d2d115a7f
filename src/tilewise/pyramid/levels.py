"""The geometry of a pyramid: shapes of its levels, shards of a level, and what a shard stands on."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from tilewise.geometry import Box, Index

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIDE = 512
"""The coarsest level of ``auto`` is no longer than this along any spatial axis: a viewer shows it at once."""

LIKE = 2 * (1 - 1e-6)
"""Pixels less than so many times as long as the finest are halved with it, so that coarser pixels become cubes."""


@dataclass(frozen=True)
class Pyramid:
    """Levels of one output, the finest first; numbers per axis are in the order of the output's axes."""

    shape: Index
    """Pixels of level 0."""
    shard: Index
    """The unit written, on every level."""
    steps: tuple[Index, ...]
    """For each coarser level, pixels of the level below that one pixel stands for: 1 or 2 per axis."""

    def __post_init__(self) -> None:
        if any(len(step) != len(self.shape) or set(step) - {1, 2} for step in self.steps):
            raise ValueError(f"steps {self.steps}: 1 or 2 for each of the {len(self.shape)} axes")

    @property
    def levels(self) -> int:
        """How many there are, level 0 included."""
        return 1 + len(self.steps)

    def factor(self, level: int) -> Index:
        """Pixels of level 0 that a pixel stands for."""
        return tuple(math.prod(step[k] for step in self.steps[:level]) for k in range(len(self.shape)))

    def shape_of(self, level: int) -> Index:
        """Pixels of a level; the last pixel of an axis may stand for fewer than the others."""
        return tuple(-(-n // f) for n, f in zip(self.shape, self.factor(level), strict=True))

    def counts(self, level: int) -> Index:
        """Shards of a level, per axis."""
        return self._counts[level]

    @cached_property
    def _counts(self) -> tuple[Index, ...]:
        return tuple(
            tuple(-(-n // s) for n, s in zip(self.shape_of(level), self.shard, strict=True))
            for level in range(self.levels)
        )

    def total(self, level: int) -> int:
        """Shards of a level."""
        return math.prod(self.counts(level))

    @property
    def pixels(self) -> int:
        """Of all levels together."""
        return sum(math.prod(self.shape_of(level)) for level in range(self.levels))

    def index(self, level: int, number: int) -> Index:
        """Place of a shard from its number, in C order."""
        return tuple(int(k) for k in np.unravel_index(number, self.counts(level)))

    def box(self, level: int, number: int) -> Box:
        """A shard in the pixels of its level."""
        start = tuple(k * s for k, s in zip(self.index(level, number), self.shard, strict=True))
        stop = tuple(a + s for a, s in zip(start, self.shard, strict=True))
        return Box(start, stop).clip(self.shape_of(level))

    def below(self, level: int, box: Box) -> Box:
        """What a box of a level stands on, in the pixels of the level below."""
        step = self.steps[level - 1]
        start = tuple(a * f for a, f in zip(box.start, step, strict=True))
        stop = tuple(b * f for b, f in zip(box.stop, step, strict=True))
        return Box(start, stop).clip(self.shape_of(level - 1))

    def parents(self, level: int, number: int) -> list[int]:
        """Numbers of the shards of the level below that a shard stands on: at least one, at most two an axis."""
        counts = self.counts(level - 1)
        ranges = [
            range(k * f, min((k + 1) * f, n))
            for k, f, n in zip(self.index(level, number), self.steps[level - 1], counts, strict=True)
        ]
        return [_number(place, counts) for place in itertools.product(*ranges)]

    def child(self, level: int, number: int) -> int | None:
        """Number of the one shard of the next level that stands on this one; None on the coarsest."""
        if level >= len(self.steps):
            return None
        place = tuple(k // f for k, f in zip(self.index(level, number), self.steps[level], strict=True))
        return _number(place, self.counts(level + 1))

    def pieces(self, level: int, number: int) -> Iterator[Box]:
        """Boxes that partition a shard, in the pixels of its level, each standing on one shard of the level below.

        Where a shard has an odd side, a piece also takes the first pixels of the next one.
        """
        box = self.box(level, number)
        ranges = []
        for start, stop, side, step in zip(box.start, box.stop, self.shard, self.steps[level - 1], strict=True):
            middle = min(start + -(-side // step), stop)
            ranges.append([(start, middle), (middle, stop)] if start < middle < stop else [(start, stop)])
        for piece in itertools.product(*ranges):
            starts, stops = zip(*piece, strict=True)
            yield Box(starts, stops)


@dataclass(frozen=True)
class Rows:
    """Shards of all coarser levels in one numbering: outputs in turn, their levels from fine to coarse, C order."""

    pyramids: tuple[Pyramid, ...]
    """One an output."""

    @property
    def total(self) -> int:
        """Shards of all coarser levels."""
        return self._starts[-1][2]

    def locate(self, row: int) -> tuple[int, int, int]:
        """Output, level and number of a row."""
        if not 0 <= row < self.total:
            raise ValueError(f"row {row} of {self.total}")
        output, level, start = next(entry for entry in reversed(self._starts[:-1]) if entry[2] <= row)
        return output, level, row - start

    def row(self, output: int, level: int, number: int) -> int:
        """Row of a shard of a coarser level."""
        return next(start for o, l, start in self._starts if (o, l) == (output, level)) + number

    @cached_property
    def _starts(self) -> list[tuple[int, int, int]]:
        """Output, level and first row of each level, and the end."""
        starts, row = [], 0
        for output, pyramid in enumerate(self.pyramids):
            for level in range(1, pyramid.levels):
                starts.append((output, level, row))
                row += pyramid.total(level)
        return [*starts, (len(self.pyramids), 0, row)]


def choose_steps(
    shape: Sequence[int], scale: Sequence[float], *, space: Sequence[bool], levels: int | Literal["auto"] = "auto"
) -> tuple[Index, ...]:
    """Which axes each level halves: those whose pixels are less than twice as long as the finest.

    Args:
        shape: pixels per axis.
        scale: size of a pixel per axis, in one unit for all spatial axes.
        space: which axes may be halved.
        levels: how many levels, level 0 included, as far as there is something to halve; ``auto`` goes on until no
            spatial axis is longer than 512 pixels.
    """
    lengths, sizes = list(shape), [abs(s) or 1.0 for s in scale]
    steps: list[Index] = []
    while levels == "auto" or len(steps) < levels - 1:
        open_axes = [k for k, free in enumerate(space) if free and lengths[k] > 1]
        if not open_axes or (levels == "auto" and max(lengths[k] for k in open_axes) <= SIDE):
            break
        finest = min(sizes[k] for k in open_axes)
        step = tuple(2 if k in open_axes and sizes[k] < LIKE * finest else 1 for k in range(len(lengths)))
        lengths = [-(-n // f) for n, f in zip(lengths, step, strict=True)]
        sizes = [s * f for s, f in zip(sizes, step, strict=True)]
        steps.append(step)
    return tuple(steps)


def _number(place: Sequence[int], counts: Index) -> int:
    number = 0
    for k, n in zip(place, counts, strict=True):
        number = number * n + k
    return number
