"""Sizes of the images that probes run on: long along one axis, as small as the proof allows along the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewise.geometry import round_up

if TYPE_CHECKING:
    from fractions import Fraction

    from tilewise.receptive import Reach


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
        """A size at which the coarsest map has more than 64 positions, as tiles have (9 M a side, in 3-D 5 M)."""
        reach, m = self.reaches[axis], self.multiple[axis]
        positions = 9 if len(self.reaches) < 3 else 5
        return self.legal(axis, max(positions * m, 16, reach.lead + reach.trail + 4 * m))

    def step(self, axis: int) -> int:
        """An odd number of M, some sixteen pixels: odd, so that an M that is too small by two is found out."""
        m = self.multiple[axis]
        return m * (max(1, round(16 / m)) | 1)

    def along(self, axis: int, size: int) -> tuple[int, ...]:
        """Small but for one axis."""
        return tuple(size if i == axis else self.small(i) for i in range(len(self.reaches)))

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
