"""Parts of a model spec: tensors as declared, outputs as written, and the proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fractions import Fraction

Verdict = Literal["exact", "exact to rounding", "dependent", "unproven"]
"""How far a tiled run equals the untiled one; DESIGN.md's words."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output as the file declares it."""

    name: str
    """Its name."""
    dtype: str
    """numpy's name of its type."""
    shape: tuple[int | str | None, ...]
    """Declared lengths: a number, a name, or None."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was run to prove the verdict, and where."""

    status: str
    """passed, failed, or skipped and why."""
    difference: float | None
    """Largest difference between tiled and untiled, as a fraction of the output's range."""
    tile: tuple[int, ...] | None
    """Tile per axis."""
    threads: int
    """Threads within one run."""
    tilewise: str
    """Version."""
    onnx: str
    """Version."""
    onnxruntime: str
    """Version."""
    processor: str
    """Model of the processor."""
    probes: tuple[str, ...] = ()
    """What else was checked, in words."""


@dataclass(frozen=True, slots=True)
class Port:
    """An output that is written. Numbers per axis are in spatial order (z, y, x), lengths in input pixels."""

    name: str
    """Its name in the graph."""
    layout: str
    """Order of its axes; NC for one vector a tile."""
    out_channels: int
    """Its channels."""
    dtype: str
    """numpy's name of its type."""
    scale: tuple[Fraction, ...]
    """Output pixels per input pixel; 1 for a vector, where it means nothing."""
    lead: tuple[int, ...]
    """Pixels lost in front."""
    trail: tuple[int, ...]
    """Pixels lost behind."""
    before: tuple[int, ...] | None
    """How far behind a cut at a multiple of M it changes; None if there is no bound."""
    after: tuple[int, ...] | None
    """How far in front of one."""
    verdict: Verdict
    """How far tiles of it equal the whole."""
    reason: str
    """The operator or the check behind the verdict."""
