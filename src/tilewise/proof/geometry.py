"""Sizes of the images that probes run on: long along one axis, as small as the proof allows along the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewise.geometry import round_up

if TYPE_CHECKING:
    from fractions import Fraction

    from tilewise.receptive import Reach


COARSEST = 64
"""Positions of a map up to which the runtime cuts its sums by the size of the map, with one thread."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Geometry of a local model, as the walk claims it."""

    reaches: tuple[Reach, ...]
    """Per spatial axis."""
    multiple: tuple[int, ...]
    """M per axis."""
    remainder: tuple[int, ...]
    """Sizes are this modulo M."""
    fixed: tuple[int, ...] | None
    """The only size, if there is one."""

    def legal(self, axis: int, size: int) -> int:
        """Smallest size that the model takes, not below this one."""
        if self.fixed:
            return self.fixed[axis]
        return round_up(max(size - self.remainder[axis], 0), self.multiple[axis]) + self.remainder[axis]

    def small(self, axis: int) -> int:
        """A size of which the coarsest map has more than 64 positions, as tiles have (9 M a side, in 3-D 5 M)."""
        return self._sized(axis, 9 if len(self.reaches) < 3 else 5)

    def _sized(self, axis: int, positions: int) -> int:
        reach, m = self.reaches[axis], self.multiple[axis]
        return self.legal(axis, max(positions * m, 16, reach.lead + reach.trail + positions * m))

    def step(self, axis: int) -> int:
        """An odd number of M, some sixteen pixels: odd, so that an M that is too small by two is found out."""
        m = self.multiple[axis]
        return m * (max(1, round(16 / m)) | 1)

    def along(self, axis: int, size: int) -> tuple[int, ...]:
        """Long in one axis; the others are as small as more than 64 positions of the coarsest map allow."""
        long, others = size // self.multiple[axis], len(self.reaches) - 1
        positions = next(p for p in range(3, 99) if long * p**others > COARSEST or p > 8)
        return tuple(size if i == axis else self._sized(i, positions) for i in range(len(self.reaches)))

    def scale(self, axis: int) -> Fraction:
        """Output indices per input pixel."""
        return 1 / self.reaches[axis].step

    def clean(self, axis: int, start: int, stop: int, *, before: bool, after: bool) -> tuple[int, int]:
        """Output indices of a window [start, stop) that feel no cut at the ends that are named."""
        reach = self.reaches[axis]
        size = int((stop - start - reach.lead - reach.trail) / reach.step)
        low = -(-(reach.before - reach.lead) // reach.step) if before else 0
        high = size - (-(-(reach.after - reach.trail) // reach.step)) if after else size
        return int(low), int(high)
