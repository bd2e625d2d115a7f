"""What the model file does not tell, or tells wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tilewise.settings.choice import check_choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """What the model file does not tell, or tells wrong."""

    layout: str | None = None
    """Order of the input's axes: NCHW, NHWC, NCDHW, NDHWC; told from the graph if not given."""
    output_layout: str | None = None
    """Order of the output's axes."""
    output_name: str | None = None
    """Which of several outputs."""
    inputs: tuple[tuple[str, float], ...] = ()
    """Constant values of further inputs, as (name, value)."""
    free_size: bool = False
    """Free a declared fixed size even where the asked tile does not need it."""
    freeze_norms: str = "none"
    """Statistics of the whole image that a network takes itself: none, exact, sample, or the file of an earlier run."""
    contract: Literal["follow", "ignore"] = "follow"
    """What the model says of itself, in its metadata or a description beside it: followed, or passed over."""

    def __post_init__(self) -> None:
        check_choice("--contract", self.contract, ("follow", "ignore"))
