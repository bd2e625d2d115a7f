"""A zoo: small models of every layout, rank, type and geometry, and of exporters' habits, each with its claims."""

from __future__ import annotations

from specimens import exported, formats, geometries, habits, mixing
from specimens.entry import Specimen

SPECIMENS: tuple[Specimen, ...] = (
    *formats.SPECIMENS,
    *geometries.SPECIMENS,
    *habits.SPECIMENS,
    *mixing.SPECIMENS,
    *exported.SPECIMENS,
)

__all__ = ["SPECIMENS", "Specimen"]
