"""All that a user asked for."""

from __future__ import annotations

from dataclasses import dataclass

from tilewise.settings.behaviour import Behaviour
from tilewise.settings.cut import Cut
from tilewise.settings.graph import Graph
from tilewise.settings.machine import Machine
from tilewise.settings.pixels import Pixels
from tilewise.settings.results import Results


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """All that a user asked for."""

    cut: Cut = Cut()
    """Tiles, halos, blocks."""
    pixels: Pixels = Pixels()
    """What goes in."""
    results: Results = Results()
    """What comes out."""
    graph: Graph = Graph()
    """What the model file does not tell."""
    machine: Machine = Machine()
    """Where it runs."""
    behaviour: Behaviour = Behaviour()
    """What happens when something is odd."""
    given: frozenset[str] = frozenset()
    """Options (such as activation) that were named: they win over a model's contract even at their default."""
    origins: tuple[tuple[str, str], ...] = ()
    """Where each option's value came from, once flags and contract have been brought together."""
