"""What a user can ask for: small frozen records, one a concern, each field with its line.

Names, values and defaults are those of the command line, where a field ``scope`` is the option ``--scope``.
Numbers per axis are in spatial order (z, y, x).
"""

from __future__ import annotations

from tilewise.settings.asked import Asked
from tilewise.settings.behaviour import Behaviour
from tilewise.settings.choice import check_choice
from tilewise.settings.cut import Cut, Sizes
from tilewise.settings.graph import Graph
from tilewise.settings.machine import Machine
from tilewise.settings.normalization import Normalization
from tilewise.settings.pixels import Pixels
from tilewise.settings.results import Results

__all__ = [
    "Asked",
    "Behaviour",
    "Cut",
    "Graph",
    "Machine",
    "Normalization",
    "Pixels",
    "Results",
    "Sizes",
    "check_choice",
]
