"""How an image is cut: cores that partition it, windows that the model sees, blocks that are written.

Pure integers, no I/O. One axis first (``axis``, with a picture); N axes are its product (``grid``).
"""

from __future__ import annotations

from tilewise.geometry.axis import Axis, round_down, round_up
from tilewise.geometry.blocks import Blocks
from tilewise.geometry.border import reflect_index, source_box, source_indices
from tilewise.geometry.box import Box, Index
from tilewise.geometry.grid import Grid, Span
from tilewise.geometry.share import Share, share_cores

__all__ = [
    "Axis",
    "Blocks",
    "Box",
    "Grid",
    "Index",
    "Share",
    "Span",
    "reflect_index",
    "round_down",
    "round_up",
    "share_cores",
    "source_box",
    "source_indices",
]
