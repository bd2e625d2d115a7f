"""The receptive field of a graph, in exact integers: how far from a cut an output can change, and on which grid."""

from __future__ import annotations

from tilewise.receptive.place import MixedError, State, axes_of, has_place
from tilewise.receptive.subset import only, restrict
from tilewise.receptive.visit import Note
from tilewise.receptive.walk import ONE, Reach, Walk, disagreement, read, walk

__all__ = [
    "ONE",
    "MixedError",
    "Note",
    "Reach",
    "State",
    "Walk",
    "axes_of",
    "disagreement",
    "has_place",
    "only",
    "read",
    "restrict",
    "walk",
]
