"""A copy of the graph that gives, in one run, the shape of every tensor and the value of those without pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewise.splice.graph import image_names, operators

if TYPE_CHECKING:
    from onnx import ModelProto

SEQUENCES = {"SplitToSequence", "SequenceConstruct", "SequenceInsert", "SequenceErase", "SequenceEmpty", "SequenceMap"}
"""Operators whose results have no shape."""


@dataclass(frozen=True, slots=True)
class TracePlan:
    """A graph to run for its shapes."""

    model: ModelProto
    """The graph; its outputs are those of the original, then shapes, then values."""
    shapes: dict[str, str]
    """Output that holds a tensor's shape, by tensor."""
    values: tuple[str, ...]
    """Tensors that do not depend on pixels: outputs themselves."""


def expose(model: ModelProto, image: str) -> TracePlan:
    """Add shapes and values as outputs. Pixels themselves are not kept, so that a trace costs no memory."""
    from onnx import ModelProto, TensorProto, ValueInfoProto, helper

    copy = ModelProto()
    copy.CopyFrom(model)
    ops = operators(model)
    pixels = image_names(ops, image)
    made = [name for op in ops if op.kind not in SEQUENCES for name in op.outputs if name]
    shapes = {name: f"shape of {name}" for name in made if name in pixels}
    values = tuple(name for name in made if name not in pixels)
    declared = {value.name for value in copy.graph.output}
    for name, shape in shapes.items():
        copy.graph.node.append(helper.make_node("Shape", [name], [shape]))
        copy.graph.output.append(helper.make_tensor_value_info(shape, TensorProto.INT64, None))
    copy.graph.output.extend(ValueInfoProto(name=name) for name in values if name not in declared)
    return TracePlan(copy, shapes, values)
