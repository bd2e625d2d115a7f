"""Masks on the grid of tiles: one bit a tile, small enough to travel with a plan."""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tilewise.geometry import Samples

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from tilewise.geometry import AnyAxis, Blocks, Index


@dataclass(frozen=True, slots=True)
class Picture:
    """The mask that tiles were held against, as it was found in an overview."""

    axes: str
    """Its axes."""
    shape: Index
    """Pixels per axis."""
    bits: bytes
    """A bit a pixel in C order, eight in a byte, the first in its highest bit."""
    scale: tuple[float, ...]
    """Pixels of the image along one of its own, per axis."""
    start: tuple[float, ...]
    """Where the centre of its first pixel lies in the image, in the image's pixels."""

    @property
    def pixels(self) -> np.ndarray:
        """True where something is."""
        return unpack(self.bits, self.shape)


@dataclass(frozen=True)
class TileMask:
    """Which tiles of a grid are computed."""

    counts: Index
    """Tiles per axis of the grid; 1 along axes where all are alike."""
    bits: bytes
    """A bit a tile in C order, 1 where it is computed; eight in a byte, the first in its highest bit."""
    how: str
    """How it was made."""
    picture: Picture | None = None
    """What it was made from, if that was found and not given."""

    @property
    def digest(self) -> str:
        """sha256 of what it says."""
        return hashlib.sha256(repr(self.counts).encode() + self.bits).hexdigest()

    @property
    def tiles(self) -> np.ndarray:
        """True where a tile is computed, one value a tile."""
        return unpack(self.bits, self.counts)

    def select(self, ranges: Sequence[range]) -> frozenset[Index]:
        """Those of a block's tiles that are computed; nothing but their own bits is looked at."""
        axes = [
            np.asarray(one) if n > 1 else np.zeros(len(one), int) for one, n in zip(ranges, self.counts, strict=True)
        ]
        flat = np.ravel_multi_index(np.ix_(*axes), self.counts)
        found = np.frombuffer(self.bits, np.uint8)[flat >> 3] >> (7 - (flat & 7)) & 1
        chosen = np.broadcast_to(found, [len(one) for one in ranges]).ravel()
        return frozenset(itertools.compress(itertools.product(*ranges), chosen.tolist()))

    def skipped(self, counts: Index) -> int:
        """Tiles of a grid of so many per axis that are not computed."""
        alike = math.prod(n for n, own in zip(counts, self.counts, strict=True) if own == 1)
        kept = int(np.bitwise_count(np.frombuffer(self.bits, np.uint8)).sum())
        return math.prod(counts) - kept * alike

    def find_idle(self, blocks: Blocks) -> Idle:
        """The blocks that have nothing to compute."""
        busy = self.tiles
        for axis, (m, n) in enumerate(zip(blocks.cores, self.counts, strict=True)):
            if n > 1:
                busy = np.logical_or.reduceat(busy, range(0, n, m), axis=axis)
        return Idle(blocks.counts, np.packbits(~busy).tobytes(), busy.shape)


@dataclass(frozen=True)
class Idle:
    """Blocks that have nothing to compute, asked for by their numbers, a stretch at a time."""

    counts: Index
    """Blocks per axis."""
    bits: bytes
    """A bit a block, as those of tiles."""
    own: Index
    """Bits per axis; 1 along axes where all blocks are alike."""

    @cached_property
    def total(self) -> int:
        """How many they are."""
        alike = math.prod(n for n, own in zip(self.counts, self.own, strict=True) if own == 1)
        return int(unpack(self.bits, self.own).sum()) * alike

    def among(self, numbers: np.ndarray) -> np.ndarray:
        """True for those of the blocks of these numbers that are idle; what lies beyond the blocks is not."""
        known = numbers < math.prod(self.counts)
        places = np.unravel_index(np.where(known, numbers, 0), self.counts)
        flat = np.ravel_multi_index([p if n > 1 else p * 0 for p, n in zip(places, self.own, strict=True)], self.own)
        idle: np.ndarray = (np.frombuffer(self.bits, np.uint8)[flat >> 3] >> (7 - (flat & 7)) & 1).astype(bool)
        return idle & known


def pack_tiles(tiles: np.ndarray, how: str, picture: Picture | None = None) -> TileMask:
    """A mask from one value a tile."""
    return TileMask(tuple(int(n) for n in tiles.shape), np.packbits(tiles.astype(bool)).tobytes(), how, picture)


def unpack(bits: bytes, shape: Index) -> np.ndarray:
    """Packed bits as booleans."""
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=math.prod(shape)).astype(bool).reshape(shape)


@dataclass(frozen=True, slots=True)
class Fit:
    """Where the tiles of an axis lie in the pixels of a mask."""

    start: tuple[int, ...]
    """First mask pixel that each tile's core touches."""
    stop: tuple[int, ...]
    """One behind the last."""

    def take(self, part: slice) -> Fit:
        """Some of the tiles."""
        return Fit(self.start[part], self.stop[part])

    def moved(self) -> Fit:
        """The same in pixels counted from the first one."""
        first = self.start[0]
        return Fit(tuple(a - first for a in self.start), tuple(b - first for b in self.stop))


def fit_axis(axis: AnyAxis, size: int, scale: Fraction, offset: Fraction, margin: int = 0) -> Fit:
    """The pixels of a mask that the cores of an axis touch; those beyond its ends touch its outermost ones.

    Args:
        axis: the cut.
        size: pixels of the mask.
        scale: mask pixels along one pixel of the image.
        offset: where the image's first edge lies in the mask, in its pixels.
        margin: pixels of the image by which each core is grown.
    """
    starts, stops = [], []
    for k in range(axis.count):
        # all that a tile of a vector sees makes the vector
        low, high = axis.window(k) if isinstance(axis, Samples) else axis.core(k)
        first = math.floor((low - margin) * scale + offset)
        last = math.ceil((high + margin) * scale + offset)
        first = min(max(first, 0), size - 1)
        starts.append(first)
        stops.append(min(max(last, first + 1), size))
    return Fit(tuple(starts), tuple(stops))


def touch(mask: np.ndarray, fits: Sequence[Fit | None]) -> np.ndarray:
    """One value a tile: true if any pixel of the mask above 0 lies in the tile's part of it.

    Args:
        mask: pixels, true where something is.
        fits: per axis where the tiles lie; None asks for one value over the whole axis.
    """
    found: np.ndarray = mask
    for axis, fit in enumerate(fits):
        if fit is None:
            found = np.logical_or.reduce(found, axis=axis, keepdims=True)
            continue
        zero = np.zeros_like(found.take([0], axis=axis), dtype=np.int64)
        sums = np.concatenate([zero, np.cumsum(found, axis=axis, dtype=np.int64)], axis=axis)
        found = sums.take(fit.stop, axis=axis) > sums.take(fit.start, axis=axis)
    return found
