"""One zarr 3 shard as bytes: inner chunks of checksummed zstd, and an index behind them with its crc32c.

zarr-python writes the same bytes' worth through an event loop and a pool of threads of its own. Here a shard is encoded
in the thread that asks: a third less CPU time, no threads beside those that the run was told to use, and never a look
at what was stored before. zarr-python reads it back in the tests.
"""

from __future__ import annotations

import itertools
import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tilewise.geometry import Index

LEVEL = 3
"""zstd's level."""

MISSING = 2**64 - 1
"""Offset and length, in a shard's index, of a chunk that is not stored because it is all fill."""


def encode_shard(pixels: np.ndarray, shard: Index, chunk: Index, fill: float, level: int = LEVEL) -> list[bytes] | None:
    """The parts of a shard in the order in which they are written; None if all of it is fill.

    Args:
        pixels: at most a whole shard, from its start; what lacks, at the image's far edge, is fill.
        shard: a shard's shape.
        chunk: an inner chunk's shape, which divides the shard's.
        fill: the array's fill value.
        level: zstd's level.
    """
    from numcodecs.zstd import Zstd

    codec = Zstd(level=level, checksum=True)
    little = pixels.dtype.newbyteorder("<")
    parts: list[bytes] = []
    index: list[int] = []
    offset = 0
    for place in itertools.product(*(range(0, n, c) for n, c in zip(shard, chunk, strict=True))):
        inner = pixels[tuple(slice(start, start + c) for start, c in zip(place, chunk, strict=True))]
        if _is_fill(inner, fill):
            index += [MISSING, MISSING]
            continue
        part = bytes(codec.encode(_pad(inner, chunk, fill).astype(little, copy=False)))
        parts.append(part)
        index += [offset, len(part)]
        offset += len(part)
    return [*parts, _seal(struct.pack(f"<{len(index)}Q", *index))] if parts else None


def _seal(index: bytes) -> bytes:
    # the checksum that zarr itself depends on
    import google_crc32c

    return index + struct.pack("<I", google_crc32c.value(index))


def _is_fill(pixels: np.ndarray, fill: float) -> bool:
    """Bits decide: -0.0 is not 0.0, or a result would lose it. An empty chunk, beyond the edge, is fill."""
    if pixels.size == 0:
        return True
    wanted = np.array(fill, pixels.dtype).tobytes()
    # the first pixel tells almost always
    if pixels[(0,) * pixels.ndim].tobytes() != wanted:
        return False
    unsigned = np.dtype(f"u{pixels.dtype.itemsize}")
    return bool((np.ascontiguousarray(pixels).view(unsigned) == np.frombuffer(wanted, unsigned)[0]).all())


def _pad(pixels: np.ndarray, chunk: Index, fill: float) -> np.ndarray:
    if pixels.shape == chunk:
        return np.ascontiguousarray(pixels)
    whole = np.full(chunk, fill, pixels.dtype)
    whole[tuple(slice(n) for n in pixels.shape)] = pixels
    return whole
