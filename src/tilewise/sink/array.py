"""The arrays of an output, one a level: set up once, written blindly, shard by shard."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tilewise.errors import OutputError, StoreError
from tilewise.pyramid import shrink
from tilewise.store import open_store

if TYPE_CHECKING:
    from tilewise.geometry import Box, Index
    from tilewise.sink.spec import OutputSpec

STRENGTH = 3
"""zstd's level."""


def check(spec: OutputSpec, level: int = 0) -> None:
    """Refuse to write into an array that is not what the spec says."""
    array = _open_array(spec, level)
    found = (array.shape, array.dtype.name, array.chunks, array.shards)
    wanted = (spec.pyramid.shape_of(level), spec.dtype, spec.chunk, spec.shard if spec.zarr_format == 3 else None)
    if found != wanted:
        raise OutputError(
            f"{spec.place(level)} has shape, type, chunk and shard {found}",
            f"{wanted}, as this run writes them",
            "Choose another output, or add --overwrite.",
        )


def write(spec: OutputSpec, start: Index, pixels: np.ndarray, level: int = 0) -> None:
    """Write one whole shard, in one file that appears in one step. Safe from many threads.

    In zarr 2 the chunks of the block appear one by one; none is shared with another block.

    Args:
        spec: the output.
        start: first pixel in the level, one number an axis, on the grid of shards.
        pixels: the shard, or what of it lies within the image, in the output's order of axes.
        level: 0 is the finest.

    Raises:
        ValueError: a write that would share its shard with another and lose pixels.
    """
    array, shape = _open_once(spec, level), spec.pyramid.shape_of(level)
    expected = tuple(min(s, n - a) for a, s, n in zip(start, spec.shard, shape, strict=True))
    if any(a % s or not 0 <= a < n for a, s, n in zip(start, spec.shard, shape, strict=True)):
        raise ValueError(f"write at {start}: not on the grid of shards {spec.shard} of an output of {shape}")
    if pixels.shape != expected:
        raise ValueError(f"write of {pixels.shape} at {start}: not the whole shard, which has {expected} there")
    if pixels.dtype.name != spec.dtype:
        raise ValueError(f"write of {pixels.dtype.name} into an output of {spec.dtype}: convert first")
    region = tuple(slice(a, a + n) for a, n in zip(start, expected, strict=True))
    stored = "/".join(["c", *(str(a // s) for a, s in zip(start, spec.shard, strict=True))])
    try:
        array[region] = pixels
    except ValueError:
        # zarr reads a shard that is there before it replaces it: a damaged one must not stop its own repair
        folder = open_store(spec.place(level))
        if not folder.holds(stored):
            raise
        folder.remove(stored)
        array[region] = pixels


def read(spec: OutputSpec, box: Box, level: int = 0) -> np.ndarray:
    """Pixels of a box of a level, in the output's order of axes; what was never written is fill."""
    return np.asarray(_open_once(spec, level)[box.slices])


def write_coarser(spec: OutputSpec, level: int, number: int) -> None:
    """Make one shard of a level from those that it stands on, one of them in memory at a time."""
    pyramid = spec.pyramid
    box = pyramid.box(level, number)
    result = np.empty(box.shape, spec.dtype)
    for piece in pyramid.pieces(level, number):
        pixels = read(spec, pyramid.below(level, piece), level - 1)
        result[piece.inside(box).slices] = shrink(pixels, spec.steps[level - 1], spec.method)
        # before the next one is read
        del pixels
    write(spec, box.start, result, level)


def create_arrays(spec: OutputSpec) -> None:
    """Set up the arrays of all levels that are not there yet."""
    for level in range(spec.pyramid.levels):
        folder = open_store(spec.place(level))
        needed = ("zarr.json",) if spec.zarr_format == 3 else (".zarray", ".zattrs")
        if not all(folder.holds(name) for name in needed):
            for name in needed:
                folder.remove(name)
            _create_array(spec, level)
        check(spec, level)


_open: dict[str, tuple[str, Any]] = {}
_lock = threading.Lock()


def _open_once(spec: OutputSpec, level: int) -> Any:
    """The array, opened and looked at once a process, before the first write into it."""
    # not the spec itself: with a fill of NaN it does not equal its own copy
    key = f"{level} {spec!r}"
    with _lock:
        if key not in _open:
            check(spec, level)
            _open[key] = (spec.path, _open_array(spec, level, mode="r+"))
        return _open[key][1]


def forget(path: str) -> None:
    """Open the arrays of an output anew, for they were replaced."""
    with _lock:
        for key in [key for key, (out, _) in _open.items() if out == path]:
            del _open[key]


def _open_array(spec: OutputSpec, level: int, *, mode: Literal["r", "r+"] = "r") -> Any:
    import zarr

    place = spec.place(level)
    try:
        return zarr.open_array(open_store(place).nodes(writable=mode != "r"), mode=mode, zarr_format=spec.zarr_format)
    except StoreError:
        raise
    except Exception as error:
        raise OutputError(
            f"{place} cannot be opened ({type(error).__name__})", "the output that was set up", "Run again."
        ) from error


def _create_array(spec: OutputSpec, level: int) -> None:
    import zarr

    store, shape = open_store(spec.place(level)).nodes(writable=True), spec.pyramid.shape_of(level)
    if spec.zarr_format == 2:
        zarr.create_array(
            store,
            shape=shape,
            dtype=np.dtype(spec.dtype).newbyteorder("<"),
            chunks=spec.chunk,
            compressors={"id": "blosc", "cname": "zstd", "clevel": STRENGTH, "shuffle": 1, "blocksize": 0},
            fill_value=spec.fill,
            # xarray's own way to name the axes of zarr 2
            attributes={"_ARRAY_DIMENSIONS": list(spec.axes)},
            chunk_key_encoding={"name": "v2", "separator": "/"},
            zarr_format=2,
        )
        return
    from zarr.codecs import BytesCodec, ZstdCodec

    zarr.create_array(
        store,
        shape=shape,
        dtype=spec.dtype,
        chunks=spec.chunk,
        shards=spec.shard,
        serializer=BytesCodec(endian="little"),
        compressors=ZstdCodec(level=STRENGTH, checksum=True),
        fill_value=spec.fill,
        dimension_names=list(spec.axes),
        zarr_format=3,
    )
