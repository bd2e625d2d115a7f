"""Count, extremes, exact sum and exact sum of squares of pixels: what mean and standard deviation come from."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from tilewise.stats.exact import exact_product_sum, exact_sum

CELL = 256
"""Pixels along x that are added in floating point, in one fixed order; cells are then added exactly."""
CHUNK = 1 << 18
"""Pixels at a time: float64 copies of them stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over the finite pixels seen, and how many were not finite."""

    count: int = 0
    """Finite pixels."""
    nan: int = 0
    """Pixels that are not a number."""
    inf: int = 0
    """Infinite pixels of either sign."""
    minimum: int | float | None = None
    """Smallest finite pixel; None if there is none."""
    maximum: int | float | None = None
    """Largest finite pixel; None if there is none."""
    total: Fraction = Fraction(0)
    """Sum of the finite pixels."""
    squares: Fraction = Fraction(0)
    """Sum of their squares."""

    def __add__(self, other: Moments) -> Moments:
        lows = [m.minimum for m in (self, other) if m.minimum is not None]
        highs = [m.maximum for m in (self, other) if m.maximum is not None]
        return Moments(
            self.count + other.count,
            self.nan + other.nan,
            self.inf + other.inf,
            min(lows, default=None),
            max(highs, default=None),
            self.total + other.total,
            self.squares + other.squares,
        )


def moments_of_counts(values: np.ndarray, counts: np.ndarray) -> Moments:
    """Moments from how often each value of an 8- or 16-bit type occurs."""
    if not values.size:
        return Moments()
    wide = values.astype(np.float64)
    finite = np.isfinite(wide)
    nan = int(counts[np.isnan(wide)].sum())
    inf = int(counts[np.isinf(wide)].sum())
    wide, counts = wide[finite], counts[finite]
    if not wide.size:
        return Moments(0, nan, inf)
    return Moments(
        int(counts.sum()),
        nan,
        inf,
        float(wide.min()) + 0.0,
        float(wide.max()) + 0.0,
        exact_product_sum(counts, wide),
        exact_product_sum(counts, wide * wide),
    )


def moments_of_integers(pixels: np.ndarray) -> Moments:
    """Moments of 32- or 64-bit integers, by exact sums of their distances from the smallest of a chunk."""
    found = Moments()
    flat = pixels.ravel()
    for first in range(0, flat.size, CHUNK):
        found += _of_distances(flat[first : first + CHUNK])
    return found


def _of_distances(chunk: np.ndarray) -> Moments:
    n, low, high = chunk.size, int(chunk.min()), int(chunk.max())
    # differences modulo 2**64 are right for signed and unsigned alike
    distance = chunk.astype(np.uint64) - np.uint64(low % 2**64)
    lower, upper = distance & np.uint64(0xFFFFFFFF), distance >> np.uint64(32)
    total, squares = _sum(lower), _dot(lower, lower)
    if high - low >> 32:
        total += _sum(upper) << 32
        squares += (_dot(upper, upper) << 64) + (_dot(upper, lower) << 33)
    return Moments(n, 0, 0, low, high, Fraction(n * low + total), Fraction(squares + 2 * low * total + n * low * low))


def _sum(halves: np.ndarray) -> int:
    return int(halves.sum(dtype=np.uint64))


def _dot(a: np.ndarray, b: np.ndarray) -> int:
    product = a * b
    return (_sum(product >> np.uint64(32)) << 32) + _sum(product & np.uint64(0xFFFFFFFF))


def moments_of_floats(pixels: np.ndarray, origin: int) -> Moments:
    """Moments of 32- or 64-bit floats, by sums over cells of 256 pixels along the last axis.

    The cells are aligned to absolute x = 0, 256, ..., and each is added by itself in one fixed order, so that
    blocks do not matter as long as they begin and end where cells or the image do.

    Args:
        pixels: Any shape; the last axis is x.
        origin: Absolute x of the first pixel.
    """
    found = Moments()
    lines = pixels.reshape(-1, pixels.shape[-1])
    step = max(1, CHUNK // max(1, lines.shape[1]))
    for first in range(0, lines.shape[0], step):
        found += _of_lines(lines[first : first + step], origin % CELL)
    return found


def _of_lines(lines: np.ndarray, lead: int) -> Moments:
    if not lines.size:
        return Moments()
    low, high = float(lines.min()), float(lines.max())
    nan = inf = 0
    finite = None
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = np.isfinite(lines)
        nan = int(np.count_nonzero(np.isnan(lines)))
        inf = int(finite.size - np.count_nonzero(finite)) - nan
        if nan + inf == lines.size:
            return Moments(0, nan, inf)
        low, high = float(lines[finite].min()), float(lines[finite].max())
    total, squares = _sums_of_cells(lines, finite, lead)
    # adding 0.0 turns -0.0 into 0.0: which of the two a minimum is would depend on the order
    return Moments(lines.size - nan - inf, nan, inf, low + 0.0, high + 0.0, total, squares)


def _sums_of_cells(lines: np.ndarray, finite: np.ndarray | None, lead: int) -> tuple[Fraction, Fraction]:
    """Exact sums of x and x² over cells, each taken as n, Σd and Σd² of the distances d from a pivot c.

    Σx = nc + Σd and Σx² = nc² + 2cΣd + Σd²: without the pivot, a large offset would swallow the variance.
    The pivot, a cell's first pixel, has 26 bits, so that nc and c² are exact, and the other products in two parts.
    """
    cells, valid = _cells(lines, finite, lead)
    scale = _safe_scale(cells) if lines.dtype.itemsize == 8 else None
    if scale is not None:
        cells = np.ldexp(cells, -scale[..., np.newaxis])
    pivot = _rounded(cells[..., 0], 26)
    cells -= pivot[..., np.newaxis]
    if valid is not None:
        cells *= valid
        number = np.count_nonzero(valid, axis=-1).astype(np.float64)
    else:
        number = np.full(pivot.shape, float(CELL))
    shift = _fold(cells)
    cells *= cells
    spread = _fold(cells)
    sums = np.stack([number * pivot, shift])
    squares = np.stack([spread, *_products(number, pivot * pivot), *_products(2.0 * pivot, shift)])
    return _exact(sums, scale, 1), _exact(squares, scale, 2)


def _cells(lines: np.ndarray, finite: np.ndarray | None, lead: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Lines as float64 cells, 0 where nothing finite stands, and 1 or 0 for what does; None if all do."""
    rows, length = lines.shape
    width = -(-(lead + length) // CELL) * CELL
    if finite is None and width == length:
        return lines.astype(np.float64).reshape(rows, -1, CELL), None
    cells, valid = np.zeros((rows, width)), np.zeros((rows, width), bool)
    valid[:, lead : lead + length] = True if finite is None else finite
    np.copyto(cells[:, lead : lead + length], lines, where=valid[:, lead : lead + length])
    return cells.reshape(rows, -1, CELL), valid.reshape(rows, -1, CELL)


def _fold(cells: np.ndarray) -> np.ndarray:
    """Sum of each cell by halves: a fixed tree of additions, the same on every processor and layout."""
    width = CELL // 2
    folded: np.ndarray = cells[..., :width] + cells[..., width:]
    while width > 1:
        width //= 2
        folded = folded[..., :width] + folded[..., width:]
    return folded[..., 0]


def _safe_scale(cells: np.ndarray) -> np.ndarray | None:
    """Exponent of two for each cell whose squares would overflow or vanish, 0 for all others; None if all are 0."""
    largest = np.maximum(cells.max(axis=-1), -cells.min(axis=-1))
    scale = np.where(largest > 2.0**500, 600, np.where((largest < 2.0**-400) & (largest > 0), -600, 0))
    return scale if scale.any() else None


def _rounded(values: np.ndarray, bits: int) -> np.ndarray:
    """Values rounded to so many bits."""
    mantissa, exponent = np.frexp(values)
    rounded: np.ndarray = np.ldexp(np.rint(mantissa * 2.0**bits), exponent - bits)
    return rounded


def _products(short: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Products with factors of at most 26 bits, each as two floats whose sum is exact."""
    upper = _rounded(values, 27)
    return short * upper, short * (values - upper)


def _exact(terms: np.ndarray, scale: np.ndarray | None, power: int) -> Fraction:
    if scale is None:
        return exact_sum(terms.ravel())
    return exact_sum(terms.ravel(), np.broadcast_to(scale * power, terms.shape).ravel())
