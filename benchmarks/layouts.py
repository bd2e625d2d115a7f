"""What is measured: one frozen record a case, with the reason why it is there, and three sizes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Size = Literal["smallest", "default", "full"]
"""smallest keeps the code from rotting, default shows the proportions, full is what is quoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """An image, a model and how one is cut for the other."""

    name: str
    """Short, for tables."""
    why: str
    """What it tells that the others do not."""
    model: str
    """A row of ``models.BUILDERS``."""
    axes: str
    """One letter an axis."""
    shapes: dict[Size, tuple[int, ...]]
    """Pixels per axis, for each size."""
    chunk: tuple[int, ...]
    """Of the image as stored; a whole number of them makes a core, which suits every contender."""
    dtype: str
    """Of the image."""
    tile: int
    """Pixels a side of what the model sees."""
    halo: int
    """Context on each side; at least the model's reach, so that all contenders owe the same pixels."""
    gather: tuple[int, ...]
    """Cores a side of the chunks that the careful user tries; the first is one tile a chunk."""

    @property
    def core(self) -> int:
        """Pixels a side that a tile adds to the result."""
        return self.tile - 2 * self.halo

    @property
    def spatial_ndim(self) -> int:
        """Axes that the model sees."""
        return len(self.axes.replace("c", ""))

    def bytes(self, size: Size) -> int:
        """Of the image, decoded."""
        return math.prod(self.shapes[size]) * {"uint8": 1, "uint16": 2, "float32": 4}[self.dtype]


THROUGHPUT = (
    Layout(
        name="unet-2d",
        why="a small U-Net, about 80 ms a tile: what the plumbing adds to a model of ordinary cost",
        model="unet",
        axes="cyx",
        shapes={"smallest": (3, 1024, 1024), "default": (3, 4096, 4096), "full": (3, 8192, 8192)},
        chunk=(3, 512, 512),
        dtype="uint8",
        tile=544,
        halo=16,
        gather=(1, 2, 4),
    ),
    Layout(
        name="layer-2d",
        why="one convolution: hardly any model, so the plumbing is what is measured",
        model="layer-2d",
        axes="cyx",
        shapes={"smallest": (3, 1024, 1024), "default": (3, 4096, 4096), "full": (3, 8192, 8192)},
        chunk=(3, 512, 512),
        dtype="uint8",
        tile=544,
        halo=16,
        gather=(1, 2, 4),
    ),
    Layout(
        name="layer-3d",
        why="the same in 3-D, where a tile has 26 neighbours instead of 8",
        model="layer-3d",
        axes="zyx",
        shapes={"smallest": (128, 128, 128), "default": (256, 256, 256), "full": (512, 512, 512)},
        chunk=(64, 64, 64),
        dtype="uint8",
        tile=72,
        halo=4,
        gather=(1, 2, 4),
    ),
)
"""For throughput.py."""

MEMORY = Layout(
    name="layer-2d",
    why="images of 0.5, 1.5 and 6 GB through one worker of 1 GB: its peak must not depend on the image",
    model="layer-2d",
    axes="cyx",
    shapes={"smallest": (3, 2048, 2048), "default": (3, 12928, 12928), "full": (3, 44736, 44736)},
    chunk=(3, 512, 512),
    dtype="uint8",
    tile=544,
    halo=16,
    gather=(),
)
"""For memory.py, which measures at every size up to the one asked for."""

MEMORY_SHAPES: dict[Size, tuple[tuple[int, ...], ...]] = {
    "smallest": ((3, 2048, 2048),),
    "default": ((3, 12928, 12928), (3, 22400, 22400)),
    "full": ((3, 12928, 12928), (3, 22400, 22400), (3, 44736, 44736)),
}
"""0.5, 1.5 and 6 GB of bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a worker is asked to hold at once, for the calibration of the memory formula."""

    model: str
    """A row of ``models.BUILDERS``, or demo."""
    shape: tuple[int, ...]
    """Image: c y x, or z y x."""
    tile: int
    """Pixels a side."""
    halo: int
    """Context on each side."""
    block: int
    """Pixels a side of a block."""
    batch: int = 1
    """Tiles in one call."""
    threads: int = 1
    """Blocks at once."""
    output: Literal["labels", "scores"] = "labels"
    """Scores are twelve times as many bytes with three channels."""
    dtype: str = "uint8"
    """Of the image."""


_WIDE = (3, 4096, 4096)
_DEEP = (320, 320, 320)

LOADS: dict[Size, tuple[Load, ...]] = {
    "smallest": (
        Load(model="layer-2d", shape=(3, 1024, 1024), tile=288, halo=16, block=512),
        Load(model="unet", shape=(3, 1024, 1024), tile=544, halo=16, block=512, threads=2),
    ),
    "default": (
        Load(model="layer-2d", shape=_WIDE, tile=288, halo=16, block=256),
        Load(model="layer-2d", shape=_WIDE, tile=544, halo=16, block=2048, threads=2),
        Load(model="layer-2d", shape=_WIDE, tile=544, halo=16, block=2048, threads=2, output="scores"),
        Load(model="layer-2d", shape=_WIDE, tile=2080, halo=16, block=2048),
        Load(model="layer-2d", shape=_WIDE, tile=544, halo=16, block=1024, batch=8),
        Load(model="layer-2d", shape=_WIDE, tile=544, halo=16, block=2048, threads=2, dtype="uint16"),
        Load(model="unet", shape=_WIDE, tile=288, halo=16, block=1024, threads=2),
        Load(model="unet", shape=_WIDE, tile=544, halo=16, block=1024),
        Load(model="unet", shape=_WIDE, tile=544, halo=16, block=1024, threads=2),
        Load(model="unet", shape=_WIDE, tile=544, halo=16, block=1024, batch=4),
        Load(model="unet", shape=_WIDE, tile=1056, halo=16, block=1024),
        Load(model="unet", shape=_WIDE, tile=544, halo=16, block=2048, threads=2, output="scores"),
        Load(model="layer-3d", shape=_DEEP, tile=72, halo=4, block=128, threads=2),
        Load(model="layer-3d", shape=_DEEP, tile=168, halo=4, block=160, threads=2, output="scores"),
    ),
}
LOADS["full"] = LOADS["default"]
