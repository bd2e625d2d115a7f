"""Replacing what looks at the whole image by arithmetic with constants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tilewise.splice import numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import ModelProto, NodeProto

    from tilewise.freeze.site import Site
    from tilewise.norms import Row


def graft(model: ModelProto, site: Site, known: Row, dtype: np.dtype) -> None:
    """Replace a site, in place; what made its tensor stays, and is pruned if nothing else needs it.

    Args:
        model: the graph.
        site: what is replaced.
        known: its statistics.
        dtype: of the site's tensor.
    """
    at, node = next((k, n) for k, n in enumerate(model.graph.node) if site.name in n.output)
    made: dict[str, np.ndarray]
    nodes: list[Any]
    if site.kind in {"mean", "maximum"}:
        value = np.array(known.mean if site.kind == "mean" else known.maximum)
        made, nodes = _number(node, site, value, dtype), []
    else:
        made, nodes = _normalizer(model, node, site, known, dtype)
    _swap(model, at, nodes)
    from onnx import numpy_helper

    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in made.items())


def _number(node: NodeProto, site: Site, value: np.ndarray, dtype: np.dtype) -> dict[str, np.ndarray]:
    """The output of a reduction as a constant, in the shape that it would have for one image."""
    rank = 1 + len(site.spatial) + (site.channel is not None)
    if site.joint:
        value = value.mean(keepdims=True) if site.kind == "mean" else value.max(keepdims=True)
    shape = [1] * rank
    if site.channel is not None and not site.joint:
        shape[site.channel] = len(value)
    kept = [shape[axis] for axis in range(rank) if _kept(node) or axis not in {*site.spatial, *_joined(site)}]
    return {site.name: value.astype(dtype).reshape(kept)}


def _kept(node: NodeProto) -> bool:
    from onnx import helper

    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return bool(found.get("keepdims", 1))


def _joined(site: Site) -> set[int]:
    return {site.channel} if site.joint and site.channel is not None else set()


def _normalizer(
    model: ModelProto, node: NodeProto, site: Site, known: Row, dtype: np.dtype
) -> tuple[dict[str, np.ndarray], list[Any]]:
    """(x - mean) * factor + bias, in an order that keeps large means from eating the digits."""
    from onnx import helper

    normal = node if node.op_type != "Reshape" else _inner(model, node)
    mean, variance = _by_group(known, site)
    scale, bias = (_spread(value, len(mean)) for value in _parameters(model, normal))
    factor = scale / np.sqrt(variance + _epsilon(normal))
    shape = [1] * (2 + len(site.spatial))
    shape[1] = len(mean)
    words = {"mean": mean, "factor": factor, "bias": bias}
    values = {f"{site.name} {word}": value.astype(dtype).reshape(shape) for word, value in words.items()}
    nodes = [
        helper.make_node("Sub", [site.whole, f"{site.name} mean"], [f"{site.name} centred"]),
        helper.make_node("Mul", [f"{site.name} centred", f"{site.name} factor"], [f"{site.name} scaled"]),
        helper.make_node("Add", [f"{site.name} scaled", f"{site.name} bias"], [site.name]),
    ]
    return values, nodes


def _inner(model: ModelProto, reshape: NodeProto) -> NodeProto:
    return next(node for node in model.graph.node if reshape.input[0] in node.output)


def _by_group(known: Row, site: Site) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance for each channel; channels of a group share theirs, which come from theirs together."""
    if site.kind == "instance":
        return np.array(known.mean), np.array(known.variance)
    means = np.reshape(known.mean, (site.groups, -1))
    mean = means.mean(axis=1)
    # about the group's mean: the difference of large squares would lose what matters
    spread = np.reshape(known.variance, (site.groups, -1)).mean(axis=1) + ((means - mean[:, None]) ** 2).mean(axis=1)
    each = means.shape[1]
    return np.repeat(mean, each), np.repeat(spread, each)


def _parameters(model: ModelProto, node: NodeProto) -> tuple[np.ndarray, np.ndarray]:
    """Scale and bias: one number, one a group or one a channel."""
    constants = numbers(model)
    given = [constants[name].astype(np.float64).ravel() for name in node.input[1:3] if name]
    scale = given[0] if given else np.ones(1)
    bias = given[1] if len(given) > 1 else np.zeros(1)
    return scale, bias


def _spread(value: np.ndarray, channels: int) -> np.ndarray:
    """One number for each channel; channels of a group lie side by side."""
    return np.repeat(value, channels // len(value))


def _epsilon(node: NodeProto) -> float:
    from onnx import helper

    default = 1e-9 if node.op_type == "MeanVarianceNormalization" else 1e-5
    found: Mapping[str, Any] = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return float(found.get("epsilon", default))


def _swap(model: ModelProto, at: int, nodes: list[Any]) -> None:
    """Put nodes in the place of one."""
    kept = [*model.graph.node[:at], *nodes, *model.graph.node[at + 1 :]]
    copies = [type(node)() for node in kept]
    for copy, node in zip(copies, kept, strict=True):
        copy.CopyFrom(node)
    del model.graph.node[:]
    model.graph.node.extend(copies)
