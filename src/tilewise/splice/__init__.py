"""Rewriting of ONNX graphs: pruned, freed from declared sizes, traced, linearised. Nothing here runs a model."""

from __future__ import annotations

from tilewise.splice.graph import (
    arrange_nodes,
    bake,
    declare_outputs,
    declare_rank,
    free,
    image_names,
    numbers,
    operators,
    prune,
    slides_over,
)
from tilewise.splice.linear import linearise
from tilewise.splice.output import crop_output, flatten_output
from tilewise.splice.tracing import TracePlan, expose
from tilewise.splice.transposed import unfold_transposed

__all__ = [
    "TracePlan",
    "arrange_nodes",
    "bake",
    "crop_output",
    "declare_outputs",
    "declare_rank",
    "expose",
    "flatten_output",
    "free",
    "image_names",
    "linearise",
    "numbers",
    "operators",
    "prune",
    "slides_over",
    "unfold_transposed",
]
