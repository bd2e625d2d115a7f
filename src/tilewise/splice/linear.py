"""A linear, positive copy of the graph, through which a NaN reaches every place that a pixel can reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewise.splice.graph import STANDARD, constant_tensors, image_names, operators

if TYPE_CHECKING:
    import numpy as np
    from onnx import ModelProto, NodeProto

SWALLOWING = frozenset(
    """Relu LeakyRelu PRelu Elu Selu Celu Sigmoid Tanh Softplus Softsign HardSigmoid HardSwish Mish Gelu Erf Clip
    ThresholdedRelu Abs Neg Exp Log Sqrt Reciprocal Floor Ceil Round Sign Softmax LogSoftmax Dropout Swish
    BatchNormalization Shrink LRN""".split()  # noqa: SIM905 - a list of names reads better as a line
)
"""They stop a NaN, or make one of their own; identity in the copy."""
WEIGHTED = {"Conv": 1, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1}
"""Index of the weights."""


def linearise(model: ModelProto) -> ModelProto:
    """The copy: activations are identities, maxima are means, weights are positive and sum to one."""
    from onnx import ModelProto

    copy = ModelProto()
    copy.CopyFrom(model)
    weights: dict[str, str] = {}
    # what computes sizes stays as it is: exporters of TensorFlow negate and clip lengths to cut transposed convolutions
    ops, inputs = operators(model), [value.name for value in model.graph.input]
    pixels = set().union(*(image_names(ops, name) for name in inputs))
    for node in copy.graph.node:
        if node.domain not in STANDARD or not pixels.intersection(node.input):
            continue
        if node.op_type in SWALLOWING:
            _become(node, "Identity")
        elif node.op_type == "MaxPool" and not _dilated(node) and len(node.output) == 1:
            _become_mean(node)
        elif node.op_type in WEIGHTED and len(node.input) > 1:
            weights[node.input[WEIGHTED[node.op_type]]] = node.op_type
            if node.op_type in {"Conv", "ConvTranspose"} and len(node.input) > 2:
                del node.input[2:]
    _make_positive(copy, weights)
    return copy


def _become(node: NodeProto, kind: str) -> None:
    node.op_type = kind
    del node.input[1:]
    del node.output[1:]
    del node.attribute[:]


def _dilated(node: NodeProto) -> bool:
    return any(a.name == "dilations" and any(n != 1 for n in a.ints) for a in node.attribute)


def _become_mean(node: NodeProto) -> None:
    node.op_type = "AveragePool"
    kept = [a for a in node.attribute if a.name not in {"storage_order", "dilations"}]
    copies = [type(a)() for a in kept]
    for made, a in zip(copies, kept, strict=True):
        made.CopyFrom(a)
    del node.attribute[:]
    node.attribute.extend(copies)


def _make_positive(model: ModelProto, weights: dict[str, str]) -> None:
    from onnx import numpy_helper

    for name, tensor in list(constant_tensors(model.graph)):
        if name not in weights:
            continue
        value = numpy_helper.to_array(tensor)
        if value.dtype.kind != "f" or value.ndim < 2:
            continue
        tensor.CopyFrom(numpy_helper.from_array(_positive(value, weights[name]), tensor.name))


def _positive(value: np.ndarray, kind: str) -> np.ndarray:
    """Absolute weights and a little, divided by their fan-in: activations stay between 0 and the largest pixel."""
    import numpy as np

    made = np.abs(value.astype(np.float64)) + 1e-3
    axes = tuple(range(1, value.ndim)) if kind == "Conv" else (0,)
    if kind == "ConvTranspose":
        axes = (0, *range(2, value.ndim))
    scaled: np.ndarray = (made / made.sum(axis=axes, keepdims=True)).astype(value.dtype)
    return scaled
