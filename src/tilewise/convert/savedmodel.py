"""TensorFlow SavedModels: folders with a graph, variables and named signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilewise.convert.original import Original, Request, unopened
from tilewise.convert.tracing import export, library_versions
from tilewise.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURES = ("serving_default", "serve")
"""What programs call the function that predicts."""
REACHING = {
    "PyFunc",
    "PyFuncStateless",
    "EagerPyFunc",
    "ReadFile",
    "WriteFile",
    "MatchingFiles",
    "Save",
    "SaveSlices",
    "SaveV2",
    "PrintV2",
    "DebugIdentityV2",
    "ImmutableConst",
    "LookupTableExport",
    "WholeFileReader",
    "WholeFileReaderV2",
    "TextLineReader",
    "TextLineReaderV2",
    "FixedLengthRecordReaderV2",
    "TFRecordReaderV2",
}
"""Operators that run Python, or reach files beyond the model's folder, and that no network needs."""


def open_savedmodel(request: Request) -> Original:
    """Load the folder, and export its one signature."""
    import tensorflow as tf

    if not request.trust:
        _refuse_reaching(request)
    try:
        loaded = tf.saved_model.load(str(request.path))
    except Exception as error:
        raise unopened(request, f"a SavedModel by TensorFlow {tf.__version__}", error, "Save it again.") from error
    function = _signature(request, loaded.signatures)
    _, named = function.structured_input_signature
    names = sorted(named)
    specs = [tf.TensorSpec(named[name].shape, named[name].dtype, name=name) for name in names]

    def call(*values: Any) -> Any:
        return tf.nest.flatten(function(**dict(zip(names, values, strict=True))))

    model = export(request, call, specs)
    return Original(
        model,
        lambda values: [value.numpy() for value in call(*map(tf.constant, values))],
        f"TensorFlow {tf.__version__}",
        library_versions(),
        shape=request.shape,
    )


def _signature(request: Request, signatures: Any) -> Any:
    names = list(signatures)
    name = next((name for name in SIGNATURES if name in names), names[0] if len(names) == 1 else None)
    if name is None:
        raise ModelError(
            f"{request.path} has {len(names)} signatures ({', '.join(names) or 'none'})",
            f"one, or one that is called {SIGNATURES[0]}",
            "Save it with one: tf.saved_model.save(model, folder, signatures=function).",
        )
    return signatures[name]


def _refuse_reaching(request: Request) -> None:
    """Refuse operators that reach beyond the graph; a SavedModel is a program."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    path = request.path / "saved_model.pb"
    if not path.is_file():
        raise ModelError(
            f"{request.path} holds its graph as text", "a saved_model.pb", "Save it again, or give --trust."
        )
    found = saved_model_pb2.SavedModel()
    try:
        found.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise unopened(request, "a SavedModel", error, "Save or download it again.") from error
    for kind, name in _operators(found):
        if kind in REACHING:
            raise ModelError(
                f"{request.path} holds operator {kind} ('{name}'), which reaches beyond the model",
                "operators that only compute",
                "Save the network without it, or give --trust if you know who made it.",
            )


def _operators(found: Any) -> Iterator[tuple[str, str]]:
    for part in found.meta_graphs:
        names = _saving(part)
        for node in part.graph_def.node:
            yield node.op, node.name
        for function in part.graph_def.library.function:
            if function.signature.name not in names:
                for node in function.node_def:
                    yield node.op, node.name


def _saving(part: Any) -> set[str]:
    """Functions that save and restore variables: every SavedModel has them."""
    names = [part.saver_def.save_tensor_name, part.saver_def.restore_op_name]
    stems = {name.partition(":")[0] for name in names if name}
    return {
        attribute.func.name
        for node in part.graph_def.node
        if node.name in stems
        for attribute in node.attr.values()
        if attribute.func.name
    }
