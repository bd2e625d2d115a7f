"""A specimen: how a model is built from a seed, and what is claimed of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, TensorProto, helper

from networks import IR, OPSET, Net, shape_of
from tilewise.settings import Graph

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from fractions import Fraction

TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "float64": TensorProto.DOUBLE,
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "uint16": TensorProto.UINT16,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}
NONE = Graph()


@dataclass(frozen=True, slots=True)
class Specimen:
    """A model and its claims; lengths are per spatial axis, or one number for all."""

    name: str
    build: Callable[[int], ModelProto]
    """From a seed."""
    layout: str = "NCHW"
    output_layout: str = ""
    """The input's if empty."""
    dtype: str = "float32"
    out_dtype: str = "float32"
    channels: int = 1
    """Of the image."""
    multiple: int | tuple[int, ...] = 1
    radius: int | tuple[int, ...] | None = None
    scale: Fraction | int = 1
    lead: int = 0
    trail: int = 0
    fixed: tuple[int, ...] | None = None
    batch: int | None = None
    verdict: str = "exact"
    word: str = ""
    """In the reason."""
    graph: Graph = NONE
    """What has to be told."""
    ports: tuple[str, ...] = ()
    """Layouts of all outputs, if there are several."""
    scales: tuple[Fraction, ...] = ()
    """Of all outputs, if there are several."""
    sizes: tuple[int, ...] = ()
    """Of the image that is run; something odd if empty."""
    coarse: bool = False
    """M is what the strides say, though less would do."""
    rounding: bool = False
    """Weights are no whole numbers: brute force calls what is rounded equal."""
    whole: bool = False
    """Tiled equals untiled only for an image of one tile."""

    @property
    def ndim(self) -> int:
        return sum(letter in "DHW" for letter in self.layout)

    def axes(self, value: int | tuple[int, ...]) -> tuple[int, ...]:
        """One number for every spatial axis."""
        return value if isinstance(value, tuple) else (value,) * self.ndim


def assemble(
    net: Net,
    make: Callable[[str], str | Sequence[str]],
    *,
    channels: int = 1,
    layout: str = "NCHW",
    output_layout: str | None = None,
    dtype: str = "float32",
    out_dtype: str = "float32",
    sizes: tuple[int, ...] | None = None,
    batch: str | int = "n",
    opset: int = OPSET,
    ir: int = IR,
    inputs: Sequence[tuple[str, str, list[int]]] = (),
) -> ModelProto:
    """A model whose image has any layout around ``make``, which builds from a channels-first float tensor.

    The output is turned to ``output_layout``, the input's if None, left as made if empty.
    """
    first = "NCDHW" if net.ndim == 3 else "NCHW"
    x = "image"
    net.channels[x] = channels
    if dtype != "float32":
        x = net.node("Cast", [x], channels=channels, to=TensorProto.FLOAT)
    x = transposed(net, x, layout, first)
    net.channels[x] = channels
    made = make(x)
    outputs = []
    for name in [made] if isinstance(made, str) else made:
        wanted = layout if output_layout is None else output_layout
        y = transposed(net, name, first, wanted) if wanted else name
        outputs.append((y, out_dtype, None))
    return model_of(net, [("image", dtype, shape_of(layout, channels, sizes, batch)), *inputs], outputs, opset, ir)


def transposed(net: Net, x: str, given: str, wanted: str) -> str:
    """Axes that are missing are added, those that are too many squeezed."""
    common = [c for c in given if c in wanted]
    gone = [i for i, c in enumerate(given) if c not in wanted]
    if gone:
        x = net.node("Squeeze", [x, net.constant(np.array(gone, np.int64))])
    order = [common.index(c) for c in wanted if c in common]
    if order != sorted(order):
        x = net.node("Transpose", [x], perm=order)
    new = [i for i, c in enumerate(wanted) if c not in common]
    return net.node("Unsqueeze", [x, net.constant(np.array(new, np.int64))]) if new else x


def model_of(net, inputs, outputs, opset: int = OPSET, ir: int = IR) -> ModelProto:
    graph = helper.make_graph(
        net.nodes,
        "net",
        [helper.make_tensor_value_info(n, TYPES[t], s) for n, t, s in inputs],
        [helper.make_tensor_value_info(n, TYPES[t], s) for n, t, s in outputs],
        net.constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
