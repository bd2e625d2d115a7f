"""From pixels to the numbers that a model was trained on: one straight line a channel, rounded once.

Every pixel goes through the same float64 operations whatever stands beside it, so that a pixel's bits depend
neither on tiles nor on how an array lies in memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tilewise.errors import ModelError, SettingError
from tilewise.stats import Statistics, statistics_of
from tilewise.steps import take

if TYPE_CHECKING:
    from tilewise.settings import Normalization

CHUNK = 1 << 16
"""Pixels at a time, so that float64 values stay in the processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """y = start + (x - shift) / scale * rise, then clipped if asked."""

    shift: float
    """What becomes ``start``."""
    scale: float
    """What is divided by; infinite where all pixels are equal, so that every finite one becomes ``start``."""
    start: float = 0.0
    """Lower end of minmax's range."""
    rise: float = 1.0
    """Length of minmax's range."""
    clip: bool = False
    """Clip to 0..1."""


def check_types(pixel_dtype: np.dtype | str, model_dtype: np.dtype | str, normalization: Normalization) -> None:
    """Refuse what cannot be turned into the model's type without loss that nobody asked for.

    A model of floats takes any pixels, rounded to its type. A model of integers takes only pixels whose every
    value it can hold, as they are, or what a description's last step has cut to its type, or what fixed or minmax
    spread over more than one unit, rounded to the nearest integer and clipped to its type.
    """
    pixel, model = np.dtype(pixel_dtype), np.dtype(model_dtype)
    if model.kind == "f":
        return
    cast = normalization.after[-1].dtype if normalization.after else ""
    if cast and np.can_cast(np.dtype(cast), model, "safe"):
        return
    spread = normalization.kind == "minmax" and normalization.range[1] - normalization.range[0] > 1
    if (spread or normalization.kind == "fixed") and not (normalization.before or normalization.after):
        return
    if not normalization.identity:
        raise SettingError(
            f"--normalize {normalization.kind} for a model that takes {model}",
            "no normalization (its fractions would be lost), or numbers that spread over the type's range",
            "Use --normalize none, or for example --normalize minmax --range 0,255.",
        )
    if not np.can_cast(pixel, model, "safe"):
        raise ModelError(
            f"a model that takes {model} and pixels of type {pixel}",
            f"pixels that fit into {model} without loss",
            f"Convert the image to {model}, use --normalize minmax with a --range, or export the model with a float32 "
            "input.",
        )


def check_numbers(normalization: Normalization, channels: int) -> None:
    """Refuse given means and deviations that are neither one number nor one a channel."""
    for option, numbers in (("--mean", normalization.mean), ("--std", normalization.std)):
        if len(numbers) not in {0, 1, channels}:
            raise SettingError(
                f"{option} with {len(numbers)} numbers for {channels} channels",
                f"one number, or {channels}",
                f"Give {option} one number for each channel that the model sees.",
            )


def apply(
    pixels: np.ndarray,
    normalization: Normalization,
    statistics: Statistics | None = None,
    *,
    dtype: np.dtype | str,
) -> np.ndarray:
    """Normalize a batch of tiles.

    Args:
        pixels: Axes (tiles, channels, spatial...).
        normalization: What to do.
        statistics: One row for all tiles or one a tile (``Statistics.take``), and one channel or as many as the
            pixels have. Not used by none, fixed, and scope tile, which takes each tile's own.
        dtype: What the model takes.
    """
    if normalization.after:
        plain = replace(normalization, after=())
        made = take(apply(pixels, plain, statistics, dtype="float64"), normalization.after)
        with np.errstate(over="ignore", invalid="ignore"):
            return made.astype(dtype)
    out = np.empty(pixels.shape, dtype)
    if normalization.kind == "none":
        with np.errstate(over="ignore", invalid="ignore"):
            np.copyto(out, pixels, casting="unsafe")
        return out
    if normalization.of_tile:
        statistics = statistics_of(pixels, normalization)
    if normalization.before:
        pixels = take(pixels.astype(np.float64), normalization.before)
    for tile in range(pixels.shape[0]):
        for channel in range(pixels.shape[1]):
            line = _line(normalization, statistics, tile, channel)
            _draw(np.ascontiguousarray(pixels[tile, channel]).reshape(-1), line, out[tile, channel].reshape(-1))
    return out


def _line(normalization: Normalization, statistics: Statistics | None, tile: int, channel: int) -> Line:
    if normalization.kind == "fixed":
        mean, std = normalization.mean, normalization.std
        return Line(shift=float(mean[channel % len(mean)]), scale=float(std[channel % len(std)]))
    if statistics is None:
        raise ValueError(f"normalization {normalization.kind} of scope {normalization.scope} without statistics")
    row, column = (k if n > 1 else 0 for k, n in zip((tile, channel), statistics.shape, strict=True))

    def at(table: np.ndarray) -> float:
        return float(table[row, column])

    if normalization.kind == "standardize":
        return Line(shift=at(statistics.mean), scale=_divisor(at(statistics.std), normalization.eps))
    if normalization.kind == "minmax":
        low, high = at(statistics.minimum), at(statistics.maximum)
        a, b = normalization.range
        return Line(shift=low, scale=_divisor(high - low, normalization.eps), start=a, rise=b - a)
    low, high = at(statistics.low), at(statistics.high)
    return Line(shift=low, scale=_divisor(high - low, normalization.eps), clip=normalization.clip)


def _divisor(scale: float, eps: float) -> float:
    """What to divide by so that a constant image becomes 0, and NaN stays NaN."""
    return scale + eps if scale > 0 else math.inf


def _draw(pixels: np.ndarray, line: Line, out: np.ndarray) -> None:
    """Fill ``out`` from pixels, both of one axis and contiguous.

    A lookup table for 8- and 16-bit pixels was measured to be no faster.
    """
    # infinite pixels, and values beyond the model's type, become what IEEE arithmetic makes of them
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for first in range(0, pixels.size, CHUNK):
            y = pixels[first : first + CHUNK].astype(np.float64)
            y -= line.shift
            y /= line.scale
            if line.rise != 1.0 or line.start != 0.0:
                y *= line.rise
                y += line.start
            if line.clip:
                np.clip(y, 0.0, 1.0, out=y)
            if out.dtype.kind in "iu":
                _fit(y, out.dtype)
            np.copyto(out[first : first + CHUNK], y, casting="unsafe")


def _fit(y: np.ndarray, dtype: np.dtype) -> None:
    """Round to the nearest integer, ties to even, and clip to a type's range; what is not a number becomes 0."""
    info = np.iinfo(dtype)
    top = float(info.max)
    # the largest integers of 64 bits are no float
    top = float(np.nextafter(top, 0)) if top > info.max else top
    np.nan_to_num(y, copy=False, nan=0.0, posinf=top, neginf=float(info.min))
    np.rint(y, out=y)
    np.clip(y, float(info.min), top, out=y)
