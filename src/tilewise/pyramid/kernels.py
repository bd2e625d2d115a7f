"""A pixel of a coarser level from the two, four or eight that it stands for."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilewise.geometry import Index

Method = Literal["mean", "mode", "nearest"]
"""How pixels become one: their mean; the value that most of them have; the first of them."""

METHODS: tuple[Method, ...] = get_args(Method)


def shrink(pixels: np.ndarray, step: Index, method: Method) -> np.ndarray:
    """Halve axes. Every pixel depends on those that it stands for alone, so cutting is not felt.

    At an odd end a pixel stands for fewer. A mean is taken in float64 (float32 for float16 and integers of 8 bits),
    added in index order, and integers are rounded to the nearest, halves to the even one. A mode that several values
    share is the one that comes first in index order.

    Args:
        pixels: any axes.
        step: 1 or 2 per axis.
        method: how.
    """
    odd = [(0, -n % f) for n, f in zip(pixels.shape, step, strict=True)]
    if any(after for _, after in odd):
        # a repeated pixel changes neither mean nor mode
        pixels = np.pad(pixels, odd, mode="edge")
    if method == "nearest" or max(step, default=1) == 1:
        return np.ascontiguousarray(next(_corners(pixels, step)))
    return _average(pixels, step) if method == "mean" else _vote(pixels, step)


def _corners(pixels: np.ndarray, step: Index) -> Iterator[np.ndarray]:
    """The first pixels of all cells, then the second ones ..., in index order."""
    for offset in itertools.product(*(range(f) for f in step)):
        yield pixels[tuple(slice(a, None, f) for a, f in zip(offset, step, strict=True))]


def _average(pixels: np.ndarray, step: Index) -> np.ndarray:
    small = pixels.dtype.itemsize == 1 or pixels.dtype == np.float16
    corners = list(_corners(pixels, step))
    total = corners[0].astype(np.float32 if small else np.float64)
    with np.errstate(all="ignore"):
        for corner in corners[1:]:
            np.add(total, corner, out=total)
        np.divide(total, len(corners), out=total)
        if pixels.dtype.kind in "biu":
            np.rint(total, out=total)
        return total.astype(pixels.dtype)


def _vote(pixels: np.ndarray, step: Index) -> np.ndarray:
    """Where most cells are of one value, as in labels, few need to be counted."""
    corners = list(_corners(pixels, step))
    result = np.array(corners[0], order="C")
    mixed = np.zeros(result.shape, bool)
    for corner in corners[1:]:
        mixed |= corner != result
    if not mixed.any():
        return result
    rows = np.stack([corner[mixed] for corner in corners])
    best, chosen = np.zeros(rows.shape[1], np.uint8), rows[0].copy()
    for row in rows:
        votes = sum((row == other).astype(np.uint8) for other in rows)
        more = votes > best
        best[more], chosen[more] = votes[more], row[more]
    result[mixed] = chosen
    return result
