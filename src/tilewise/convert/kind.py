"""What a file is, told by its content: suffixes lie, and `.pt` is three things."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewise.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

HEAD = 4096
"""Bytes that are looked at first."""
LARGEST_JSON = 1 << 26
"""Bytes of an architecture; real ones are a thousandth of it."""
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How pickles begin."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A format that can be converted."""

    name: str
    """In one word, the key of the table."""
    told: str
    """In words for people."""


ONNX = Kind("onnx", "ONNX")
KERAS = Kind("keras", "Keras (.keras)")
HDF5 = Kind("hdf5", "Keras (HDF5)")
JSON = Kind("json", "Keras (JSON and weights)")
SAVED_MODEL = Kind("savedmodel", "TensorFlow SavedModel")
EXPORTED = Kind("exported", "PyTorch exported program")
SCRIPT = Kind("script", "TorchScript")
PICKLE = Kind("pickle", "PyTorch pickle")

STRANGERS = {
    b"TFL3": ("a TensorFlow Lite file", "Convert the model that it was made from (.keras, SavedModel)."),
    b"ORTM": ("a model in onnxruntime's own format", "Give the ONNX file that it was made from."),
}
"""Known, and not converted: bytes 4 to 8."""
LOST = {
    b"version https://git-lfs": "a pointer of Git LFS",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
}
"""The model itself has not been fetched."""


def tell(path: Path) -> Kind:
    """Which format a file or folder has.

    Raises:
        ModelError: it is not there, or none that can be converted.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise ModelError(f"{path} does not exist", "a model file, or the folder of a SavedModel", "Check the path.")
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    if not head:
        raise ModelError(f"{path} is empty", "a model file", "Export or download it again.")
    _refuse_strangers(path, head)
    if head.startswith(b"PK\x03\x04"):
        return _archive(path)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return HDF5
    if head.startswith(PICKLES):
        return PICKLE
    if head.lstrip().startswith(b"{"):
        return _text(path)
    return _protobuf(path, head)


def _folder(path: Path) -> Kind:
    if (path / "saved_model.pb").is_file() or (path / "saved_model.pbtxt").is_file():
        return SAVED_MODEL
    if (path / "config.json").is_file() and (path / "metadata.json").is_file():
        raise ModelError(
            f"{path} is an unpacked .keras archive", "the .keras file itself", "Zip the folder's files, or save again."
        )
    raise ModelError(
        f"{path} is a folder without a saved_model.pb", "the folder of a TensorFlow SavedModel", "Check the path."
    )


def _refuse_strangers(path: Path, head: bytes) -> None:
    if head[4:8] in STRANGERS:
        what, cure = STRANGERS[head[4:8]]
        raise _stranger(path, what, cure)
    lost = next((what for mark, what in LOST.items() if head.startswith(mark)), None)
    if lost:
        raise _stranger(path, lost, "Download the model itself.")
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < LARGEST_JSON and b'"dtype"' in head:
        raise _stranger(
            path,
            "a file of weights alone (safetensors)",
            "Load them into the program that defines the network, and export that with torch.export or Keras.",
        )


def _stranger(path: Path, what: str, cure: str) -> ModelError:
    return ModelError(f"{path} is {what}", "a model of Keras, TensorFlow, PyTorch or ONNX", cure)


def _archive(path: Path) -> Kind:
    """Zip archives: Keras 3, and three of PyTorch, whose files lie in one folder."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ModelError(f"{path} is a damaged zip archive ({error})", "a whole file", "Download it again.") from error
    if "config.json" in names and any(name.startswith("model.weights") for name in names):
        return KERAS
    inner = {name.partition("/")[2] for name in names}
    if "archive_format" in inner or "serialized_exported_program.json" in {*names, *inner}:
        return EXPORTED
    if "data.pkl" in inner:
        return SCRIPT if any(name.startswith("code/") for name in inner) else PICKLE
    raise _stranger(path, "a zip archive that holds no model", "Unpack it, and give the model inside it.")


def _text(path: Path) -> Kind:
    try:
        found = json.loads(path.read_bytes()) if path.stat().st_size < LARGEST_JSON else None
    except ValueError:
        found = None
    if isinstance(found, dict) and isinstance(found.get("config"), dict | list) and "class_name" in found:
        return JSON
    raise _stranger(path, "a text that holds no Keras architecture", "Give what model.to_json() wrote.")


def _protobuf(path: Path, head: bytes) -> Kind:
    """Field 1 of an ONNX model is a small number; of a frozen graph, a node with its length."""
    if head[0] == 0x08:
        return ONNX
    if head[0] == 0x0A and path.suffix == ".pb":
        raise _stranger(
            path, "a frozen TensorFlow graph", "Save the model as a SavedModel folder, which names inputs and outputs."
        )
    # a model may leave its IR version to the end
    if path.suffix == ".onnx":
        return ONNX
    raise _stranger(path, "no format that is known here", "Export it as .keras, SavedModel, .pt2 or ONNX.")
