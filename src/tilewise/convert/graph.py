"""ONNX files: opened to be taken to an opset or IR version that the runtime takes."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

from tilewise.convert.opset import opset_of, same_operators
from tilewise.convert.original import Original, Request
from tilewise.errors import ModelError
from tilewise.proof.file import load
from tilewise.session import SessionOptions, open_session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from onnx import ModelProto


def open_graph(request: Request) -> Original:
    """Read the file with its data files, and find what can run it as it is."""
    import onnx

    model, external = load(request.path)
    newest = onnx.defs.onnx_opset_version()
    if opset_of(model) > newest or model.ir_version > int(onnx.IR_VERSION):
        raise ModelError(
            f"{request.path} has opset {opset_of(model)} and IR {model.ir_version}, newer than the installed onnx",
            f"opset {newest} and IR {int(onnx.IR_VERSION)} at most",
            "Run: pip install --upgrade onnx.",
        )
    run, by = _runner(model, request.opset)
    return Original(
        model, run, by, {"onnx": importlib.metadata.version("onnx")}, shape=request.shape, external=bool(external)
    )


def _runner(model: ModelProto, opset: int) -> tuple[Callable[[Sequence[np.ndarray]], list[np.ndarray]] | None, str]:
    """The runtime if it takes the model, else nothing if only numbers change, else onnx's own slow evaluator."""
    from onnx import ModelProto

    known = ModelProto()
    known.CopyFrom(model)
    # the IR version says how the file is written: it does not change what operators do
    known.ir_version = min(known.ir_version, 8)
    try:
        return _session(known), "onnxruntime"
    except ModelError:
        if same_operators(model, opset):
            return None, "the same operators"
        return _evaluator(model), "onnx's reference evaluator"


def _session(model: ModelProto) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
    session = open_session(model.SerializeToString(), SessionOptions())
    names = [name for name, _, _ in session.inputs]
    return lambda values: session.run(dict(zip(names, values, strict=True)))


def _evaluator(model: ModelProto) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(model)
    names = [name for name in evaluator.input_names if name not in {t.name for t in model.graph.initializer}]
    return lambda values: list(evaluator.run(None, dict(zip(names, values, strict=True))))
