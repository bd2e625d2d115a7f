"""Finding what is worth computing in a small overview: tissue on a bright background, signal on a dark one."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

BINS = 256
"""Of a histogram that is split in two."""

BRIGHT = 0.4
"""Of the range of 8-bit colours: an image whose middle pixel is brighter has a bright background."""

TAIL = 0.1
"""Percent of the brightest and darkest pixels that do not count: a hot pixel must not hide all others."""


@dataclass(frozen=True, slots=True)
class Overview:
    """A small picture of an image; over planes that share a mask, its brightest and darkest pixels."""

    high: np.ndarray
    """Brightest of the planes, as [c, space...], float32."""
    low: np.ndarray
    """Darkest of the planes."""
    colour: np.ndarray
    """Largest saturation of the planes, as [space...]; zero where there are not three channels."""


def overview_of(pixels: np.ndarray, lead: int) -> Overview:
    """Put the planes of a stack together.

    Args:
        pixels: canonical pixels, [lead..., c, space...].
        lead: how many axes lead.
    """
    planes = pixels.reshape(-1, *pixels.shape[lead:]).astype(np.float32)
    return Overview(planes.max(axis=0), planes.min(axis=0), measure_saturation(planes).max(axis=0))


def measure_saturation(planes: np.ndarray) -> np.ndarray:
    """Saturation of colours as HSV has it, (max - min) / max; of [plane, c, space...] without c."""
    if planes.shape[1] != 3:
        return np.zeros((planes.shape[0], *planes.shape[2:]), np.float32)
    top, bottom = planes.max(axis=1), planes.min(axis=1)
    return np.where(top > 0, (top - bottom) / np.where(top > 0, top, 1), 0).astype(np.float32)


def find_signal(overview: Overview, *, eight_bit: bool) -> tuple[np.ndarray, str]:
    """True where something is, and how that was told.

    Three channels on a bright background are colours, split by their saturation; other channels are split each by
    itself by intensity, and what any of them has counts. Small holes are closed; on a bright background a single pixel
    without neighbours is dust.

    Args:
        overview: the picture.
        eight_bit: true for pixels from 0 to 255, whose brightness means something by itself.
    """
    middle = float(np.nanmedian(overview.high.mean(axis=0)))
    ends = _ends(overview.high.mean(axis=0))
    bright = middle > BRIGHT * 255 if eight_bit and overview.high.shape[0] == 3 else middle > sum(ends) / 2
    if bright and overview.high.shape[0] == 3:
        threshold = split(overview.colour)
        found = overview.colour > threshold
        how = f"tissue on a bright background: saturation above {threshold:.4g} (Otsu)"
        return close(drop_dust(found)), how
    masks, told = [], []
    for k, channel in enumerate(overview.low if bright else overview.high):
        low, high = _ends(channel)
        threshold = split(np.clip(channel, low, high))
        masks.append(channel <= threshold if bright else channel > threshold)
        told.append(f"channel {k} {'at most' if bright else 'above'} {threshold:.4g}")
    ground = "tissue on a bright background" if bright else "signal on a dark background"
    return close(np.any(masks, axis=0)), f"{ground}: {', '.join(told)} (Otsu)"


def _ends(values: np.ndarray) -> Sequence[float]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 0.0
    low, high = np.percentile(finite, [TAIL, 100 - TAIL])
    return float(low), float(high)


def split(values: np.ndarray) -> float:
    """Otsu's threshold: the split of a histogram of 256 bins with the largest variance between its two parts.

    Pixels above it are the upper part. Where all are the same, nothing lies above it.
    """
    finite = values[np.isfinite(values)]
    if not finite.size or finite.min() == finite.max():
        return float(finite.max()) if finite.size else 0.0
    counts, edges = np.histogram(finite, BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    sums = np.cumsum(counts * centres)
    mean_below = sums / np.maximum(below, 1)
    mean_above = np.cumsum((counts * centres)[::-1])[::-1] / np.maximum(above, 1)
    between = below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2
    # over a gap without pixels all splits are as good: the middle of it keeps clear of both parts
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float((edges[best[0] + 1] + edges[best[-1] + 1]) / 2)


def close(mask: np.ndarray) -> np.ndarray:
    """Grown by one pixel and shrunk again: holes and gaps of up to two pixels are filled, nothing is lost."""
    grown = _spread(np.pad(mask, 1))
    shrunk = ~_spread(~grown)
    closed: np.ndarray = mask | shrunk[(slice(1, -1),) * mask.ndim]
    return closed


def drop_dust(mask: np.ndarray) -> np.ndarray:
    """Without pixels that have no neighbour."""
    around = np.pad(mask, 1).astype(np.uint8)
    count = sum(around[window] for window in _windows(mask.shape))
    return mask & (np.asarray(count) > 1)


def _spread(mask: np.ndarray) -> np.ndarray:
    around = np.pad(mask, 1)
    return np.asarray(np.logical_or.reduce([around[window] for window in _windows(mask.shape)]))


def _windows(shape: Sequence[int]) -> list[tuple[slice, ...]]:
    """All neighbours and the pixel itself, in an array padded by one."""
    return [
        tuple(slice(shift, shift + n) for shift, n in zip(shifts, shape, strict=True))
        for shifts in itertools.product(range(3), repeat=len(shape))
    ]
