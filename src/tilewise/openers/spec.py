"""What is known of an image before a pixel is read."""

from __future__ import annotations

import math
from dataclasses import dataclass

MISSING = "missing"
"""The fault of a chunk that is not stored."""


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """One image at one resolution level: small, picklable, enough to open it again anywhere."""

    path: str
    """The image's group, or the array itself, as an absolute path."""
    array_path: str
    """Place of the array below it; empty if the path is the array."""
    axes: str
    """One letter an axis from t c z y x, in the array's own order."""
    shape: tuple[int, ...]
    """Pixels per axis."""
    dtype: str
    """NumPy's name of the pixel type, in native byte order."""
    chunks: tuple[int, ...]
    """The unit read, per axis; within a shard if there are shards."""
    shards: tuple[int, ...] | None
    """The unit stored, per axis, if chunks are gathered into shards."""
    level: int
    """Resolution level, 0 the finest."""
    levels: int
    """How many levels the image has."""
    scale: tuple[float, ...]
    """Size of a pixel per axis."""
    translation: tuple[float, ...]
    """Where the first pixel's centre lies, per axis."""
    units: tuple[str | None, ...]
    """Unit of scale and translation, per axis."""
    channel_names: tuple[str, ...]
    """One name a channel, empty if they have none."""
    name: str
    """The image's own name, else that of its folder."""
    zarr_format: int
    """2 or 3; 0 where it is none."""
    codecs: tuple[str, ...]
    """Names of the codecs that the pixels go through, shards' inner ones included."""
    fingerprint: str
    """sha256 over the metadata that fix the pixels: array, place and OME's."""
    opener: str = "zarr"
    """Which row of the table of openers reads it."""
    view: View | None = None
    """How it lies in the stored image, if it is a region of it or scaled; None if it is the stored image."""
    held: int = 0
    """Bytes that a worker holds beside the pixels that it asked for: the largest unit that is only decoded whole."""
    notes: tuple[str, ...] = ()
    """What a user should know before it is read, a line each."""

    @property
    def channels(self) -> int:
        """Number of channels; 1 if there is no such axis."""
        return self.shape[self.axes.index("c")] if "c" in self.axes else 1

    @property
    def address(self) -> str:
        """What it is opened by, at whatever level: a place within a file belongs to it, a level of a group does not."""
        return self.path if self.zarr_format else f"{self.path}/{self.array_path}".rstrip("/")

    @property
    def base(self) -> ImageSpec:
        """The image as it is stored."""
        return self if self.view is None else self.view.base

    @property
    def phase(self) -> tuple[int, ...]:
        """Where the first pixel lies in its chunk, per axis."""
        origin = (0,) * len(self.shape) if self.view is None else self.view.origin
        return tuple(start % chunk for start, chunk in zip(origin, self.chunks, strict=True))

    @property
    def density(self) -> float:
        """Stored pixels that a pixel is made of."""
        return 1.0 if self.view is None else math.prod(self.view.factor)


@dataclass(frozen=True, slots=True)
class View:
    """A region of a stored image, or of what it is scaled to."""

    base: ImageSpec
    """The image as it is stored."""
    factor: tuple[float, ...]
    """Stored pixels along one pixel, per axis; 1 where nothing is scaled."""
    origin: tuple[int, ...]
    """First pixel of the region in the scaled image, per axis."""
    size: tuple[int, ...]
    """The whole scaled image, per axis."""
