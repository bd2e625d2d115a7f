"""From a model's output to what is written: scores, labels, or the raw numbers.

Every pixel's bits depend on its own channels only: arithmetic runs over contiguous float32 arrays, and channels
are added one after the other, so that neither cutting nor memory layout is felt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tilewise.errors import SettingError
from tilewise.steps import take

if TYPE_CHECKING:
    from tilewise.settings import Results


def check_results(results: Results, out_channels: int, name: str | None = None) -> None:
    """Refuse results that this number of channels cannot give; the output is named if it is one of several."""
    which = "a model of one output channel" if name is None else f"the output '{name}', of one channel"
    other = "" if name is None else " Or choose another output with --output-name."
    if results.activation == "softmax" and out_channels == 1:
        raise SettingError(
            f"--activation softmax with {which}",
            "several channels (softmax over one is 1 everywhere)",
            f"Use --activation sigmoid.{other}",
        )
    if results.output == "labels" and out_channels > 1 << 16:
        raise SettingError(f"--output labels with {out_channels} channels", "at most 65536", "Use --output scores.")
    if results.score_range is not None and results.dtype != "uint8":
        raise SettingError(
            f"--score-range with --dtype {results.dtype}", "--dtype uint8, which it scales", "Add --dtype uint8."
        )
    if results.output == "labels" and results.downsample == "mean":
        raise SettingError(
            "--downsample mean of labels", "mode or nearest (a mean of labels is none)", "Leave --downsample out."
        )
    if results.output == "scores" and results.dtype == "uint8" and score_range(results) is None:
        raise SettingError(
            "--dtype uint8 of scores without bounds",
            "an --activation (0 to 1), or a --score-range",
            "Add --score-range LOW,HIGH, or use float16.",
        )


def has_channels(results: Results) -> bool:
    """True if what is written has a channel axis."""
    return results.output != "labels"


def score_range(results: Results) -> tuple[float, float] | None:
    """Least and largest score, as far as they are known."""
    if results.score_range is not None:
        return results.score_range
    return None if results.activation == "none" or results.steps else (0.0, 1.0)


def output_dtype(results: Results, out_channels: int, model_dtype: np.dtype | str) -> np.dtype:
    """Type of what is written."""
    if results.output == "raw":
        return np.dtype(model_dtype)
    if results.output == "labels":
        return np.dtype(np.uint8 if out_channels <= 1 << 8 else np.uint16)
    return np.dtype(results.dtype)


def finish(output: np.ndarray, results: Results, *, activated: bool = False) -> np.ndarray:
    """What is written, from the model's output on cores.

    Args:
        output: Axes (tiles, channels, spatial...); a vector has no spatial axes.
        results: What is wanted.
        activated: The activation has been applied.

    Returns:
        The same axes, without channels for labels.
    """
    if results.output == "raw":
        return output
    activation = "none" if activated else results.activation
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        scores = take(activate(np.array(output, np.float32, order="C"), activation), results.steps)
        if results.output == "scores" and results.dtype == "uint8":
            return _quantize(scores, score_range(results) or (0.0, 1.0))
        if results.output == "scores":
            return scores.astype(results.dtype, copy=False)
        return _label(scores, results)


def activate(scores: np.ndarray, activation: str) -> np.ndarray:
    """Apply the activation to contiguous float32 scores, in place where that saves memory."""
    if activation == "sigmoid":
        return _sigmoid(scores)
    if activation == "softmax":
        return _softmax(scores)
    return scores


def _quantize(scores: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """0 to 255 over the bounds, to the nearest, halves to the even one; what lies outside is clipped, NaN is 0."""
    low, high = bounds
    scores -= np.float32(low)
    scores *= np.float32(255 / (high - low))
    np.rint(scores, out=scores)
    np.clip(scores, 0, 255, out=scores)
    scores[np.isnan(scores)] = 0
    return scores.astype(np.uint8)


def _sigmoid(scores: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) as exp(min(x, 0)) / (1 + exp(-|x|)): nothing overflows, and small scores stay precise."""
    below = np.abs(scores)
    np.negative(below, out=below)
    np.exp(below, out=below)
    below += np.float32(1)
    np.minimum(scores, np.float32(0), out=scores)
    np.exp(scores, out=scores)
    scores /= below
    return scores


def _softmax(scores: np.ndarray) -> np.ndarray:
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    total = scores[:, 0].copy()
    for channel in range(1, scores.shape[1]):
        # numpy's own sum changes its order with the shape
        total += scores[:, channel]
    scores /= total[:, np.newaxis]
    return scores


def _label(scores: np.ndarray, results: Results) -> np.ndarray:
    """One channel: 1 at or above the threshold, NaN is 0. Several: the first of the largest; NaN counts as largest.

    Channel 0 is background. The threshold is rounded to float32, as the scores are.
    """
    channels = scores.shape[1]
    if channels == 1:
        return (scores[:, 0] >= np.float32(results.threshold)).astype(np.uint8)
    best = scores[:, 0].copy()
    dtype = output_dtype(results, channels, scores.dtype)
    labels = np.zeros(best.shape, dtype)
    for channel in range(1, channels):
        rival = scores[:, channel]
        # a rival loses unless it is larger or NaN; a NaN that leads is never overtaken
        loses = (rival <= best) | np.isnan(best)
        labels *= loses
        labels += ~loses * dtype.type(channel)
        np.maximum(best, rival, out=best)
    return labels
