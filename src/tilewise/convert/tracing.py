"""From a TensorFlow function to ONNX, for Keras models and SavedModels alike."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

from tilewise.convert.original import Request, unexported

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onnx import ModelProto


def export(request: Request, call: Callable[..., Any], specs: Sequence[Any]) -> ModelProto:
    """The graph of a function, channels where they are, every length free that the specs leave free.

    Args:
        request: for its path, and its opset: the newest that tf2onnx writes is taken if it is newer.
        call: from tensors to a flat list of tensors.
        specs: of its inputs.
    """
    import tensorflow as tf
    import tf2onnx
    from tf2onnx.constants import OPSET_TO_IR_VERSION

    traced = tf.function(call, input_signature=list(specs), autograph=False)
    try:
        made, _ = tf2onnx.convert.from_function(
            traced,
            input_signature=list(specs),
            opset=min(request.opset, max(OPSET_TO_IR_VERSION)),
            custom_op_handlers={"Erfc": (_write_erfc, [])},
        )
    except Exception as error:
        raise unexported(request, f"tf2onnx {tf2onnx.__version__}", error) from error
    return made


def _write_erfc(context: Any, node: Any, name: str, arguments: list[Any]) -> None:  # noqa: ARG001 tf2onnx' face
    """One minus Erf: what Gelu is made of in Keras, and tf2onnx does not know."""
    import numpy as np

    kind = context.get_dtype(node.output[0])
    context.remove_node(node.name)
    one = context.make_const(f"{node.name} one", np.ones((), _numpy_type(kind)))
    erf = context.make_node("Erf", node.input, dtypes=[kind])
    context.make_node("Sub", [one.output[0], erf.output[0]], name=node.name, outputs=node.output, dtypes=[kind])


def _numpy_type(kind: int) -> Any:
    """Of a tensor, as numpy has it."""
    from onnx import helper

    return helper.tensor_dtype_to_np_dtype(kind)


def library_versions() -> dict[str, str]:
    """Of what takes part; told from metadata, whatever wheel of TensorFlow it is."""
    found = {}
    for name in ("tensorflow", "tensorflow-cpu", "keras", "tf2onnx"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
