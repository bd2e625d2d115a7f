"""The networks that are measured: built with onnx.helper, weights from a seed, so that anyone gets the same files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

OPSET, IR = 20, 10
"""Old enough for every onnxruntime that tilewise takes."""

CLASSES = 3
"""Labels: background and two more."""

WIDTHS = (16, 32, 64)
"""Channels of the U-Net at full, half and quarter size: 70 to 80 ms a tile of 544 x 544 on one core in the cloud."""


@dataclass
class Net:
    """A graph under construction, channels first; every method gives a tensor's name."""

    ndim: int
    seed: int
    nodes: list[NodeProto] = field(default_factory=list)
    weights: list[TensorProto] = field(default_factory=list)

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)

    def node(self, kind, inputs, **attributes):
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, value):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def conv(self, x, channels, out, *, kernel=3, relu=True):
        scale = np.sqrt(2 / (channels * kernel**self.ndim))
        weight = self.rng.normal(0, scale, (out, channels, *[kernel] * self.ndim)).astype(np.float32)
        bias = self.rng.normal(0, 0.1, out).astype(np.float32)
        pads = [kernel // 2] * (2 * self.ndim)
        made = self.node(
            "Conv",
            [x, self.constant(weight), self.constant(bias)],
            kernel_shape=[kernel] * self.ndim,
            pads=pads,
        )
        return self.node("Relu", [made]) if relu else made

    def brighten(self, x):
        """8-bit pixels to -1..1."""
        scaled = self.node("Mul", [x, self.constant(np.float32(1 / 127.5))])
        return self.node("Sub", [scaled, self.constant(np.float32(1))])

    def shrink(self, x):
        return self.node("MaxPool", [x], kernel_shape=[2] * self.ndim, strides=[2] * self.ndim)

    def grow(self, x):
        scales = np.array([1, 1] + [2] * self.ndim, np.float32)
        return self.node(
            "Resize",
            [x, "", self.constant(scales)],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def join(self, *names):
        return self.node("Concat", list(names), axis=1)

    def finish(self, x, channels):
        letters = ["d", "h", "w"][-self.ndim :]
        self.nodes.append(helper.make_node("Identity", [x], ["scores"]))
        graph = helper.make_graph(
            self.nodes,
            "benchmark",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", channels, *letters])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", CLASSES, *letters])],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        onnx.checker.check_model(model)
        return model


def build_unet(channels: int = 3, widths: tuple[int, int, int] = WIDTHS, seed: int = 0) -> ModelProto:
    """A small U-Net: two poolings, M = 4, a reach below 16 pixels, so that a halo of 16 is exact."""
    net = Net(2, seed)
    a, b, c = widths
    full = net.conv(net.conv(net.brighten("image"), channels, a), a, a)
    half = net.conv(net.shrink(full), a, b)
    deep = net.conv(net.shrink(half), b, c)
    half = net.conv(net.join(net.grow(deep), half), c + b, b)
    full = net.conv(net.join(net.grow(half), full), b + a, a)
    return net.finish(net.conv(full, a, CLASSES, kernel=1, relu=False), channels)


def build_layer(ndim: int, channels: int, seed: int = 0) -> ModelProto:
    """One convolution of 3 pixels a side: what is left is the plumbing."""
    net = Net(ndim, seed)
    return net.finish(net.conv(net.brighten("image"), channels, CLASSES, relu=False), channels)


BUILDERS = {
    "unet": build_unet,
    "layer-2d": lambda: build_layer(2, 3),
    "layer-3d": lambda: build_layer(3, 1),
}
"""A model a row."""


def write_model(name: str, folder: Path) -> Path:
    """The file of a model, built if it is not there."""
    place = folder / f"{name}.onnx"
    if not place.exists():
        place.write_bytes(BUILDERS[name]().SerializeToString())
    return place
