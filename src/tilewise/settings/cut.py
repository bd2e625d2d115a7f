"""How the image is cut into tiles and blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tilewise.errors import SettingError
from tilewise.settings.choice import check_choice

Sizes = int | tuple[int, ...]
"""One number for every spatial axis, or one an axis in order (z, y, x)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How the image is cut into tiles and blocks."""

    tile: Sizes | Literal["auto"] = "auto"
    """Pixels a side of what the model sees in one go."""
    halo: Sizes | float | Literal["auto", "exact"] = "auto"
    """Pixels of context on each side of a core, a tolerance below 1, or how to choose."""
    overlap: Sizes | None = None
    """Pixels shared by neighbouring tiles: twice the halo. Give one of the two."""
    blend: Literal["trim"] = "trim"
    """How overlapping tiles are joined: trimmed to their cores."""
    stride: Sizes | None = None
    """Pixels between the starts of tiles, for models that give one vector a tile; the tile if not given."""
    block: Sizes | Literal["auto"] = "auto"
    """Pixels a side of a block, the unit of work and of writing; rounded up to whole cores."""
    batch: int | Literal["auto"] = "auto"
    """Tiles in one call of the model."""
    pad: Literal["reflect", "edge", "constant"] = "reflect"
    """What stands beyond the far edge, from the image's size up to the model's grid."""

    def __post_init__(self) -> None:
        check_choice("--blend", self.blend, ("trim",))
        check_choice("--pad", self.pad, ("reflect", "edge", "constant"))
        if self.overlap is not None and self.halo != "auto":
            raise SettingError(
                f"--halo {self.halo} and --overlap {self.overlap}",
                "one of the two (overlap is twice the halo)",
                "Leave one of them out.",
            )
        if isinstance(self.halo, float) and not 0 < self.halo < 1:
            raise SettingError(
                f"--halo {self.halo:g}", "whole pixels, or a tolerance between 0 and 1", "For example 64, or 1e-3."
            )
        for option, value in (("--tile", self.tile), ("--block", self.block), ("--stride", self.stride)):
            numbers = value if isinstance(value, tuple) else (value,)
            if any(isinstance(n, int) and n < 1 for n in numbers):
                given = ",".join(map(str, numbers))
                raise SettingError(
                    f"{option} {given}", "a size of at least 1 pixel", f"Give a size, or leave {option} out."
                )
        shared = self.overlap if isinstance(self.overlap, tuple) else (self.overlap or 0,)
        if any(n < 0 for n in shared):
            raise SettingError(
                f"--overlap {','.join(map(str, shared))}", "no negative number", "Give pixels, or leave --overlap out."
            )
        if isinstance(self.batch, int) and self.batch < 1:
            raise SettingError(f"--batch {self.batch}", "at least 1 tile", "Give --batch auto or a number of tiles.")
