"""The images that are measured: texture that compresses about as real pixels do, written block by block."""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

PATTERN = 1 << 21
"""Pixels of the pattern that all images are cut from: waves with noise on them."""


def write_image(
    place: Path, shape: tuple[int, ...], chunk: tuple[int, ...], axes: str, dtype: str = "uint8", seed: int = 0
) -> Path:
    """A plain zarr 3 array with zarr's default codecs; nothing is done if it is there already."""
    import zarr

    if (place / "complete").exists():
        return place
    array = zarr.create_array(
        place,
        shape=shape,
        chunks=tuple(min(n, c) for n, c in zip(shape, chunk, strict=True)),
        dtype=dtype,
        dimension_names=list(axes),
        overwrite=True,
    )
    pattern = _pattern(seed).astype(dtype)

    def write(start: tuple[int, ...]) -> None:
        part = tuple(slice(a, min(a + c, n)) for a, c, n in zip(start, chunk, shape, strict=True))
        sizes = tuple(s.stop - s.start for s in part)
        array[part] = _cut(pattern, sizes, number=hash(start))

    starts = itertools.product(*(range(0, n, c) for n, c in zip(shape, chunk, strict=True)))
    with ThreadPoolExecutor(cores()) as pool:
        for _ in pool.map(write, starts):
            pass
    (place / "complete").touch()
    return place


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pattern(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    n = np.arange(PATTERN)
    waves = 60 * np.sin(n / 37) + 30 * np.sin(n / 1913)
    return np.clip(110 + waves + rng.normal(0, 4, PATTERN), 0, 255).astype(np.uint8)


def _cut(pattern: np.ndarray, shape: tuple[int, ...], number: int) -> np.ndarray:
    """A block of the pattern from a place that the block's number tells."""
    need = int(np.prod(shape))
    start = number * 7919 % len(pattern)
    return np.resize(np.roll(pattern, -start), need).reshape(shape)
