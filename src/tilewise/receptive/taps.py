"""Which input indices an output index takes, for everything that slides a window; and what that does to a cut."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from tilewise.receptive.place import MixedError, Part, Place

Taps = Callable[[int], tuple[int, int]]
"""First and last input index of an output index, both rising with it."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How Resize finds its taps along one axis."""

    scale: Fraction
    """Output indices per input index."""
    mode: str
    """nearest, linear or cubic."""
    coordinates: str
    """ONNX's coordinate_transformation_mode."""
    rounding: str
    """ONNX's nearest_mode."""
    antialias: bool
    """Widened taps when it shrinks."""


def slide(part: Part, taps: Taps, size: int, step: Fraction) -> Part:
    """The place after an operator with these taps, with ``size`` indices out, each ``step`` indices in."""
    place = part.place
    if place is None:
        raise MixedError("no place to slide over")
    start = _first(lambda o: taps(o)[0] >= place.start)
    stop = _first(lambda o: taps(o)[1] >= place.stop)
    return Part(size, Place(place.axis, place.step * step, max(start, 0), min(stop, size)))


def _first(true: Callable[[int], bool]) -> int:
    """Smallest integer for which a condition holds that, once true, stays true."""
    low, high = -1, 1
    while true(low):
        low *= 2
    while not true(high):
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if true(middle) else (middle, high)
    return high


def window_taps(kernel: int, stride: int, dilation: int, pad: int) -> Taps:
    """Convolution and pooling."""
    reach = (kernel - 1) * dilation
    return lambda o: (o * stride - pad, o * stride - pad + reach)


def transposed_taps(kernel: int, stride: int, dilation: int, pad: int) -> Taps:
    """Transposed convolution: input i is added to outputs i * stride - pad + k * dilation."""
    reach = (kernel - 1) * dilation
    return lambda o: (-(-(o + pad - reach) // stride), (o + pad) // stride)


def strided_taps(start: int, stride: int) -> Taps:
    """Slice and Pad: every stride-th index from a start, which may be negative."""
    return lambda o: (start + o * stride, start + o * stride)


def resize_taps(sampling: Sampling) -> Taps:
    """Resize, from its own definition; where the runtime's coordinates round, with an index to spare."""
    scale, half = sampling.scale, Fraction(1, 2)
    offset = Fraction(0) if sampling.coordinates == "asymmetric" else half
    # nearest by a whole number never comes near a tie, so float coordinates do no harm
    whole = sampling.mode == "nearest" and scale.denominator == 1
    slack = 0 if whole or _dyadic(scale) else 1
    wide = sampling.antialias and scale < 1 and sampling.mode != "nearest"
    support = {"linear": 1, "cubic": 2}.get(sampling.mode, 0) / scale

    def taps(o: int) -> tuple[int, int]:
        x = (o + offset) / scale - offset
        if wide:
            return math.floor(x - support), math.ceil(x + support)
        low = math.floor(x)
        if sampling.mode == "linear":
            return low - slack, low + 1 + slack
        if sampling.mode == "cubic":
            return low - 1 - slack, low + 2 + slack
        nearest = _round(x, sampling.rounding)
        return nearest - slack, nearest + slack

    return taps


def _dyadic(scale: Fraction) -> bool:
    return all(n & (n - 1) == 0 for n in (scale.numerator, scale.denominator))


def exact_coordinates(sampling: Sampling) -> bool:
    """True if the runtime's float coordinates are exact at any distance from the origin."""
    return sampling.mode == "nearest" or _dyadic(sampling.scale)


def _round(x: Fraction, mode: str) -> int:
    if mode == "floor":
        return math.floor(x)
    if mode == "ceil":
        return math.ceil(x)
    if mode == "round_prefer_ceil":
        return math.floor(x + Fraction(1, 2))
    return math.ceil(x - Fraction(1, 2))
