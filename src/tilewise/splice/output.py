"""What is appended to an output: a crop, or the shape of a vector. The output keeps its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tilewise.splice.graph import declare_outputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import ModelProto


def crop_output(model: ModelProto, name: str, extras: Mapping[int, int]) -> None:
    """Crop so many indices of an output's axes, the larger half behind."""
    cuts = {
        "starts": [n // 2 for n in extras.values()],
        "ends": [n // 2 - n for n in extras.values()],
        "axes": list(extras),
    }
    _append(model, name, "Slice", cuts)


def flatten_output(model: ModelProto, name: str, rank: int, *, batched: bool) -> None:
    """Give a vector's output the axes batch and channels, in two axes exactly."""
    if rank == 2 and batched:
        return
    _append(model, name, "Reshape", {"shape": ([0, -1] if rank > 1 else [-1, 1]) if batched else [1, -1]})


def _append(model: ModelProto, name: str, kind: str, numbers: Mapping[str, list[int]]) -> None:
    from onnx import helper, numpy_helper

    graph, whole = model.graph, f"{name} before {kind}"
    for node in graph.node:
        for field in (node.input, node.output):
            for i, found in enumerate(field):
                if found == name:
                    field[i] = whole
    for key, value in numbers.items():
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), f"{name} {key}"))
    inputs = [whole, *(f"{name} {key}" for key in numbers)]
    graph.node.append(helper.make_node(kind, inputs, [name], name=f"{kind} of {name}"))
    declare_outputs(model)
