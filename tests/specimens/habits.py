"""Exporters' habits: old and new opsets, quantisation, baked batches, further inputs and outputs."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from networks import Net, shape_of
from specimens.entry import Specimen, assemble, model_of
from tilewise.settings import Graph


def opset(version):
    """A U-Net in the words of an opset: Upsample until 9, Resize without or with coordinates, Split, Squeeze."""

    def build(seed):
        net = Net(2, seed, integers=True)
        net.channels["image"] = 1
        x = net.relu(net.conv("image", 2))
        small = net.conv(net.pool(x), 2)
        big = upsample(net, small, version)
        y = net.node("Concat", [x, big], axis=1, channels=4)
        y = net.node("Clip", [net.conv(y, 2)], **({"min": -50.0, "max": 50.0} if version < 11 else {}))
        y = net.node("BatchNormalization", [y, *[net.constant(np.ones(2, np.float32)) for _ in range(4)]])
        # the batch norm's division is no integer any more: rounded again
        return model_of(
            net, [("image", "float32", shape_of("NCHW", 1))], [(net.conv(y, 1, 1), "float32", None)], version,
            {7: 3, 8: 3, 9: 4, 10: 5, 11: 6}.get(version, 8 if version < 20 else 10),
        )  # fmt: skip

    return build


def upsample(net, x, version):
    scales = np.array([1, 1, 2, 2], np.float32)
    if version < 9:
        return net.node("Upsample", [x], mode="nearest", scales=scales.tolist())
    if version < 10:
        return net.node("Upsample", [x, net.constant(scales)], mode="nearest")
    if version < 11:
        return net.node("Resize", [x, net.constant(scales)], mode="nearest")
    empty = net.constant(np.array([], np.float32)) if version < 13 else ""
    return net.node("Resize", [x, empty, net.constant(scales)], mode="nearest", nearest_mode="floor",
                    coordinate_transformation_mode="asymmetric")  # fmt: skip


def listed_initializers(seed):
    """Before IR 4 weights were listed as inputs, too."""
    model = opset(9)(seed)
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    model.ir_version = 3
    return model


def constant_nodes(seed):
    """All weights as Constant nodes, as tf2onnx and Paddle write them."""
    model = opset(13)(seed)
    nodes = [
        helper.make_node("Constant", [], [tensor.name], value=numpy_helper.from_array(numpy_helper.to_array(tensor)))
        for tensor in model.graph.initializer
    ]
    kept = [*nodes, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.node.extend(kept)
    return model


def keras(seed):
    """NHWC with a transposition around every convolution, SAME_UPPER, and a bias as a separate Add."""
    net = Net(2, seed, integers=True)
    x, channels = "image", 3
    for out in (4, 2):
        y = net.node("Transpose", [x], perm=[0, 3, 1, 2])
        net.channels[y] = channels
        y = net.conv(y, out, bias=False, auto_pad="SAME_UPPER")
        y = net.node("Transpose", [y], perm=[0, 2, 3, 1])
        x, channels = net.relu(net.add(y, net.constant(net.weights(1, out)[0]))), out
    return model_of(net, [("image", "float32", ["n", "h", "w", 3])], [(x, "float32", None)], 15)


def paddle(seed):
    """Sizes computed from Shape, upsampling to the size of another map."""
    net = Net(2, seed, integers=True)

    def make(x):
        y = net.relu(net.conv(x, 2))
        small = net.conv(net.pool(y), 2)
        hw = net.node("Slice", [net.node("Shape", [y]), *[net.constant(np.array([n])) for n in (2, 4)]])
        nc = net.node("Slice", [net.node("Shape", [small]), *[net.constant(np.array([n])) for n in (0, 2)]])
        sizes = net.node("Concat", [nc, hw], axis=0)
        big = net.node("Resize", [small, "", "", sizes], mode="nearest", nearest_mode="floor", channels=2,
                       coordinate_transformation_mode="asymmetric")  # fmt: skip
        return net.conv(net.concat(y, big), 1)

    return assemble(net, make, sizes=None, batch=-1 if seed < 0 else "n")


def baked_batch(seed):
    """A batch of one written into a Reshape."""
    net = Net(2, seed, integers=True)

    def make(x):
        size = net.node("Slice", [net.node("Shape", [x]), *[net.constant(np.array([n])) for n in (2, 4)]])
        y = net.conv(x, 2)
        shape = net.node("Concat", [net.constant(np.array([1, 2])), size], axis=0)
        return net.conv(net.node("Reshape", [y, shape], channels=2), 1)

    return assemble(net, make, batch=1)


def fixed_batch(seed):
    """Four images at once, and nothing else: the batch is written into a Reshape."""
    net = Net(2, seed, integers=True)

    def make(x):
        y = net.conv(x, 2)
        return net.conv(net.node("Reshape", [y, net.constant(np.array([4, 2, 32, 48]))], channels=2), 1)

    return assemble(net, make, batch=4, sizes=(32, 48))


def exposure(seed):
    """A second input that is a number."""
    net = Net(2, seed, integers=True)
    return assemble(net, lambda x: net.node("Mul", [net.conv(x, 1), "exposure"]), inputs=[("exposure", "float32", [1])])


def stardist(seed):
    """Probability and distances, both at half the resolution."""
    net = Net(2, seed, integers=True)

    def make(x):
        y = net.relu(net.conv(net.pool(x), 4))
        return net.conv(y, 1, 1), net.conv(y, 8, 1)

    return assemble(net, make, layout="NHWC")


def boxes(seed):
    """A map, and a list of what is above a threshold."""
    net = Net(2, seed, integers=True)

    def make(x):
        y = net.conv(x, 2)
        return y, net.node("Cast", [net.node("NonZero", [net.relu(y)])], to=1)

    return assemble(net, make, output_layout="")


def cellpose(seed):
    """Flows, and a style vector that is a by-product."""
    net = Net(2, seed, integers=True)

    def make(x):
        y = net.relu(net.conv(x, 3))
        return net.conv(y, 3), net.node("Flatten", [net.node("GlobalAveragePool", [y])])

    return assemble(net, make, output_layout="")


def quantised(seed):
    """Static quantisation with QuantizeLinear and DequantizeLinear around every convolution."""
    net = Net(2, seed)
    zero, scale = net.constant(np.int8(0)), net.constant(np.float32(0.05))

    def make(x):
        for out in (3, 1):
            y = net.node("DequantizeLinear", [net.node("QuantizeLinear", [x, scale, zero]), scale, zero])
            weights = net.constant(net.rng.integers(-40, 41, (out, net.channels[x], 3, 3)).astype(np.int8))
            w = net.node("DequantizeLinear", [weights, net.constant(np.float32(0.02)), zero])
            x = net.node("Conv", [y, w], pads=[1, 1, 1, 1], channels=out)
        return x

    return assemble(net, make, opset=13)


def integer_convolution(seed):
    """QLinearConv: eight bits in, eight bits out."""
    net = Net(2, seed)
    weights = net.constant(net.rng.integers(-20, 21, (1, 1, 3, 3)).astype(np.int8))
    numbers = [net.constant(np.float32(0.1)), net.constant(np.uint8(128)), weights, net.constant(np.float32(0.02)),
               net.constant(np.int8(0)), net.constant(np.float32(0.1)), net.constant(np.uint8(120))]  # fmt: skip
    y = net.node("QLinearConv", ["image", *numbers], pads=[1, 1, 1, 1])
    return model_of(net, [("image", "uint8", shape_of("NCHW", 1))], [(y, "uint8", None)], 13)


def dynamic(seed):
    """Dynamic quantisation as onnxruntime writes it: DynamicQuantizeLinear and ConvInteger."""
    net = Net(2, seed)
    weights = net.constant(net.rng.integers(0, 200, (1, 1, 3, 3)).astype(np.uint8))

    def make(x):
        q, scale, zero = net.node("DynamicQuantizeLinear", [x], outputs=3)
        y = net.node("ConvInteger", [q, weights, zero, net.constant(np.uint8(100))], pads=[1, 1, 1, 1])
        y = net.node("Mul", [net.node("Cast", [y], to=TensorProto.FLOAT), scale])
        return net.node("Mul", [y, net.constant(np.float32(0.01))])

    return assemble(net, make, opset=13)


def dynamic_classifier(seed):
    """A classifier whose score for one image depends on the others of its batch."""
    net = Net(2, seed)

    def make(x):
        y = net.node("Flatten", [net.node("GlobalMaxPool", [net.relu(net.conv(x, 4, stride=2))])])
        q, scale, zero = net.node("DynamicQuantizeLinear", [y], outputs=3)
        weights = net.constant(net.rng.integers(0, 200, (4, 3)).astype(np.uint8))
        y = net.node("MatMulInteger", [q, weights, zero, net.constant(np.uint8(100))])
        return net.node("Mul", [net.node("Cast", [y], to=TensorProto.FLOAT), scale])

    return assemble(net, make, output_layout="", opset=13)


SPECIMENS = (
    *(Specimen(f"opset {n}", opset(n), multiple=2, radius=5) for n in (7, 8, 9, 10, 11, 13, 16, 18, 20, 22, 24, 26)),
    Specimen("weights listed as inputs", listed_initializers, multiple=2, radius=5),
    Specimen("weights as Constant nodes", constant_nodes, multiple=2, radius=5),
    Specimen("Keras", keras, "NHWC", channels=3, radius=2),
    Specimen("Paddle", paddle, multiple=2, radius=5),
    Specimen("a batch of one baked in", baked_batch, batch=1, radius=2),
    Specimen("a batch of four baked in", fixed_batch, batch=4, fixed=(32, 48), radius=2),
    Specimen("a number as a further input", exposure, radius=1, graph=Graph(inputs=(("exposure", 3.0),))),
    Specimen("probability and distances", stardist, "NHWC", multiple=2, scale=Fraction(1, 2), radius=2,
             ports=("NHWC", "NHWC"), scales=(Fraction(1, 2),) * 2),
    Specimen("a map and a list", boxes, radius=1, word="left out"),
    Specimen("flows and style", cellpose, radius=2, word="left out"),
    Specimen("quantised, QDQ", quantised, radius=2),
    Specimen("quantised, QLinearConv", integer_convolution, dtype="uint8", out_dtype="uint8", radius=1),
    Specimen("quantised dynamically", dynamic, batch=1, verdict="dependent", word="batch", whole=True),
    Specimen("classifier quantised dynamically", dynamic_classifier, output_layout="NC", batch=1, radius=0),
)  # fmt: skip
