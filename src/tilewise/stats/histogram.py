"""Histograms of bit patterns: percentiles to the last bit, 16 bits of the pattern at a pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

DIGIT = 16
"""Bits of a pattern that one pass over the image resolves."""
CHUNK = 1 << 18
"""Pixels at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How often each key was seen; only keys that were, so that it stays small on its way."""

    keys: np.ndarray
    """Leading bits of ordered patterns, rising, uint64."""
    counts: np.ndarray
    """Pixels for each key, int64."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return np.array_equal(self.keys, other.keys) and np.array_equal(self.counts, other.counts)

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Histogram) -> Histogram:
        keys, places = np.unique(np.concatenate([self.keys, other.keys]), return_inverse=True)
        counts = np.zeros(keys.size, np.int64)
        np.add.at(counts, places, np.concatenate([self.counts, other.counts]))
        return Histogram(keys, counts)

    def find(self, prefix: int, digits: int, rank: int) -> tuple[int, int]:
        """The key that holds the pixel of this rank, and the pixel's rank within it.

        Args:
            prefix: Only keys that begin with it are counted.
            digits: Bits of a key behind the prefix.
            rank: From 0, among the pixels of those keys.
        """
        edges = np.array([prefix << digits, (prefix + 1 << digits) - 1], np.uint64)
        first, last = self.keys.searchsorted(edges[0]), self.keys.searchsorted(edges[1], side="right")
        reached = np.cumsum(self.counts[first:last])
        k = int(np.searchsorted(reached, rank, side="right"))
        return int(self.keys[first + k]), rank - int(reached[k - 1] if k else 0)


def digits_of(dtype: np.dtype) -> int:
    """Bits that one pass resolves: 8 for 8-bit types, else 16."""
    return min(DIGIT, 8 * dtype.itemsize)


def ordered(pixels: np.ndarray) -> np.ndarray:
    """Unsigned integers of the same width that sort as the pixels do (-0.0 below 0.0)."""
    width = 8 * pixels.dtype.itemsize
    bits: np.ndarray = pixels.view(f"u{pixels.dtype.itemsize}")
    top = bits.dtype.type(1 << (width - 1))
    turned: np.ndarray
    if pixels.dtype.kind in "bu":
        return bits
    if pixels.dtype.kind == "i":
        turned = bits ^ top
        return turned
    # a negative float has all bits turned round, another one its sign bit
    turned = (pixels.view(f"i{pixels.dtype.itemsize}") >> (width - 1)).view(bits.dtype)
    turned |= top
    turned ^= bits
    return turned


def value_of(key: int, dtype: np.dtype) -> float:
    """The pixel whose ordered pattern this is."""
    width = 8 * dtype.itemsize
    top = 1 << (width - 1)
    if dtype.kind == "i":
        key ^= top
    elif dtype.kind == "f":
        key = key ^ top if key & top else key ^ ((1 << width) - 1)
    return float(np.array([key], f"u{dtype.itemsize}").view(dtype)[0]) + 0.0


@cache
def patterns(dtype: np.dtype) -> np.ndarray:
    """Every value of an 8- or 16-bit type, by its bit pattern."""
    return np.arange(1 << 8 * dtype.itemsize).astype(f"u{dtype.itemsize}").view(dtype)


def count_patterns(pixels: np.ndarray) -> np.ndarray:
    """Pixels of an 8- or 16-bit type for each of its bit patterns."""
    codes = pixels.reshape(-1).view(f"u{pixels.dtype.itemsize}")
    size = 1 << 8 * pixels.dtype.itemsize
    counts = np.zeros(size, np.int64)
    for first in range(0, codes.size, 4 * CHUNK):
        counts += np.bincount(codes[first : first + 4 * CHUNK], minlength=size)
    return counts


def histogram_of_counts(counts: np.ndarray, dtype: np.dtype) -> Histogram:
    """The finite values of an 8- or 16-bit type in rising order."""
    values = patterns(dtype)
    codes = np.flatnonzero((counts > 0) & (np.isfinite(values) if dtype.kind == "f" else True))
    keys = ordered(values[codes]).astype(np.uint64)
    order = np.argsort(keys)
    return Histogram(keys[order], counts[codes][order])


def histogram_of_digits(pixels: np.ndarray, prefixes: tuple[int, ...] | None, shift: int) -> Histogram:
    """Patterns of 32- or 64-bit pixels, cut to 16 more bits than the prefixes; NaN and infinity left out.

    Args:
        pixels: Any shape.
        prefixes: Leading bits of the patterns that are counted; None counts all.
        shift: Bits that later passes resolve.
    """
    flat = pixels.reshape(-1)
    bins = {prefix: np.zeros(1 << DIGIT, np.int64) for prefix in sorted(set(prefixes or (0,)))}
    for first in range(0, flat.size, CHUNK):
        chunk = flat[first : first + CHUNK]
        if chunk.dtype.kind == "f" and not (finite := np.isfinite(chunk)).all():
            chunk = chunk[finite]
        bits = ordered(chunk)
        keys = bits >> bits.dtype.type(shift)
        for prefix in bins:
            bins[prefix] += _count_digits(keys, None if prefixes is None else prefix)
    seen = {prefix: np.flatnonzero(counts) for prefix, counts in bins.items()}
    return Histogram(
        np.concatenate([found.astype(np.uint64) + np.uint64(prefix << DIGIT) for prefix, found in seen.items()]),
        np.concatenate([bins[prefix][found] for prefix, found in seen.items()]),
    )


def _count_digits(keys: np.ndarray, prefix: int | None) -> np.ndarray:
    if prefix is not None:
        keys = keys[keys >> keys.dtype.type(DIGIT) == keys.dtype.type(prefix)]
    return np.bincount((keys & keys.dtype.type(0xFFFF)).astype(np.intp), minlength=1 << DIGIT)
