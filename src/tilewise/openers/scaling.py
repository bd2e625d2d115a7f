"""Scaling of pixels: means over areas when shrinking, linear between centres when enlarging.

Each pixel is computed from its place in the whole scaled image alone, always in the same order of additions: what is
read together never changes a bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

SLACK = 1e-6
"""Part of a pixel by which a size may miss a whole number before another pixel is added."""

TOGETHER = 1 << 19
"""Pixels that are scaled at once: they are held as float64."""


@dataclass(frozen=True, slots=True)
class Taps:
    """What a stretch of scaled pixels is made of, along one axis."""

    index: np.ndarray
    """Stored pixels of each, as [pixel, tap]."""
    weight: np.ndarray
    """Their weights, as [pixel, tap]."""
    total: np.ndarray
    """Sum of the weights that a pixel is divided by."""

    @property
    def start(self) -> int:
        """First stored pixel of all."""
        return int(self.index.min())

    @property
    def stop(self) -> int:
        """One behind the last."""
        return int(self.index.max()) + 1


def scaled_size(size: int, factor: float) -> int:
    """Pixels along an axis once it is scaled: every stored pixel counts, and the last one may stand for less.

    Args:
        size: stored pixels.
        factor: stored pixels along one pixel.
    """
    return max(1, math.ceil(size / factor - SLACK))


def find_taps(start: int, stop: int, size: int, factor: float) -> Taps:
    """What the scaled pixels [start, stop) are made of.

    Shrinking (factor above 1), pixel o is the mean over [o f, (o + 1) f), where stored pixel s covers [s, s + 1).
    Enlarging, it lies at (o + 1/2) f - 1/2 between the centres of two stored pixels; beyond the outermost it is theirs.

    Args:
        start: first scaled pixel, counted from the image's own first.
        stop: one behind the last.
        size: stored pixels along the axis.
        factor: stored pixels along one pixel.
    """
    place = np.arange(start, stop, dtype=np.float64)[:, np.newaxis]
    if factor > 1:
        low, high = place * factor, np.minimum((place + 1) * factor, size)
        index = np.floor(low) + np.arange(math.ceil(factor) + 1)
        weight = np.minimum(high, index + 1) - np.maximum(low, index)
        # a stored pixel without weight must not be read: it may lie outside, or be no number
        used = weight > 0
        index, weight = np.where(used, index, np.floor(low)), np.where(used, weight, 0.0)
    else:
        centre = np.clip((place + 0.5) * factor - 0.5, 0, size - 1)
        first = np.floor(centre)
        share = centre - first
        index = np.where([[True, False]] | (share == 0), first, first + 1)
        weight = np.concatenate([1 - share, share], axis=1)
    return Taps(index.astype(np.intp), weight, weight.sum(axis=1))


def scale_pixels(pixels: np.ndarray, origin: Sequence[int], taps: Sequence[Taps | None]) -> np.ndarray:
    """Scaled pixels of the same type: computed in float64, integers rounded to the nearest, halves to the even one.

    Args:
        pixels: stored pixels, all that the taps name.
        origin: where they begin, per axis.
        taps: what the result is made of, per axis; None keeps an axis as it is.
    """
    scaled = [axis for axis, one in enumerate(taps) if one is not None]
    if not scaled:
        return pixels
    lead = scaled[0]
    whole = taps[lead]
    shape = tuple(n if one is None else len(one.index) for n, one in zip(pixels.shape, taps, strict=True))
    result = np.empty(shape, pixels.dtype)
    rows = max(1, TOGETHER // max(pixels.size // shape[lead], 1))
    for row in range(0, shape[lead], rows):
        part = slice(row, row + rows)
        some = list(taps)
        if whole is not None:
            some[lead] = Taps(whole.index[part], whole.weight[part], whole.total[part])
        found: np.ndarray = pixels
        for axis, one in enumerate(some):
            if one is not None:
                found = _scale_axis(found, axis, one, origin[axis])
        result[(slice(None),) * lead + (part,)] = _round(found, pixels.dtype)
    return result


def _scale_axis(pixels: np.ndarray, axis: int, taps: Taps, origin: int) -> np.ndarray:
    """One axis, tap after tap: the order of additions is the same for every pixel."""
    spread = (slice(None),) + (np.newaxis,) * (pixels.ndim - axis - 1)
    result: np.ndarray = np.zeros(1)
    for k in range(taps.index.shape[1]):
        part = pixels.take(taps.index[:, k] - origin, axis=axis).astype(np.float64, copy=False)
        part = part * taps.weight[:, k][spread]
        result = part if k == 0 else np.add(result, part, out=result)
    means: np.ndarray = np.divide(result, taps.total[spread], out=result)
    return means


def _round(found: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "f":
        return found.astype(dtype)
    if dtype.kind == "b":
        halves: np.ndarray = found >= 0.5
        return halves
    limits = np.iinfo(dtype)
    # the largest of 64 bits is no float64
    top = np.nextafter(np.float64(limits.max), 0) if dtype.itemsize == 8 else limits.max
    whole: np.ndarray = np.clip(np.rint(found), limits.min, top).astype(dtype)
    return whole
