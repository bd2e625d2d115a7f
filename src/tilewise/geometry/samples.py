"""The cut of one axis for a model that gives one vector a tile: a sample every S pixels, nothing trimmed.

Along one axis, here with T > S::

    image     0 |---------------------------------------| N
    windows     [ 0         ]                                         window k = [kS, kS + T)
                       [ 1         ]
                              ...            [ n-1         ]          n = max(1, ceil((N - T) / S) + 1)
    output         0      1         ...           n-1                 one pixel of length S a window

No window slides; the last one may reach over the image and is padded. With T < S there are gaps between windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property


@dataclass(frozen=True)
class Samples:
    """The cut of one axis into tiles of which each gives one number a channel. Lengths are input pixels."""

    size: int
    """N: length of the image."""
    tile: int
    """T: length of a window."""
    step: int
    """S: how far apart windows start; the length of an output pixel, and of a core."""

    def __post_init__(self) -> None:
        if self.size < 1 or self.tile < 1 or self.step < 1:
            raise ValueError(f"size {self.size}, tile {self.tile}, step {self.step}: each must be at least 1")

    @property
    def multiple(self) -> int:
        """Windows start at multiples of it."""
        return self.step

    @property
    def lead(self) -> int:
        """No pixel is lost in front."""
        return 0

    @property
    def trail(self) -> int:
        """No pixel is lost behind."""
        return 0

    @property
    def scale(self) -> Fraction:
        """Output pixels per input pixel."""
        return Fraction(1, self.step)

    @property
    def origin(self) -> Fraction:
        """Centre of the first output pixel, in input pixels."""
        return Fraction(self.tile - 1, 2)

    @cached_property
    def count(self) -> int:
        """n: number of windows."""
        return max(1, -(-(self.size - self.tile) // self.step) + 1)

    @property
    def whole(self) -> bool:
        """True if there is one window."""
        return self.count == 1

    @cached_property
    def padded(self) -> int:
        """Length that image and windows cover together."""
        return max(self.size, (self.count - 1) * self.step + self.tile)

    def core(self, k: int) -> tuple[int, int]:
        """The part of the image that window k stands for: [start, stop), the last one up to the image's end.

        It is empty where a gap between windows takes the last one out of the image.
        """
        start = k * self.step
        stop = self.size if k == self.count - 1 else min(start + self.step, self.size)
        return start, max(start, stop)

    def window(self, k: int) -> tuple[int, int]:
        """Window k in input pixels."""
        return k * self.step, k * self.step + self.tile

    def scaled(self, pixel: int) -> int:
        """An edge of a core in output pixels."""
        return -(-pixel // self.step)

    def placed(self, k: int) -> tuple[int, int]:
        """Window k in output pixels."""
        return k, k + 1

    def taken(self, k: int) -> tuple[int, int]:  # noqa: ARG002  the same for every window
        """What of a window's result is kept: all of it."""
        return 0, 1
