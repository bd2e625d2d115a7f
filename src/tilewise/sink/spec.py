"""What is known of an output before it is set up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewise import ngff
from tilewise.errors import OutputError
from tilewise.pyramid import Method, Pyramid
from tilewise.store import join

if TYPE_CHECKING:
    from tilewise.geometry import Index


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """One result image: small and picklable, all that a worker needs to write its shards."""

    path: str
    """The output, a folder to be."""
    name: str | None = None
    """Name of this result below the output if there are several, else None."""
    axes: str
    """One letter an axis, in the order t c z y x."""
    shape: tuple[int, ...]
    """Pixels per axis."""
    dtype: str
    """NumPy's name of the pixel type."""
    chunk: tuple[int, ...]
    """Inner chunk, per axis; the same on all levels."""
    shard: tuple[int, ...]
    """Unit of writing, per axis: a block; a whole number of chunks. One shard in zarr 3, several chunks in zarr 2."""
    fill: float = 0
    """What stands where nothing was written."""
    scale: tuple[float, ...]
    """Size of a pixel per axis."""
    translation: tuple[float, ...]
    """Where the first pixel's centre lies, per axis."""
    units: tuple[str | None, ...]
    """Unit of scale and translation, per axis."""
    image_name: str = ""
    """The image's name in its metadata."""
    names: tuple[str, ...] = ()
    """What channels, or values of labels from 0 on, are called; none if that is not known."""
    version: ngff.Version = "0.5"
    """Of OME-Zarr."""
    steps: tuple[Index, ...] = ()
    """For each coarser level, pixels of the level below that one pixel stands for: 1 or 2 per axis."""
    method: Method = "mean"
    """How pixels of a coarser level are made."""
    values: int | None = None
    """How many values labels can have, 0 included; None for what are no labels."""
    window: tuple[float, float] | None = None
    """Least and largest value of a score; None to look at the coarsest level when all is written."""
    real: tuple[float, float] | None = None
    """What the least and the largest integer stand for, if scores are stored as integers."""
    source: str | None = None
    """Path from a label image to the image whose ``labels`` it lies in, else None."""

    def __post_init__(self) -> None:
        ndim = len(self.axes)
        lengths = (self.shape, self.chunk, self.shard, self.scale, self.translation, self.units)
        if any(len(numbers) != ndim for numbers in lengths):
            raise ValueError(f"an output of axes {self.axes} needs {ndim} of each number")
        if list(self.axes) != [axis for axis in ngff.AXES if axis in self.axes]:
            raise ValueError(f"axes {self.axes} are not in the order {ngff.AXES}")
        if any(s % c for s, c in zip(self.shard, self.chunk, strict=True)):
            raise ValueError(f"shard {self.shard} is not a whole number of chunks {self.chunk}")
        if "c" in self.axes and self.shard[self.axes.index("c")] < self.shape[self.axes.index("c")]:
            raise ValueError(f"shard {self.shard} cuts the channels of {self.shape}")
        if self.name is not None and not re.fullmatch(r"(?!tilewise$)[A-Za-z0-9_-][A-Za-z0-9._-]*", self.name):
            raise OutputError(
                f"a result named {self.name!r}", "letters, digits, dot, dash and underscore", "Choose another name."
            )

    @property
    def group(self) -> str:
        """Place of the image group."""
        return join(self.path, self.name or "")

    @property
    def array(self) -> str:
        """Place of the finest level."""
        return self.place(0)

    def place(self, level: int) -> str:
        """Place of a level."""
        return join(self.group, str(level))

    @property
    def zarr_format(self) -> int:
        """2 or 3."""
        return 2 if self.version == "0.4" else 3

    @property
    def pyramid(self) -> Pyramid:
        """The geometry of the levels."""
        return Pyramid(self.shape, self.shard, self.steps)

    @property
    def multiscale(self) -> tuple[ngff.Level, ...]:
        """Place, pixel size and origin of each level: a coarse pixel covers those that it stands for."""
        pyramid = self.pyramid
        levels = []
        for level in range(pyramid.levels):
            factor = pyramid.factor(level)
            sizes = zip(self.scale, factor, self.translation, strict=True)
            moved = tuple(t + (f - 1) / 2 * s for s, f, t in sizes)
            scale = tuple(s * f for s, f in zip(self.scale, factor, strict=True))
            levels.append(ngff.Level(str(level), scale, moved))
        return tuple(levels)
