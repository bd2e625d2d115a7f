"""What the installed runtime takes: the newest opset and IR version, found by asking it."""

from __future__ import annotations

from dataclasses import dataclass

from tilewise.errors import ModelError
from tilewise.session import SessionOptions, open_session

SURE_OPSET, SURE_IR = 15, 8
"""Of onnxruntime 1.10; older ones are not looked for."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The newest that the runtime takes."""

    opset: int
    """Version of the standard operators."""
    ir: int
    """Version of the file format."""


def find_limits() -> Limits:
    """Try versions from the newest that onnx writes downwards, with a graph of one operator."""
    import onnx

    opset, ir = onnx.defs.onnx_opset_version(), int(onnx.IR_VERSION)
    while opset > SURE_OPSET and not _takes(opset, SURE_IR):
        opset -= 1
    while ir > SURE_IR and not _takes(SURE_OPSET, ir):
        ir -= 1
    return Limits(opset, ir)


def _takes(opset: int, ir: int) -> bool:
    from onnx import TensorProto, helper

    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "one", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    try:
        open_session(model.SerializeToString(), SessionOptions())
    except ModelError:
        return False
    return True
