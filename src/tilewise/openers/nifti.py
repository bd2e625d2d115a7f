"""NIfTI 1 and 2, plain and gzipped: read in place, in the order of axes in which other images are (z y x)."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilewise.errors import ImageError, explain
from tilewise.openers.axes import name_axes
from tilewise.openers.files import File, locate, read_head, refuse_broken, require_extra
from tilewise.openers.gzipped import RATIO, GzipBytes
from tilewise.openers.plain import describe_array, refuse_inside, require_same
from tilewise.openers.raw import ROW, RawPixels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

    from tilewise.geometry import Box
    from tilewise.openers.selection import Selection
    from tilewise.openers.spec import ImageSpec

HEADER = 540
"""Bytes of the longer of the two headers."""

UNITS = {"mm": "millimeter", "meter": "meter", "micron": "micrometer", "sec": "second", "msec": "millisecond"}
"""OME-Zarr's name of a unit, by nibabel's."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """Pixels that stand in the file divided by a slope and less an intercept. Safe to use from many threads."""

    raw: RawPixels
    """What stands in the file."""
    slope: float
    """What it is multiplied by."""
    intercept: float
    """What is then added."""

    def read(self, selection: Selection) -> np.ndarray:
        """Pixels of a selection, as float64."""
        import numpy as np

        found = self.raw.read(selection).astype(np.float64)
        found *= self.slope
        found += self.intercept
        return found

    def stored(self, box: Box) -> Iterator[tuple[str, Box, str | None]]:
        """What lies in the file."""
        return self.raw.stored(box)

    def sample(self, count: int) -> dict[str, str]:
        """Digests of what lies in the file."""
        return self.raw.sample(count)


@dataclass(frozen=True, slots=True)
class _Volume:
    """What a header says."""

    zipped: bool
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype
    axes: str
    scale: tuple[float, ...]
    units: tuple[str | None, ...]
    slope: float
    intercept: float

    @property
    def scaled(self) -> bool:
        return (self.slope, self.intercept) != (1.0, 0.0)


def recognize(path: str) -> bool:
    """True if the file, or what is gzipped in it, is a NIfTI."""
    return _has_magic(_unzip(read_head(path, 4096)))


def inspect(path: str, *, axes: str | None, level: int) -> ImageSpec:
    """What is known of the volume, without reading a pixel.

    Args:
        path: the file.
        axes: names of the axes, the slowest first: a volume of i, j, k is z y x, and a series of volumes t z y x.
        level: 0, there are no others.
    """
    import numpy as np

    file, inside = locate(path)
    refuse_inside(file, inside, "a NIfTI file")
    volume = _read_header(file)
    unzipped = math.prod(volume.shape) * volume.dtype.itemsize
    return describe_array(
        file,
        opener="nifti",
        level=level,
        axes=name_axes(axes, volume.axes, len(volume.shape), file),
        shape=volume.shape,
        dtype=np.dtype(np.float64) if volume.scaled else volume.dtype,
        chunks=(*(1,) * (len(volume.shape) - 1), ROW),
        scale=volume.scale,
        units=volume.units,
        codecs=("gzip",) if volume.zipped else (),
        held=GzipBytes.held(unzipped) if volume.zipped else 0,
        layout=[volume.offset, volume.slope, volume.intercept],
    )


def open_pixels(spec: ImageSpec) -> RawPixels | Scaled:
    """Open the volume that a spec describes."""
    require_same(inspect(spec.path, axes=spec.axes, level=0), spec)
    file, _ = locate(spec.path)
    volume = _read_header(file)
    stop = volume.offset + math.prod(volume.shape) * volume.dtype.itemsize
    content = GzipBytes(File(file), stop) if volume.zipped else File(file)
    raw = RawPixels(content, volume.offset, volume.shape, volume.dtype)
    return Scaled(raw, volume.slope, volume.intercept) if volume.scaled else raw


def _unzip(head: bytes) -> bytes:
    if head[:2] != b"\x1f\x8b":
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head, HEADER)
    except zlib.error:
        return b""


def _has_magic(head: bytes) -> bool:
    return head[344:348] in {b"n+1\0", b"ni1\0"} or head[4:8] in {b"n+2\0", b"ni2\0"}


def _read_header(file: Path) -> _Volume:
    try:
        import indexed_gzip  # noqa: F401  without it, a gzipped file is unzipped from its beginning for every read
        import nibabel
    except ImportError as error:
        raise require_extra(file, "a NIfTI", "nifti") from error
    with file.open("rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(file) if zipped else file.open("rb") as stream:
            head = stream.read(HEADER)
        second = head[4:6] == b"n+"
        header = nibabel.Nifti2Header(head) if second else nibabel.Nifti1Header(head[:348])
        return _understand(file, header, zipped)
    except ImageError:
        raise
    except Exception as error:
        raise refuse_broken(file, explain(error), "NIfTI") from error


def _understand(file: Path, header: Any, zipped: bool) -> _Volume:
    """A header in our words: axes and lengths the other way round, colours as channels."""
    import numpy as np

    if bytes(header["magic"])[:2] == b"ni":
        raise ImageError(f"{file} is the header of two files", "a NIfTI in one file", "Save it as .nii.")
    lengths = [int(n) for n in header.get_data_shape()]
    zooms = [abs(float(z)) or 1.0 for z in header.get_zooms()]
    space, time = (UNITS.get(unit) for unit in header.get_xyzt_units())
    # trailing axes of one pixel say nothing; i and j stay
    while len(lengths) > 2 and lengths[-1] == 1:
        lengths.pop()
    axes = "xyztc"[: len(lengths)]
    if len(lengths) > len(axes) or min(lengths, default=0) < 1:
        raise ImageError(f"{file} of lengths {lengths}", "two to five axes", "Check the image.")
    units = [time if a == "t" else space if a != "c" else None for a in axes]
    dtype = header.get_data_dtype()
    shape, sizes = lengths[::-1], [zooms[k] if a != "c" else 1.0 for k, a in enumerate(axes)][::-1]
    names, units = axes[::-1], units[::-1]
    if dtype.names:
        # three or four bytes a pixel
        shape, sizes, names, units = [*shape, len(dtype.names)], [*sizes, 1.0], f"{names}c", [*units, None]
        dtype = np.dtype("u1")
    wanted = math.prod(shape) * dtype.itemsize
    if zipped and wanted > RATIO * file.stat().st_size:
        raise ImageError(
            f"{file} claims {wanted} bytes of pixels, more than gzip can pack into {file.stat().st_size}",
            "a header that is true",
            "Do not trust this file.",
        )
    slope, intercept = header.get_slope_inter()
    return _Volume(
        zipped,
        int(header.get_data_offset()),
        tuple(shape),
        dtype,
        names,
        tuple(sizes),
        tuple(units),
        1.0 if slope is None else float(slope),
        0.0 if intercept is None else float(intercept),
    )
