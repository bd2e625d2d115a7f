"""Finding the places where a graph looks at the whole image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tilewise.freeze.site import Kind, Site
from tilewise.splice import numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnx import ModelProto, NodeProto

Shapes = tuple["Mapping[str, tuple[int, ...]]", "Mapping[str, tuple[int, ...]]"]
"""Shapes of tensors at two sizes of the image that differ on every axis."""

REDUCING: dict[str, Kind] = {
    "GlobalAveragePool": "mean",
    "ReduceMean": "mean",
    "GlobalMaxPool": "maximum",
    "ReduceMax": "maximum",
}
"""Operators that take one number of each channel, if they run over space."""

NORMALIZING: dict[str, Kind] = {
    "InstanceNormalization": "instance",
    "GroupNormalization": "group",
    "MeanVarianceNormalization": "instance",
}
"""Operators that normalize by mean and variance."""


def tensors_of_interest(model: ModelProto) -> list[str]:
    """Tensors whose shapes tell whether a node runs over space."""
    found: dict[str, None] = {}
    for node in model.graph.node:
        if node.op_type in REDUCING or node.op_type in NORMALIZING:
            found[node.input[0]] = None
            reshape = _maker(model, node.input[0])
            if reshape is not None and reshape.op_type == "Reshape":
                found[reshape.input[0]] = None
    return list(found)


def find_sites(model: ModelProto, shapes: Shapes) -> list[Site]:
    """All of them, in the graph's order, which is an order in which they can be frozen."""
    constants = numbers(model)
    found = [_site(model, node, shapes, constants) for node in model.graph.node]
    return [site for site in found if site is not None]


def depends_on(model: ModelProto, tensor: str) -> set[str]:
    """Names of all tensors that one is made from, itself among them."""
    wanted = {tensor}
    for node in reversed(model.graph.node):
        if wanted.intersection(node.output):
            wanted.update(name for name in node.input if name)
    return wanted


def _site(model: ModelProto, node: NodeProto, shapes: Shapes, constants: Mapping[str, np.ndarray]) -> Site | None:
    if node.op_type in REDUCING:
        return _reducing(node, shapes, constants)
    if node.op_type in NORMALIZING:
        return _normalizing(model, node, shapes, constants)
    return None


def _reducing(node: NodeProto, shapes: Shapes, constants: Mapping[str, np.ndarray]) -> Site | None:
    tensor = node.input[0]
    spatial, rank = _spatial(tensor, shapes), _rank(tensor, shapes)
    axes = set(range(2, rank)) if node.op_type.startswith("Global") else _axes(node, constants, rank)
    if not spatial or not axes.intersection(spatial):
        return None
    channel = _channel(spatial, rank)
    # all of space, with or without channels: anything else stays as it is, and is told by the model's verdict
    rest = axes - set(spatial) - ({channel} if channel is not None else set())
    if not set(spatial) <= axes or rest - {0}:
        return None
    joint = channel in axes
    return Site(
        node.output[0], REDUCING[node.op_type], _words(node), tensor, spatial, channel, joint=joint, whole=tensor
    )


def _normalizing(
    model: ModelProto, node: NodeProto, shapes: Shapes, constants: Mapping[str, np.ndarray]
) -> Site | None:
    tensor = node.input[0]
    spatial, rank = _spatial(tensor, shapes), _rank(tensor, shapes)
    if not _known(node.input[1:], constants):
        return None
    if node.op_type == "MeanVarianceNormalization":
        axes = set(_attribute(node, "axes", [0, 2, 3]))
        if not spatial or not set(spatial) <= axes or 1 in axes:
            return None
        return Site(node.output[0], "instance", _words(node), tensor, spatial, 1, whole=tensor)
    if node.op_type == "GroupNormalization":
        if not spatial:
            return None
        groups = int(_attribute(node, "num_groups", 1))
        return Site(node.output[0], "group", _words(node), tensor, spatial, 1, groups=groups, whole=tensor)
    if len(spatial) == rank - 2 and rank > 3:
        return Site(node.output[0], "instance", _words(node), tensor, spatial, 1, whole=tensor)
    return _grouped(model, node, shapes)


def _grouped(model: ModelProto, node: NodeProto, shapes: Shapes) -> Site | None:
    """Exporters write GroupNormalization as Reshape to (N, groups, -1), InstanceNormalization and Reshape back."""
    before = _maker(model, node.input[0])
    users = [user for user in model.graph.node if node.output[0] in user.input]
    if before is None or before.op_type != "Reshape" or len(users) != 1 or users[0].op_type != "Reshape":
        return None
    tensor, made = before.input[0], users[0].output[0]
    spatial, rank = _spatial(tensor, shapes), _rank(tensor, shapes)
    inner = shapes[0].get(node.input[0], ())
    if not spatial or len(spatial) != rank - 2 or spatial[0] != 2 or len(inner) < 3:
        return None
    channels, groups = shapes[0][tensor][1], inner[1]
    if channels % groups or int(np.prod(inner)) != int(np.prod(shapes[0][tensor])):
        return None
    return Site(made, "group", _words(node), tensor, spatial, 1, groups=groups, whole=tensor)


def _maker(model: ModelProto, tensor: str) -> NodeProto | None:
    return next((node for node in model.graph.node if tensor in node.output), None)


def _known(names: Sequence[str], constants: Mapping[str, np.ndarray]) -> bool:
    return all(not name or name in constants for name in names)


def _rank(tensor: str, shapes: Shapes) -> int:
    return len(shapes[0].get(tensor, ()))


def _spatial(tensor: str, shapes: Shapes) -> tuple[int, ...]:
    """Axes whose length follows the image's."""
    first, second = (side.get(tensor, ()) for side in shapes)
    return tuple(axis for axis, (a, b) in enumerate(zip(first, second, strict=True)) if a != b)


def _channel(spatial: tuple[int, ...], rank: int) -> int | None:
    rest = [axis for axis in range(1, rank) if axis not in spatial]
    return rest[0] if len(rest) == 1 else None


def _axes(node: NodeProto, constants: Mapping[str, np.ndarray], rank: int) -> set[int]:
    """Of a Reduce operator: an attribute, since opset 18 an input; all if neither is there."""
    given: Any = _attribute(node, "axes", None)
    if given is None and len(node.input) > 1 and node.input[1]:
        value = constants.get(node.input[1])
        given = None if value is None else value.ravel().tolist()
        if given is None:
            return set()
    return set(range(rank)) if given is None else {int(axis) % rank for axis in given}


def _attribute(node: NodeProto, name: str, default: Any) -> Any:
    from onnx import helper

    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _words(node: NodeProto) -> str:
    return f"{node.op_type} '{node.name or node.output[0]}'"
