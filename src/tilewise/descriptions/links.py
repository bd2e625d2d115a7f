"""Single pointwise links of a bioimage.io processing chain, and the numbers that links have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tilewise.descriptions.tensors import letter_of
from tilewise.steps import Step

if TYPE_CHECKING:
    from tilewise.descriptions.tensors import Described, Op

EPS = 1e-6
"""What is added to a divisor unless a step says otherwise."""
POINTWISE = ("scale_linear", "clip", "binarize", "sigmoid", "softmax", "ensure_dtype", "fixed_zero_mean_unit_variance")
"""Steps that take each pixel by itself."""
WHOLE = ("zero_mean_unit_variance", "scale_range", "scale_mean_variance")
"""Steps that look at all pixels."""


class CannotError(Exception):
    """A step that tilewise does not take; its text says why."""


def has_numbers(op: Op) -> bool:
    """True for a standardization with given numbers, in either format's words."""
    if op.kind != "zero_mean_unit_variance":
        return op.kind == "fixed_zero_mean_unit_variance"
    return bool(op.options.get("mode", "fixed" if "mean" in op.options else "per_sample") == "fixed")


def read_link(tensor: Described, op: Op) -> Step | None:
    """One pointwise step; None if it changes nothing."""
    if op.kind not in POINTWISE and not has_numbers(op):
        raise CannotError("this needs statistics of the whole output" if op.kind in WHOLE else "not known")
    if op.kind == "ensure_dtype":
        dtype = str(op.options.get("dtype", "float32"))
        return None if dtype.startswith("float") else Step(kind="cast", dtype=dtype)
    if op.kind == "clip":
        if {"min_percentile", "max_percentile"} & {name for name, v in op.options.items() if v is not None}:
            raise CannotError("clipping at percentiles")
        low, high = (_many(op, name) for name in ("min", "max"))
        return Step(kind="clip", a=low, b=high)
    if op.kind == "sigmoid":
        return Step(kind="sigmoid")
    if op.kind == "softmax":
        if letter_of(str(op.options.get("axis", "channel"))) != "c":
            raise CannotError("softmax along an axis other than the channels")
        return Step(kind="softmax")
    if op.kind == "binarize":
        return Step(kind="binarize", a=_many(op, "threshold", tensor))
    if op.kind == "scale_linear":
        gain, offset = _many(op, "gain", tensor) or (1.0,), _many(op, "offset", tensor) or (0.0,)
        return None if set(gain) == {1.0} and set(offset) == {0.0} else Step(kind="linear", a=gain, b=offset)
    mean, std = read_fixed(tensor, op)
    return Step(kind="linear", a=tuple(1 / s for s in std), b=tuple(-m / s for m, s in zip(mean, std, strict=True)))


def read_fixed(tensor: Described, op: Op) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and what is divided by, as many of one as of the other."""
    mean, std = _many(op, "mean", tensor), _many(op, "std", tensor)
    if not mean or not std:
        raise CannotError("no mean and std")
    eps = read_number(op, "eps", EPS if op.old else 0.0)
    count = max(len(mean), len(std))
    mean, std = (numbers * count if len(numbers) == 1 else numbers for numbers in (mean, std))
    if len(mean) != len(std) or min(std) + eps <= 0:
        raise CannotError(f"{len(mean)} means and {len(std)} standard deviations above 0")
    return mean, tuple(s + eps for s in std)


def _many(op: Op, name: str, tensor: Described | None = None) -> tuple[float, ...]:
    """One number, or one a channel; empty if nothing is said."""
    found = op.options.get(name)
    if found is None:
        return ()
    try:
        numbers = tuple(float(n) for n in (found if isinstance(found, list | tuple) else [found]))
    except (TypeError, ValueError) as error:
        raise CannotError(f"{name} {found}") from error
    if not numbers or any(math.isnan(n) for n in numbers):
        raise CannotError(f"{name} {found}")
    if tensor is not None and len(numbers) > 1:
        _check_along(op, name, len(numbers), tensor)
    return numbers


def _check_along(op: Op, name: str, count: int, tensor: Described) -> None:
    """Refuse numbers along an axis other than the channels."""
    along = letter_of(str(op.options.get("axis", "c")))
    if op.old and op.options.get("axes"):
        # 0.4 names the axes that share a number
        apart = [a for a in tensor.letters if a not in op.options["axes"] and a != "b"]
        along = "".join(apart) or "c"
    if along != "c":
        raise CannotError(f"{name} along {along}")
    if tensor.channels not in {None, count}:
        raise CannotError(f"{count} numbers of {name} for {tensor.channels} channels")


def read_number(op: Op, name: str, default: float) -> float:
    """One number, or its default."""
    found = _many(op, name)
    return found[0] if found else default
