"""How an image is cut: cores that partition it, windows that the model sees, blocks that are written.

Pure integers. One axis first; N axes are its product. Along one axis of a model that keeps the size::

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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Index = tuple[int, ...]
"""One integer an axis."""


def round_up(value: int, multiple: int) -> int:
    """Smallest multiple not below the value."""
    return -(-value // multiple) * multiple


def round_down(value: int, multiple: int) -> int:
    """Largest multiple not above the value."""
    return value // multiple * multiple


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


@dataclass(frozen=True)
class Grid:
    """The cut of the whole image: the product of its axes, leading axes first, then those the model sees."""

    axes: tuple[Axis, ...]
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
        return tuple(axis.scaled(axis.size) for axis in self.axes)

    @property
    def tile(self) -> Index:
        """A window's shape, the same for all."""
        return tuple(axis.tile for axis in self.axes)

    def window(self, index: Index) -> Box:
        """What the model sees for a core, in input pixels; parts may lie outside the image and are padded."""
        return _box(axis.window(k) for axis, k in zip(self.axes, index, strict=True))

    def core(self, index: Index) -> Box:
        """A core in input pixels."""
        return _box(axis.core(k) for axis, k in zip(self.axes, index, strict=True))

    def placed(self, index: Index) -> Box:
        """A core in output pixels."""
        return _box(axis.placed(k) for axis, k in zip(self.axes, index, strict=True))

    def taken(self, index: Index) -> Box:
        """A core in the pixels of its window's output."""
        return _box(axis.taken(k) for axis, k in zip(self.axes, index, strict=True))

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

    def tiles(self) -> Iterator[Index]:
        """Its cores, in C order."""
        return _product(self.ranges)

    @property
    def core(self) -> Box:
        """Its cores together, in input pixels."""
        return Box(self.grid.core(self._first).start, self.grid.core(self._last).stop)

    @property
    def placed(self) -> Box:
        """Its cores together, in output pixels."""
        return Box(self.grid.placed(self._first).start, self.grid.placed(self._last).stop)

    @property
    def window(self) -> Box:
        """All that its windows see, in input pixels; it may reach outside the image."""
        return Box(self.grid.window(self._first).start, self.grid.window(self._last).stop)

    @property
    def _first(self) -> Index:
        return tuple(cores[0] for cores in self.ranges)

    @property
    def _last(self) -> Index:
        return tuple(cores[-1] for cores in self.ranges)


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
        return min(stop, cut.size) - max(start, 0)

    def _range(self, axis: int, k: int) -> range:
        m = self.cores[axis]
        return range(k * m, min((k + 1) * m, self.grid.axes[axis].count))


def reflect_index(index: int, size: int) -> int:
    """The pixel within [0, size) that stands at an index beyond the edges; edge pixels are not repeated."""
    if size == 1:
        return 0
    period = 2 * (size - 1)
    index %= period
    return period - index if index >= size else index


def source_indices(start: int, stop: int, size: int, pad: str) -> list[int]:
    """For each index of [start, stop) the pixel of [0, size) that it shows; -1 where ``pad`` is constant."""
    if pad == "reflect":
        return [reflect_index(i, size) for i in range(start, stop)]
    if pad == "edge":
        return [min(max(i, 0), size - 1) for i in range(start, stop)]
    return [i if 0 <= i < size else -1 for i in range(start, stop)]


def source_box(window: Box, shape: Index, pad: str) -> Box:
    """The pixels of the image that a window shows, mirrored ones included: what has to be read for it."""
    ranges = []
    for start, stop, size in zip(window.start, window.stop, shape, strict=True):
        if start >= 0 and stop <= size:
            ranges.append((start, stop))
            continue
        shown = [i for i in source_indices(start, stop, size, pad) if i >= 0]
        ranges.append((min(shown), max(shown) + 1) if shown else (0, 0))
    return _box(iter(ranges))


def _box(ranges: Iterator[tuple[int, int]]) -> Box:
    starts, stops = zip(*ranges, strict=True)
    return Box(starts, stops)


def _product(ranges: tuple[range, ...]) -> Iterator[Index]:
    if not ranges:
        yield ()
        return
    for k in ranges[0]:
        for rest in _product(ranges[1:]):
            yield (k, *rest)
