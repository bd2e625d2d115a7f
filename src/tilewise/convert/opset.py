"""Taking a graph to another opset and IR version, a version at a time.

onnx's converter lacks adapters for many steps in which an operator only lost or won types (Relu from 14 to 13). Such a
step is a change of the number alone if every node is valid at the new number; that results stay is compared afterwards.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tilewise.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

STANDARD = {"", "ai.onnx"}
"""Domains of the standard operators."""
SMALL = 1024
"""Numbers in a constant that adapters may want to read: scales, pads, axes."""


def opset_of(model: ModelProto) -> int:
    """Version of the standard operators."""
    return max((int(entry.version) for entry in model.opset_import if entry.domain in STANDARD), default=1)


def carry(model: ModelProto, opset: int) -> ModelProto:
    """The same model with another opset; weights are taken out meanwhile, so that size does not matter.

    Raises:
        ModelError: an operator does not exist there, or cannot be expressed.
    """
    if opset_of(model) == opset:
        return model
    weights = _take_weights(model)
    found = model
    while (version := opset_of(found)) != opset:
        found = _step(found, version + 1 if opset > version else version - 1)
    _give_weights(found, weights)
    found.ir_version = model.ir_version
    return found


def same_operators(model: ModelProto, opset: int) -> bool:
    """True if every operator is defined as at that opset: then only the number differs."""
    return all(_since(node, opset) == _since(node, opset_of(model)) is not None for node in nodes(model.graph))


def nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """Nodes of standard operators, those of subgraphs among them."""
    for node in graph.node:
        if node.domain in STANDARD:
            yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from nodes(inner)


def fitting_ir(model: ModelProto, limit: int) -> int:
    """The IR version that goes with the model's opset where its own is newer than needed and than the limit."""
    from onnx import helper

    if model.ir_version <= limit:
        return int(model.ir_version)
    # below 4 constants would have to be listed as inputs
    least = max(4, helper.find_min_ir_version_for([entry for entry in model.opset_import if entry.domain in STANDARD]))
    return max(min(int(model.ir_version), limit), int(least))


def _step(model: ModelProto, version: int) -> ModelProto:
    from onnx import version_converter

    if opset_of(model) == 13 and version == 12:
        # the converter changes the number and nothing else
        _keep_to_the_last_axis(model)
    try:
        return version_converter.convert_version(model, version)
    except Exception as error:
        return _renumber(model, version, error)


def _renumber(model: ModelProto, version: int, cause: Exception) -> ModelProto:
    """Change the number alone, if every node is valid there."""
    from onnx import ModelProto, checker

    for node in nodes(model.graph):
        if _since(node, version) is None:
            raise _missing(node, version)
    found = ModelProto()
    found.CopyFrom(model)
    if version == 12:
        _name_regions(found)
    for entry in found.opset_import:
        if entry.domain in STANDARD:
            entry.version = version
    try:
        checker.check_model(found)
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise ModelError(
            f"the model cannot be expressed in opset {version} ({why})",
            "operators that exist there with these attributes",
            f"Ask for --opset {version + 1} or newer, or export the model anew with an older opset.",
        ) from cause
    return found


def _name_regions(model: ModelProto) -> None:
    """Give every Resize a region of interest, which was no optional input before 13: an empty one says nothing."""
    import numpy as np
    from onnx import numpy_helper

    name = "no region of interest"
    for node in nodes(model.graph):
        if node.op_type == "Resize" and len(node.input) > 1 and not node.input[1]:
            node.input[1] = name
            if all(tensor.name != name for tensor in model.graph.initializer):
                model.graph.initializer.append(numpy_helper.from_array(np.zeros(0, np.float32), name))


def _keep_to_the_last_axis(model: ModelProto) -> None:
    """Until 12 Softmax and its kin flattened all from their axis on; over the last one that is the same."""
    from onnx import helper

    for node in nodes(model.graph):
        if node.op_type not in {"Softmax", "LogSoftmax", "Hardmax"}:
            continue
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), None)
        if axis is None:
            node.attribute.append(helper.make_attribute("axis", -1))
        elif axis != -1:
            raise ModelError(
                f"operator {node.op_type} of node '{node.name}' over axis {axis} means something else before opset 13",
                "opset 13 or newer",
                "Ask for --opset 13 or newer.",
            )


def _since(node: NodeProto, version: int) -> int | None:
    """The version in which the operator was defined as it stands at an opset; None if it did not exist."""
    from onnx import defs

    try:
        schema = defs.get_schema(node.op_type, version, "")
    except defs.SchemaError:
        return None
    return int(schema.since_version)


def _missing(node: NodeProto, version: int) -> ModelError:
    return ModelError(
        f"operator {node.op_type} of node '{node.name or node.output[0]}' does not exist in opset {version}",
        "operators that do",
        f"Ask for --opset {version + 1} or newer.",
    )


def _take_weights(model: ModelProto) -> list[TensorProto]:
    """Take large constants out of the graph; inputs of their names stand for them."""
    from onnx import TensorProto, helper

    graph, declared = model.graph, {value.name for value in model.graph.input}
    weights = []
    for index in reversed(range(len(graph.initializer))):
        tensor = graph.initializer[index]
        if math.prod(tensor.dims) <= SMALL:
            continue
        copy = TensorProto()
        copy.CopyFrom(tensor)
        weights.append(copy)
        if tensor.name not in declared:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
        del graph.initializer[index]
    return weights[::-1]


def _give_weights(model: ModelProto, weights: list[TensorProto]) -> None:
    names = {tensor.name for tensor in weights}
    for value in [value for value in model.graph.input if value.name in names]:
        model.graph.input.remove(value)
    model.graph.initializer.extend(weights)
