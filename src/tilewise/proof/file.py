"""Reading a model file, and refusing what must not be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tilewise.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import GraphProto, ModelProto, TensorProto


def load(path: Path) -> tuple[ModelProto, tuple[str, ...]]:
    """Parse a model with its external data and its functions inlined.

    Returns:
        The model, and the names of its data files below its folder.
    """
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise _corrupt(path, str(error)) from error
    if not model.graph.node or not model.graph.output:
        raise _corrupt(path, "it holds no graph")
    names = _external(model, path)
    if names:
        onnx.load_external_data_for_model(model, str(path.parent))
    if model.functions:
        model = _inline(model, path)
    return model, names


def _corrupt(path: Path, cause: str) -> ModelError:
    line = (cause.strip().splitlines() or ["no reason given"])[0][:200]
    return ModelError(f"{path} is no ONNX model ({line})", "a model in ONNX format", "Export or download it again.")


def _inline(model: ModelProto, path: Path) -> ModelProto:
    from onnx import inliner

    try:
        return inliner.inline_local_functions(model)
    except Exception as error:
        raise _corrupt(path, f"its functions cannot be inlined: {error}") from error


def _external(model: ModelProto, path: Path) -> tuple[str, ...]:
    """Names of the data files, each of them checked to lie inside the model's folder."""
    names = set()
    for tensor in _tensors(model.graph):
        if tensor.data_location == tensor.EXTERNAL:
            location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
            names.add(_checked(location, path))
    return tuple(sorted(names))


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)


def _checked(location: str, path: Path) -> str:
    folder = path.parent.resolve()
    place = Path(location)
    outside = place.is_absolute() or ".." in place.parts or "\\" in location or not location
    if outside or not (folder / place).resolve().is_relative_to(folder):
        raise ModelError(
            f"{path} takes weights from '{location}', outside its folder",
            "external data inside the folder of the model",
            "Put the data file beside the model, or export the model as one file.",
        )
    if not (folder / place).is_file():
        raise ModelError(
            f"{path} takes weights from '{location}', which is missing",
            "the data file beside the model",
            "Copy it there, or export the model as one file.",
        )
    return os.fspath(place)
