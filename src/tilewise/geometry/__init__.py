"""How an image is cut: cores that partition it, windows that the model sees, blocks that are written.

Pure integers, no I/O. One axis first (``axis`` for images, ``samples`` for one vector a tile, each with a picture);
N axes are their product (``grid``).
"""

from __future__ import annotations

from tilewise.geometry.axis import Axis, round_down, round_up
from tilewise.geometry.blocks import Blocks
from tilewise.geometry.border import reflect_index, source_box, source_indices
from tilewise.geometry.box import Box, Index
from tilewise.geometry.grid import AnyAxis, Grid, Span
from tilewise.geometry.samples import Samples
from tilewise.geometry.share import Share, share_cores

__all__ = [
    "AnyAxis",
    "Axis",
    "Blocks",
    "Box",
    "Grid",
    "Index",
    "Samples",
    "Share",
    "Span",
    "reflect_index",
    "round_down",
    "round_up",
    "share_cores",
    "source_box",
    "source_indices",
]
