"""Which pixels go in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tilewise.settings.normalization import Normalization


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """Which pixels go in, and how they are normalized."""

    axes: str | None = None
    """Axis names of a plain array, in its order, from t c z y x; OME-Zarr says its own."""
    level: int = 0
    """Resolution level of a pyramid; 0 is the finest."""
    field: str | None = None
    """Field of a plate, as row/column/field (B/03/0); row/column alone is the well's first."""
    channels: tuple[int, ...] | Literal["all"] = "all"
    """Which channels, in the order in which the model takes them."""
    normalization: Normalization = Normalization()
    """How pixels become the model's numbers."""
