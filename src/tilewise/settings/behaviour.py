"""What happens when something is odd."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tilewise.settings.choice import check_choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What happens when something is odd."""

    nan: Literal["keep", "error"] = "keep"
    """NaN and infinite pixels of the input: counted and kept, or their block fails."""
    missing: Literal["error", "fill"] = "fill"
    """Chunks that the image does not have: the fill value, as zarr means it (and counted), or an error."""
    overwrite: bool = False
    """Replace an output that carries tilewise's record."""

    def __post_init__(self) -> None:
        check_choice("--nan", self.nan, ("keep", "error"))
        check_choice("--missing", self.missing, ("error", "fill"))
