"""Statistics of an image, exact and mergeable: independent of blocks, order and workers to the last bit."""

from __future__ import annotations

from tilewise.stats.cells import moments_of_cells
from tilewise.stats.exact import root
from tilewise.stats.moments import CELL, Moments
from tilewise.stats.passes import (
    Partial,
    Request,
    State,
    accumulate,
    advance,
    finish,
    merge,
    request_for,
    start,
    statistics_of,
)
from tilewise.stats.statistics import Statistics

__all__ = [
    "CELL",
    "Moments",
    "Partial",
    "Request",
    "State",
    "Statistics",
    "accumulate",
    "advance",
    "finish",
    "merge",
    "moments_of_cells",
    "request_for",
    "root",
    "start",
    "statistics_of",
]
