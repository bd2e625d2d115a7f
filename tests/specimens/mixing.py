"""What is not local: named, never called exact; such a model is run all the same."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from networks import Net
from specimens.entry import Specimen, assemble


def mixed(body, **more):
    """A convolution, what mixes, a convolution."""

    def build(seed):
        net = Net(2, seed)

        def make(x):
            y = body(net, net.conv(x, 2))
            net.channels[y] = 2
            return net.conv(y, 1)

        return assemble(net, make, **more)

    return build


def ones(net, n):
    return net.constant(np.ones(n, np.float32))


def instance(net, x):
    return net.node("InstanceNormalization", [x, ones(net, 2), ones(net, 2)])


def group_by_reshape(net, x):
    """Group normalisation as PyTorch exports it: groups as channels of one long row."""
    shape = net.node("Shape", [x])
    y = net.node("InstanceNormalization", [net.reshape(x, [0, 1, -1]), ones(net, 1), ones(net, 1)])
    return net.node("Mul", [net.node("Reshape", [y, shape]), net.constant(np.full((2, 1, 1), 2, np.float32))])


def group(net, x):
    return net.node("GroupNormalization", [x, ones(net, 2), ones(net, 2)], num_groups=1)


def layer_over_rows(net, x):
    return net.node("LayerNormalization", [x, net.constant(np.float32([1.0]))], axis=-1)


def excite(net, x):
    """Squeeze and excitation."""
    weights = net.conv(net.node("GlobalAveragePool", [x]), 2, 1)
    return net.node("Mul", [x, net.node("Sigmoid", [weights])])


def reduced(net, x):
    return net.node("Sub", [x, net.node("ReduceMean", [x, net.constant(np.array([2, 3]))])])


def attend(net, x):
    tokens = net.node("Transpose", [net.reshape(net.pool(x, 4, stride=4), [0, 0, -1])], perm=[0, 2, 1])
    scores = net.node("MatMul", [tokens, net.node("Transpose", [tokens], perm=[0, 2, 1])])
    mixed_ = net.node("MatMul", [net.node("Softmax", [scores], axis=-1), tokens])
    back = net.node(
        "Reshape", [net.node("Transpose", [mixed_], perm=[0, 2, 1]), net.node("Shape", [net.pool(x, 4, stride=4)])]
    )
    net.channels[back] = 2
    return net.resize(back, 4.0)


def soft_over_space(net, x):
    return net.node("Softmax", [x], axis=-1)


def quantised(net, x):
    q, scale, zero = net.node("DynamicQuantizeLinear", [x], outputs=3)
    return net.node("DequantizeLinear", [q, scale, zero])


def corners(net, x):
    return net.resize(net.pool(x), 2.0, mode="linear", coordinates="align_corners")


def constant_size(net, x):
    """A map that is resized to the size at which the model was exported."""
    sizes = net.constant(np.array([1, 2, 48, 64], np.int64))
    return net.add(x, net.node("Resize", [net.node("GlobalAveragePool", [x]), "", "", sizes], mode="nearest"))


def cropped_and_resized(net, x):
    region = net.constant(np.array([0, 0, 0, 0, 1, 1, 1, 1], np.float32))
    scales = net.constant(np.array([1, 1, 2, 2], np.float32))
    return net.node("Resize", [net.pool(x), region, scales], mode="linear",
                    coordinate_transformation_mode="tf_crop_and_resize")  # fmt: skip


def positions(net, x):
    return net.add(x, net.constant(np.random.default_rng(1).standard_normal((1, 2, 48, 64), np.float32)))


def coordinates(net, x):
    rows = net.node("Gather", [net.node("Shape", [x]), net.constant(np.int64(2))], axis=0)
    counted = net.node("Range", [net.constant(np.int64(0)), rows, net.constant(np.int64(1))])
    column = net.node("Unsqueeze", [net.node("Cast", [counted], to=1), net.constant(np.array([1], np.int64))])
    return net.add(x, net.node("Mul", [column, net.constant(np.float32(0.1))]))


def rolled(net, x):
    """The cyclic shift of shifted windows."""
    numbers = [([4], [2**31], [2], [1]), ([0], [4], [2], [1])]
    pieces = [net.node("Slice", [x, *[net.constant(np.array(n)) for n in four]]) for four in numbers]
    return net.node("Concat", pieces, axis=2)


def recurrent(net, x):
    """An LSTM down the columns."""
    y = net.node("Squeeze", [net.conv(x, 1, 1), net.constant(np.array([0]))])
    y = net.node("Transpose", [y], perm=[1, 2, 0])
    w, r = (net.constant(net.weights(1, 4, n)) for n in (1, 1))
    y = net.node("LSTM", [y, w, r], hidden_size=1)
    y = net.node("Transpose", [net.node("Squeeze", [y, net.constant(np.array([1]))])], perm=[2, 0, 1])
    return net.add(x, net.node("Unsqueeze", [y, net.constant(np.array([0]))]))


def cumulated(net, x):
    return net.node("Mul", [net.node("CumSum", [x, net.constant(np.int64(3))]), net.constant(np.float32(0.01))])


def topped(net, x):
    return net.node("Add", [x, net.node("TopK", [x, net.constant(np.array([1]))], outputs=2, axis=-1)[0]])


def nonzero(net, x):
    """The number of positive pixels is added to each."""
    places = net.node("NonZero", [net.node("Greater", [x, net.constant(np.float32(0))])])
    count = net.node("Cast", [net.node("Size", [places])], to=1)
    return net.add(x, net.node("Mul", [count, net.constant(np.float32(1e-3))]))


def looped(net, x):
    body = helper.make_graph(
        [helper.make_node("Mul", ["a", "a"], ["b"]), helper.make_node("Identity", ["go"], ["go_on"])],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []),
         helper.make_tensor_value_info("go", TensorProto.BOOL, []),
         helper.make_tensor_value_info("a", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
         helper.make_tensor_value_info("b", TensorProto.FLOAT, None)],
    )  # fmt: skip
    return net.node("Loop", [net.constant(np.int64(2)), net.constant(np.array(1, bool)), x], body=body)


def chance(net, x):
    return net.add(x, net.node("RandomNormalLike", [x], seed=1.0))


def reshaped(net, x):
    """Places become channels through a Reshape of fixed size."""
    y = net.reshape(x, [-1, 48 * 64 * 2])
    y = net.node("Mul", [y, net.node("ReduceMax", [y, net.constant(np.array([1]))])])
    return net.reshape(y, [-1, 2, 48, 64])


def bottleneck(net, x):
    """An autoencoder with a dense layer between: every pixel depends on all."""
    y = net.reshape(net.pool(x, 8, stride=8), [-1, 2 * 6 * 8])
    y = net.node("Gemm", [y, net.constant(net.weights(96, 2 * 48 * 64))])
    return net.reshape(y, [-1, 2, 48, 64])


def wrapped(net, x):
    return net.conv(net.pad(x, 1, 1, mode="wrap"), 2, pads=0)


FIXED = {"sizes": (48, 64)}
FREE = {
    "InstanceNormalization": (instance, "InstanceNormalization", 1),
    "GroupNormalization by Reshape": (group_by_reshape, "InstanceNormalization", 1),
    "GroupNormalization": (group, "GroupNormalization", 1),
    "LayerNormalization over rows": (layer_over_rows, "LayerNormalization", 1),
    "squeeze and excitation": (excite, "GlobalAveragePool", 1),
    "mean over space": (reduced, "ReduceMean", 1),
    "attention over space": (attend, "MatMul", 4),
    "Softmax over space": (soft_over_space, "Softmax", 1),
    "align_corners": (corners, "align_corners", 2),
    "tf_crop_and_resize": (cropped_and_resized, "tf_crop_and_resize", 2),
    "coordinate channel": (coordinates, "position embedding", 1),
    "cyclic shift": (rolled, "shifted window", 1),
    "LSTM": (recurrent, "LSTM", 1),
    "CumSum": (cumulated, "CumSum", 1),
    "TopK over space": (topped, "TopK", 1),
    "NonZero": (nonzero, "NonZero", 1),
    "Loop": (looped, "Loop", 1),
    "random": (chance, "random", 1),
    "wrapped padding": (wrapped, "wraps", 1),
}
NEEDED = {
    "constant Resize": (constant_size, "GlobalAveragePool"),
    "position embedding": (positions, "position embedding"),
    "Reshape of fixed size": (reshaped, "ReduceMax"),
    "dense bottleneck": (bottleneck, "dense layer"),
}
MATES = {"constant Resize", "LSTM", "NonZero", "random"}
"""They take one image at a time, or feel the others of a batch."""
SPECIMENS = (
    *(
        Specimen(name, mixed(body, opset=21), multiple=m, verdict="dependent", word=word, whole=True,
                 batch=1 if name in MATES else None)
        for name, (body, word, m) in FREE.items()
    ),
    *(
        Specimen(name, mixed(body, **FIXED), fixed=(48, 64), verdict="dependent", word=word, whole=True,
                 batch=1 if name in MATES else None, multiple=8 if name == "dense bottleneck" else 1)
        for name, (body, word) in NEEDED.items()
    ),
    Specimen("dynamic quantisation", mixed(quantised), verdict="dependent", word="batch", batch=1, whole=True),
)  # fmt: skip
