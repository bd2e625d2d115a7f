"""Statistics of an image, exact and mergeable: independent of blocks, order and workers to the last bit."""

from __future__ import annotations

from tilewise.stats.moments import CELL
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
    "Partial",
    "Request",
    "State",
    "Statistics",
    "accumulate",
    "advance",
    "finish",
    "merge",
    "request_for",
    "start",
    "statistics_of",
]
