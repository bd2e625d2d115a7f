"""Pointwise steps before, between and after what has an option of its own: the links of a description's chain.

Every step takes each pixel by itself (softmax: with its channels), so that neither tiles nor blocks are felt.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

Kind = Literal["linear", "clip", "binarize", "sigmoid", "softmax", "cast"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One pointwise step; numbers are one for all channels, or one a channel."""

    kind: Kind
    """x * a + b; within a and b; 1 above a, else 0; logistic; softmax over channels; cut to what dtype can hold."""
    a: tuple[float, ...] = ()
    """Factor, lower end (none if empty), or threshold."""
    b: tuple[float, ...] = ()
    """Summand, or upper end (none if empty)."""
    dtype: str = ""
    """numpy's name, for cast."""

    def to_json(self) -> dict[str, Any]:
        """What is not empty."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items() if v not in ((), "")}


def take(values: np.ndarray, steps: Sequence[Step]) -> np.ndarray:
    """Take steps one after the other.

    Args:
        values: floats of axes (tiles, channels, space...); not changed.
        steps: which.

    Returns:
        A new array of the same type and shape, or the same one where there is no step.
    """
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for step in steps:
            values = _take(values, step)
    return values


def _take(values: np.ndarray, step: Step) -> np.ndarray:
    import numpy as np

    a, b = _along(step.a, values), _along(step.b, values)
    if step.kind == "linear":
        return np.asarray(values * a + b)
    if step.kind == "clip":
        low = np.maximum(values, a) if step.a else values
        return np.asarray(np.minimum(low, b) if step.b else low)
    if step.kind == "binarize":
        return np.asarray((values > a).astype(values.dtype))
    if step.kind == "sigmoid":
        one = values.dtype.type(1)
        return np.asarray(np.exp(np.minimum(values, 0)) / (one + np.exp(-np.abs(values))))
    if step.kind == "softmax":
        raised = np.exp(values - values.max(axis=1, keepdims=True))
        total = raised[:, 0].copy()
        for channel in range(1, raised.shape[1]):
            # numpy's own sum changes its order with the shape
            total += raised[:, channel]
        return np.asarray(raised / total[:, np.newaxis])
    return _cut(values, np.dtype(step.dtype))


def _cut(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """To another type and back; NumPy does not say what becomes of what an integer cannot hold: the nearest here."""
    import numpy as np

    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        held = np.clip(np.trunc(np.nan_to_num(values)), float(limits.min), float(limits.max))
        return np.asarray(held.astype(values.dtype))
    return values.astype(dtype).astype(values.dtype)


def _along(numbers: tuple[float, ...], values: np.ndarray) -> np.ndarray:
    """Numbers to stand beside the channel axis, rounded to the type of the values."""
    import numpy as np

    return np.array(numbers or (0.0,), values.dtype).reshape(1, -1, *(1,) * (values.ndim - 2))
