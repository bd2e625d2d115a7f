"""Reading a model file, and refusing what must not be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tilewise.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import GraphProto, ModelProto, TensorProto

LARGEST = 2**31 - 1
"""Bytes of a graph with its weights: what protobuf takes."""
MAGIC = {
    b"PK\x03\x04": "a PyTorch file (a zip archive)",
    b"\x80\x02": "a PyTorch or Python pickle",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"\x89HDF\r\n": "an HDF5 file (Keras)",
    b"version https://git-lfs": "a pointer of Git LFS",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
    b"<?xml": "an XML file (OpenVINO?)",
}
"""First bytes of what is taken for a model."""
LOST = {"a pointer of Git LFS", "a web page"}
"""The model itself has not been fetched."""
OFFSET_MAGIC = {b"TFL3": "a TensorFlow Lite file", b"ORTM": "a model in onnxruntime's own format"}
"""Bytes 4 to 8."""


def load(path: Path) -> tuple[ModelProto, tuple[str, ...]]:
    """Parse a model with its external data and its functions inlined.

    Returns:
        The model, and the names of its data files below its folder.
    """
    import onnx

    other = _other_format(path)
    if other:
        cure = "Download it again" if other in LOST else f"Convert it: tilewise convert {path} OUT.onnx"
        raise ModelError(f"{path} is {other}, not ONNX", "a model in ONNX format", f"{cure}.")
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


def _other_format(path: Path) -> str:
    """What a file is that is no ONNX, told from its first bytes; empty if it may be."""
    with path.open("rb") as stream:
        head = stream.read(64)
    if head[4:8] in OFFSET_MAGIC:
        return OFFSET_MAGIC[head[4:8]]
    known = next((name for magic, name in MAGIC.items() if head.startswith(magic)), "")
    return "a Keras file" if known and path.suffix == ".keras" else known


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
    total = path.stat().st_size + sum((path.parent / name).stat().st_size for name in names)
    if total > LARGEST:
        raise ModelError(
            f"{path} takes {total / 2**30:.1f} GiB with its weights",
            "a model of less than 2 GiB",
            "Export it with weights in half precision.",
        )
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
