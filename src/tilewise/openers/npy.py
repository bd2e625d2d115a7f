"""NumPy's own files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewise.errors import ImageError, explain
from tilewise.openers.axes import name_axes
from tilewise.openers.files import File, locate, read_head, refuse_broken
from tilewise.openers.plain import describe_array, refuse_inside, require_same
from tilewise.openers.raw import ROW, RawPixels

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from tilewise.openers.spec import ImageSpec

MAGIC = b"\x93NUMPY"
"""First bytes of a file."""


def recognize(path: str) -> bool:
    """True if the file holds a NumPy array."""
    return read_head(path, 6) == MAGIC


def inspect(path: str, *, axes: str | None, level: int) -> ImageSpec:
    """What is known of the array, without reading a pixel.

    Args:
        path: the file.
        axes: names of the axes, as NumPy shows them.
        level: 0, there are no others.
    """
    file, inside = locate(path)
    refuse_inside(file, inside, "a file of one array")
    shape, fortran, dtype, offset = _read_header(file)
    names = name_axes(axes, None, len(shape), file)
    # in Fortran order the last axis is the outermost: the array is told, and read, the other way round
    order = slice(None, None, -1 if fortran else 1)
    return describe_array(
        file,
        opener="npy",
        level=level,
        axes=names[order],
        shape=shape[order],
        dtype=dtype,
        chunks=(*(1,) * (len(shape) - 1), ROW),
        layout=offset,
    )


def open_pixels(spec: ImageSpec) -> RawPixels:
    """Open the array that a spec describes."""
    file, _ = locate(spec.path)
    _, fortran, dtype, offset = _read_header(file)
    require_same(inspect(spec.path, axes=spec.axes[:: -1 if fortran else 1], level=0), spec)
    return RawPixels(File(file), offset, spec.shape, dtype)


def _read_header(file: Path) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether it is in Fortran order, type, and where the pixels begin."""
    from numpy.lib import format as npy

    try:
        with file.open("rb") as stream:
            version = npy.read_magic(stream)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read(stream)
            offset = stream.tell()
    except (ValueError, OSError, EOFError) as error:
        raise refuse_broken(file, explain(error), "NumPy") from error
    if any(n < 0 for n in shape):
        raise ImageError(f"{file} of shape {shape}", "lengths", "Write the array again.")
    return shape, fortran, dtype, offset
