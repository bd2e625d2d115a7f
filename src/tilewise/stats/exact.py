"""Exact arithmetic: sums of floats without rounding, and roots that are rounded once."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

HALF = 26
"""Bits of a mantissa's lower part; 53-bit mantissas are added in two parts so that float64 bins never round."""


def exact_sum(values: np.ndarray, scale: np.ndarray | None = None) -> Fraction:
    """Sum of finite float64 values without any rounding, so that neither order nor grouping matters.

    Values of the same exponent are added as integers, in two halves of at most 27 bits: up to 2**26 values fit.

    Args:
        values: One axis, at most 2**26 values.
        scale: A power of two for each value, as an integer exponent, that is multiplied back into it.
    """
    if not values.size:
        return Fraction(0)
    mantissa, exponent = np.frexp(values)
    exponent = exponent.astype(np.int64)
    if scale is not None:
        exponent += scale
    lowest = int(exponent.min())
    bins = exponent - lowest
    whole = mantissa * 2.0**27
    upper = np.floor(whole)
    uppers = np.bincount(bins, upper)
    lowers = np.bincount(bins, (whole - upper) * 2.0**HALF)
    total = 0
    for k in np.flatnonzero((uppers != 0) | (lowers != 0)).tolist():
        total += ((int(uppers[k]) << HALF) + int(lowers[k])) << k
    return _scaled(total, lowest - 53)


def exact_product_sum(counts: np.ndarray, values: np.ndarray) -> Fraction:
    """Sum of counts times values without rounding; counts below 2**36, values of at most 32 bits."""
    few, many = counts & 0xFFFF, counts >> 16
    total = exact_sum(few * values)
    if many.any():
        total += exact_sum(many * values) * 65536
    return total


def root(square: Fraction) -> float:
    """Square root, rounded once to the nearest float."""
    if square <= 0:
        return 0.0
    top, bottom = square.numerator, square.denominator
    # at least 80 bits of root, and a last bit that says whether anything was cut off: no tie is taken for one
    places = max(0, 80 - (top.bit_length() - bottom.bit_length()) // 2)
    shifted = top << 2 * places
    found = math.isqrt(shifted // bottom)
    rest = found * found * bottom != shifted
    return float(_scaled(2 * found + rest, -places - 1))


def _scaled(number: int, exponent: int) -> Fraction:
    return Fraction(number << exponent) if exponent >= 0 else Fraction(number, 1 << -exponent)
