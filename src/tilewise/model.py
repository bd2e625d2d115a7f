"""A model: inspected once in a child process, known ever after from the user's cache folder.

Nothing here parses a model or imports onnx or onnxruntime: that is the child's work (``tilewise.proof``).
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewise.cache import cache_folder
from tilewise.child import ask
from tilewise.descriptions.agree import check_agrees, check_letters, disagree
from tilewise.descriptions.contract import SILENT, merge
from tilewise.descriptions.table import find_model, read_within
from tilewise.errors import ModelError
from tilewise.settings import Graph
from tilewise.spec import Certificate, ModelSpec, Port, Tensor
from tilewise.versions import Versions, versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilewise.descriptions.contract import Contract

__all__ = ["Certificate", "Model", "ModelSpec", "Port", "Tensor", "prepare"]

UNTOLD = Graph()
"""Nothing is told beyond the file."""
LARGEST = 2**31
"""Bytes that no file of protobuf reaches."""
PIECE = 1 << 22
"""Bytes that are hashed at once."""


@dataclass(frozen=True)
class Model:
    """A model, with what it does not tell of itself."""

    path: str | Path
    """The ONNX file, or a bioimage.io description of one: its YAML file, or a folder or zip archive with it."""
    graph: Graph = UNTOLD
    """Layouts, names and constants, where the graph does not tell them."""

    @cached_property
    def spec(self) -> ModelSpec:
        """What the model is, from the cache or from an inspection in a child process.

        Raises:
            ModelError: it cannot be read, is not understood, or does not end in time.
        """
        weights, said = self._described
        if said is SILENT:
            return _entry(weights, self.graph)[0]
        if self.graph.layout is None:
            check_letters(said)
        try:
            found = _entry(weights, self._told)[0]
        except ModelError as error:
            own = _entry(weights, self.graph)[0]
            raise disagree(said, own) if own.layout != said.layout else error from error
        check_agrees(said, found, overruled=self.graph.output_layout is not None)
        place = Path(os.path.abspath(self.path))  # noqa: PTH100
        return replace(found, path=str(place), name=place.stem)

    @cached_property
    def contract(self) -> Contract:
        """What the model says of itself: its description first, then its metadata.

        Raises:
            ModelError: it cannot be read, or says what cannot be.
        """
        if self.graph.contract == "ignore":
            return SILENT
        said, names = self._described[1], [tensor.name for tensor in self.spec.outputs]
        if said is not SILENT and self.graph.output_name in names:
            said = find_model(self.path, names.index(self.graph.output_name))[1]
        return merge(said, read_within(dict(self.spec.metadata)))

    @cached_property
    def _described(self) -> tuple[Path, Contract]:
        """The ONNX file, and what a description beside it says."""
        weights, said = find_model(self.path)
        return weights, SILENT if self.graph.contract == "ignore" else said

    @cached_property
    def _told(self) -> Graph:
        """The graph's settings with the description's axes."""
        return replace(self.graph, layout=self.graph.layout or self._described[1].layout)

    def prepared(self) -> bytes:
        """The graph that workers run: pruned to its output, freed where proven, with constants in it."""
        return prepare(self._described[0], self.spec, graph=self._told)

    def inspect(self) -> dict[str, Any]:
        """What ``tilewise inspect --json`` prints."""
        said = self.contract
        told = {name: {"value": said.plain(name), "from": said.origin(name)} for name in said.said()}
        return {**self.spec.inspect(), "contract": told}


def prepare(path: str | Path, spec: ModelSpec, *, graph: Graph | None = None) -> bytes:
    """The graph that the certificate was made with, for a session: one for all sizes, or last bits would differ.

    Args:
        path: the model file.
        spec: its spec, whose digest the file must still have.
        graph: the settings with which it was inspected, if they cannot be told from the spec.

    Raises:
        ModelError: the file is another one by now.
    """
    asked = graph or Graph(
        layout=spec.layout,
        output_layout=None if spec.ports else spec.output_layout,
        output_name=None if spec.ports else spec.output_name,
        inputs=spec.constants,
    )
    found, content = _entry(path, asked, content=True)
    if found.sha256 != spec.sha256:
        raise ModelError(
            f"{path} has changed since it was inspected", "the same file", "Start again with the new model."
        )
    return content


def _entry(path: str | Path, graph: Graph, *, content: bool = False) -> tuple[ModelSpec, bytes]:
    """Spec and, if wanted, prepared graph, from the cache if they are there and sound."""
    file = _existing(path)
    digest = _digest([file])
    stamp = versions()
    place = cache_folder() / f"{_key(digest, stamp, graph)}.json"
    found = _cached(place, file, digest, content=content)
    if found is not None:
        return found
    return _inspected(place, file, digest, stamp, graph)


def _existing(path: str | Path) -> Path:
    file = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow a link away from the data beside it
    if (file / "saved_model.pb").is_file():
        raise ModelError(
            f"{path} is a TensorFlow SavedModel, not ONNX",
            "a model in ONNX format",
            f"Convert it: tilewise convert {path} OUT.onnx.",
        )
    if file.is_dir():
        raise ModelError(f"{path} is a folder", "an ONNX model file", "Give the .onnx file inside it.")
    if not file.is_file():
        raise ModelError(f"{path} does not exist", "an ONNX model file", "Check the path.")
    if file.stat().st_size == 0:
        raise ModelError(f"{path} is empty", "an ONNX model file", "Export or download it again.")
    if file.stat().st_size >= LARGEST:
        raise ModelError(
            f"{path} is {file.stat().st_size / 2**30:.1f} GiB large",
            "a model of less than 2 GiB",
            "Export it with weights in half precision.",
        )
    return file


def _digest(files: Sequence[Path]) -> str:
    """sha256 of one file after the other, read in pieces."""
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while piece := stream.read(PIECE):
                found.update(piece)
    return found.hexdigest()


def _key(digest: str, stamp: Versions, graph: Graph) -> str:
    """Everything that an inspection depends on; the other settings are a matter of the plan and of the run."""
    told = json.dumps(
        [digest, asdict(stamp), asdict(replace(graph, free_size=False, freeze_norms="none"))], sort_keys=True
    )
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _cached(place: Path, file: Path, digest: str, *, content: bool) -> tuple[ModelSpec, bytes] | None:
    """What was found before; None if it is not there, broken, or about other data files."""
    try:
        kept = json.loads(place.read_text())
        spec = ModelSpec.from_json(kept["spec"])
        data = [file.parent / name for name in kept["external"]]
        if spec.sha256 != (_digest([file, *data]) if data else digest):
            return None
        graph = place.with_suffix(".onnx").read_bytes() if content else b""
        if content and hashlib.sha256(graph).hexdigest() != kept["prepared"]:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return replace(spec, path=str(file), name=file.stem), graph


def _inspected(place: Path, file: Path, digest: str, stamp: Versions, graph: Graph) -> tuple[ModelSpec, bytes]:
    with tempfile.TemporaryDirectory(prefix="tilewise-") as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        answer = ask(file, graph, prepared)
        content = prepared.read_bytes()
    spec = ModelSpec.from_json(answer["spec"])
    data = [file.parent / name for name in answer["external"]]
    proof = replace(
        spec.certificate,
        tilewise=stamp.tilewise,
        onnx=stamp.onnx,
        onnxruntime=stamp.onnxruntime,
        processor=stamp.processor,
    )
    spec = replace(spec, sha256=_digest([file, *data]) if data else digest, certificate=proof)
    kept = {"spec": spec.to_json(), "external": answer["external"], "prepared": answer["prepared"]}
    _keep(place, json.dumps(kept).encode(), content)
    return spec, content


def _keep(place: Path, text: bytes, content: bytes) -> None:
    """Write both files whole, the graph first; a cache that cannot be written is no error."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        for target, data in ((place.with_suffix(".onnx"), content), (place, text)):
            handle, name = tempfile.mkstemp(dir=place.parent, suffix=".partial")
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            Path(name).replace(target)
    except OSError:
        return
