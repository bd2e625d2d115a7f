"""What a careful user writes today with dask.array and onnxruntime, without tilewise: nothing here imports it."""

from __future__ import annotations

import itertools
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import dask.array as da


@cache
def open_session(model: str):
    """One session a process: one thread a run, as many runs at once as there are threads, no spinning."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def predict_chunk(chunk: np.ndarray, *, model: str, tile: int, halo: int, ndim: int) -> np.ndarray:
    """Labels of a chunk with its ghost pixels, by tiles; map_overlap trims what comes back."""
    session = open_session(model)
    pixels = chunk if chunk.ndim > ndim else chunk[np.newaxis]
    space = pixels.shape[1:]
    labels = np.empty(space, np.uint8)
    for windows in itertools.product(*(cut(n, tile, halo) for n in space)):
        seen = tuple(slice(start, stop) for start, stop, _ in windows)
        kept = tuple(slice(low - start, stop - start) for start, stop, low in windows)
        put = tuple(slice(low, stop) for _, stop, low in windows)
        batch = np.ascontiguousarray(pixels[(slice(None), *seen)], dtype=np.float32)[np.newaxis]
        scores = session.run(None, {"image": batch})[0][0]
        labels[put] = scores[(slice(None), *kept)].argmax(0)
    return labels


def cut(size: int, tile: int, halo: int) -> list[tuple[int, int, int]]:
    """Start, stop and first kept pixel of the tiles along a chunk; a later tile overwrites the end of one before."""
    if size <= tile:
        return [(0, size, 0)]
    starts = [*range(0, size - tile, tile - 2 * halo), size - tile]
    return [(start, start + tile, start + halo if start else 0) for start in starts]


def lay_out(image: str, *, model: str, tile: int, halo: int, gather: int, ndim: int) -> da.Array:
    """The lazy result: chunks of ``gather`` cores a side."""
    import dask.array as da
    import zarr

    side = gather * (tile - 2 * halo)
    shape = zarr.open_array(image, mode="r").shape
    channels = shape[: len(shape) - ndim]
    pixels = da.from_zarr(image, chunks=(*channels, *[side] * ndim))
    depth = dict.fromkeys(range(len(channels)), 0) | {axis + len(channels): halo for axis in range(ndim)}
    return da.map_overlap(
        predict_chunk,
        pixels,
        depth=depth,
        boundary="none",
        allow_rechunk=False,
        drop_axis=list(range(len(channels))),
        meta=np.empty((0,) * ndim, np.uint8),
        dtype=np.uint8,
        model=model,
        tile=tile,
        halo=halo,
        ndim=ndim,
    )


def store(lazy: da.Array, out: str, core: int) -> None:
    """Write the result as tilewise does: inner chunks of a core, one shard a chunk of dask, checksummed zstd."""
    import dask.array as da
    import zarr
    from zarr.codecs import ZstdCodec

    side = lazy.chunksize
    target = zarr.create_array(
        out,
        shape=lazy.shape,
        dtype=lazy.dtype,
        chunks=(core,) * lazy.ndim,
        shards=side if side[0] > core else None,
        compressors=ZstdCodec(level=3, checksum=True),
    )
    da.to_zarr(lazy, target)
