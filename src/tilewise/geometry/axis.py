"""The cut of one axis: cores that partition it and windows that the model sees.

Along one axis of a model that keeps the size::

    image   0 |----------------------------------------------| N ... P
    cores     [   0   )[   1   )[   2   )[   3   )[  4  )             core k   = [kC, min((k+1)C, N))
    windows   [  0        ]                                           window k = [s, s+T)
                   [   1       ]        ...         [   4      ]      s = clamp(kC - before, -a, P + b - T)

Windows slide inside the image at its edges, so that no pixel is invented and the model's own padding acts
where it acts on the whole image. All starts are a multiple of M away from the first, so pooling grids coincide.
A model of valid convolutions loses a pixels before and b after: its image is padded by them, and windows slide
in [-a, P + b).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property


def round_up(value: int, multiple: int) -> int:
    """Smallest multiple not below the value."""
    return -(-value // multiple) * multiple


def round_down(value: int, multiple: int) -> int:
    """Largest multiple not above the value."""
    return value // multiple * multiple


@dataclass(frozen=True)
class Axis:
    """The cut of one axis. Lengths are input pixels; an axis that the model does not see is ``Axis(size=N)``."""

    size: int
    """N: length of the image."""
    tile: int = 1
    """T: length of a window."""
    multiple: int = 1
    """M: windows start at multiples of M from the first."""
    before: int = 0
    """Context kept in front of a core, at least ``lead`` and a multiple of M more."""
    after: int = 0
    """Context kept behind a core, at least ``trail``."""
    lead: int = 0
    """a: input pixels that the model loses in front (valid convolutions)."""
    trail: int = 0
    """b: input pixels that the model loses behind."""
    scale: Fraction = Fraction(1)
    """q: output pixels per input pixel."""

    def __post_init__(self) -> None:
        if self.size < 1 or self.tile < 1 or self.multiple < 1:
            raise ValueError(f"size {self.size}, tile {self.tile}, multiple {self.multiple}: each must be at least 1")
        if self.before < self.lead or self.after < self.trail or self.lead < 0 or self.trail < 0:
            raise ValueError(f"context ({self.before}, {self.after}) is less than ({self.lead}, {self.trail})")
        if (self.before - self.lead) % self.multiple:
            raise ValueError(f"context before ({self.before}) is off the grid of {self.multiple} from {self.lead}")
        if self.step < 1:
            raise ValueError(f"a tile of {self.tile} with context ({self.before}, {self.after}) leaves no core")
        if (self.multiple * self.scale).denominator != 1:
            raise ValueError(f"a scale of {self.scale} does not divide the multiple {self.multiple}")

    @cached_property
    def kept(self) -> int:
        """Input pixels of a window that the model's output covers: T - a - b."""
        return self.tile - self.lead - self.trail

    @cached_property
    def padded(self) -> int:
        """P: smallest length >= N congruent to a window's output modulo M, and at least that long."""
        missing = (self.kept - self.size) % self.multiple
        return max(self.size + missing, self.kept)

    @cached_property
    def whole(self) -> bool:
        """True if one window covers the image."""
        return self.padded == self.kept

    @cached_property
    def step(self) -> int:
        """C: length of a core."""
        if self.tile - self.lead - self.trail >= self.size:
            return self.size
        return round_down(self.tile - self.before - self.after, self.multiple)

    @cached_property
    def count(self) -> int:
        """Number of cores."""
        return -(-self.size // self.step)

    @property
    def origin(self) -> Fraction:
        """Centre of the first output pixel, in input pixels: it lies between those that it stands for."""
        return (1 / self.scale - 1) / 2

    def core(self, k: int) -> tuple[int, int]:
        """Core k in input pixels: [start, stop)."""
        return k * self.step, min((k + 1) * self.step, self.size)

    def window(self, k: int) -> tuple[int, int]:
        """Window k in input pixels: [start, stop), within [-a, P + b)."""
        start = min(max(k * self.step - self.before, -self.lead), self.padded + self.trail - self.tile)
        return start, start + self.tile

    def scaled(self, pixel: int) -> int:
        """An edge of a core in output pixels; the image's end rounds up."""
        return math.ceil(pixel * self.scale)

    def placed(self, k: int) -> tuple[int, int]:
        """Core k in output pixels."""
        start, stop = self.core(k)
        return self.scaled(start), self.scaled(stop)

    def taken(self, k: int) -> tuple[int, int]:
        """Core k in the pixels of the model's output for window k."""
        origin = (self.window(k)[0] + self.lead) * self.scale
        start, stop = self.placed(k)
        return int(start - origin), int(stop - origin)
