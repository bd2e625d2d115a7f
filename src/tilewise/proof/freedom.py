"""Checks that a rewritten graph is still the model: at its declared size, with another batch, after rewriting."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tilewise.proof.probe import difference, value_range
from tilewise.proof.runner import RunError, Runner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilewise.proof.signature import Port

TOLERANCE = 1e-6
"""Of the output's range: rounding of an equal graph that was optimised otherwise."""


def same_numbers(first: Runner, second: Runner, sizes: Sequence[int], tolerance: float = TOLERANCE) -> bool:
    """True if two graphs give the same on noise of this size."""
    image = first.noise(sizes, seed=7)
    try:
        pairs = list(zip(first.run(image), second.run(image), strict=True))
    except RunError:
        return False
    if any(a.shape != b.shape for a, b in pairs):
        return False
    return all(float(difference(a, b).max(initial=0.0)) <= tolerance * max(value_range(a), 1e-30) for a, b in pairs)


def as_declared(original: Runner, freed: Runner, image: Port) -> tuple[Runner, Runner]:
    """Both with the batch that the file declares, which may be the only one that the original takes."""
    place = original.layout.find("N")
    declared = image.dims[place] if image.dims and place >= 0 else 1
    batch = declared if isinstance(declared, int) and declared > 1 else original.batch
    return replace(original, batch=batch), replace(freed, batch=batch)


def takes_batches(runner: Runner, sizes: Sequence[int], batch_axes: Sequence[int]) -> bool:
    """True if two images in one batch give the bits that each gives by itself, in every output."""
    pair = np.stack([runner.noise(sizes, seed=8), runner.noise(sizes, seed=9)])
    try:
        both = runner.run(pair)
        single = [runner.run(image[None]) for image in pair]
    except RunError:
        return False
    apart = zip(*single, strict=True)
    return all(_alike(b, list(s), axis) for b, s, axis in zip(both, apart, batch_axes, strict=True))


def _alike(both: np.ndarray, single: list[np.ndarray], axis: int) -> bool:
    if axis >= both.ndim or both.shape[axis] != 2 or single[0].shape[axis] != 1:
        return False
    apart = np.concatenate(single, axis=axis)
    return apart.shape == both.shape and not difference(apart, both).any()
