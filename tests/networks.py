"""Small ONNX networks for tests: a builder, and named ones that many tests share."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

OPSET = 20
IR = 10
TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "float64": TensorProto.DOUBLE,
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "int64": TensorProto.INT64,
}


@dataclass
class Net:
    """A network under construction in channels-first order; every method returns a tensor's name."""

    ndim: int = 2
    seed: int = 0
    integers: bool = False
    """Weights are small integers, so that sums are exact in float32 and only the graph can make a difference."""
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)
    channels: dict[str, int] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)

    def name(self, kind="t"):
        self.count += 1
        return f"{kind}{self.count}"

    def constant(self, value, name=None):
        name = name or self.name("c")
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind, inputs, *, channels=None, outputs=1, **attributes):
        made = [self.name(kind.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, made, name=f"{kind}_{self.count}", **attributes))
        for name in made:
            self.channels[name] = channels if channels is not None else self.channels.get(inputs[0], 1)
        return made[0] if outputs == 1 else made

    def weights(self, *shape, dtype=np.float32):
        if self.integers:
            return self.rng.integers(-2, 3, shape).astype(dtype)
        return (self.rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(dtype)

    def conv(self, x, out, kernel=3, *, stride=1, dilation=1, pads=None, group=1, bias=True, **more):
        k = self._each(kernel)
        inputs = [x, self.constant(self.weights(out, self.channels[x] // group, *k))]
        if bias:
            inputs.append(self.constant(self.weights(out, 1).reshape(out)))
        if "auto_pad" not in more:
            more["pads"] = self._pads(pads, k, self._each(dilation))
        return self.node(
            "Conv",
            inputs,
            channels=out,
            strides=self._each(stride),
            dilations=self._each(dilation),
            group=group,
            **more,
        )

    def deconv(self, x, out, kernel=2, *, stride=2, pads=0, output_padding=0, **more):
        k = self._each(kernel)
        inputs = [x, self.constant(self.weights(self.channels[x], out, *k)), self.constant(self.weights(out, 1)[:, 0])]
        return self.node(
            "ConvTranspose",
            inputs,
            channels=out,
            strides=self._each(stride),
            pads=self._pads(pads, k, self._each(1)),
            output_padding=self._each(output_padding),
            **more,
        )

    def relu(self, x):
        return self.node("Relu", [x])

    def pool(self, x, kernel=2, *, stride=2, pads=0, kind="MaxPool", **more):
        k = self._each(kernel)
        return self.node(
            kind, [x], kernel_shape=k, strides=self._each(stride), pads=self._pads(pads, k, self._each(1)), **more
        )

    def resize(self, x, scale=2.0, *, mode="nearest", coordinates="asymmetric", nearest="floor", **more):
        scales = self.constant(np.array([1, 1, *[scale] * self.ndim], np.float32))
        if mode == "nearest":
            more["nearest_mode"] = nearest
        return self.node(
            "Resize",
            [x, "", scales],
            channels=self.channels[x],
            mode=mode,
            coordinate_transformation_mode=coordinates,
            **more,
        )

    def concat(self, *xs):
        return self.node("Concat", list(xs), channels=sum(self.channels[x] for x in xs), axis=1)

    def add(self, a, b):
        return self.node("Add", [a, b])

    def pad(self, x, begin, end, *, mode="constant"):
        pads = [0, 0, *[begin] * self.ndim, 0, 0, *[end] * self.ndim]
        return self.node("Pad", [x, self.constant(np.array(pads, np.int64))], mode=mode)

    def crop(self, x, begin, end, *, step=1):
        """From ``begin`` to ``end`` (0 or negative, counted from the end)."""
        axes = np.arange(2, 2 + self.ndim)
        ends = np.full(self.ndim, end or np.iinfo(np.int64).max)
        inputs = [np.full(self.ndim, begin), ends, axes, np.full(self.ndim, step)]
        return self.node("Slice", [x, *[self.constant(i.astype(np.int64)) for i in inputs]])

    def reshape(self, x, shape, channels=None):
        return self.node("Reshape", [x, self.constant(np.array(shape, np.int64))], channels=channels)

    def model(self, inputs, outputs, *, opset=OPSET, ir=IR):
        """``inputs``: (name, type, shape); ``outputs``: names, or (name, type, shape)."""
        outs = [(o, "float32", None) if isinstance(o, str) else o for o in outputs]
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info(n, TYPES[t], s) for n, t, s in inputs],
            [helper.make_tensor_value_info(n, TYPES[t], s) for n, t, s in outs],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)

    def _each(self, value):
        return list(value) if isinstance(value, (tuple, list)) else [value] * self.ndim

    def _pads(self, pads, kernel, dilation):
        if pads is None:
            total = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
            return [t // 2 for t in total] + [t - t // 2 for t in total]
        if isinstance(pads, (tuple, list)) and len(pads) == 2:
            return [pads[0]] * self.ndim + [pads[1]] * self.ndim
        return [pads] * 2 * self.ndim


def shape_of(layout, channels, sizes=None, batch="n"):
    """Symbolic lengths unless sizes are given."""
    letters = [letter for letter in layout if letter in "DHW"]
    sizes = dict(zip(letters, sizes or [letter.lower() for letter in letters], strict=True))
    return [batch if c == "N" else channels if c == "C" else sizes[c] for c in layout]


def wrap(net, make, *, channels_in=1, layout="NCHW", dtype="float32", sizes=None, batch="n", opset=OPSET, ir=IR):
    """A model whose image input has any layout; ``make`` builds from a channels-first tensor to the output's name."""
    first = "NCDHW" if net.ndim == 3 else "NCHW"
    x = "image"
    net.channels[x] = channels_in
    if dtype != "float32":
        x = net.node("Cast", [x], channels=channels_in, to=TensorProto.FLOAT)
    if "N" not in layout:
        x = net.node("Unsqueeze", [x, net.constant(np.array([0], np.int64))], channels=channels_in)
    if "C" not in layout:
        x = net.node("Unsqueeze", [x, net.constant(np.array([1], np.int64))], channels=channels_in)
    full = layout if "N" in layout else f"N{layout}"
    full = full if "C" in full else f"{full[0]}C{full[1:]}"
    if full != first:
        x = net.node("Transpose", [x], channels=channels_in, perm=[full.index(c) for c in first])
    y = make(x)
    if full != first:
        y = net.node("Transpose", [y], perm=[first.index(c) for c in full])
    if "C" not in layout:
        y = net.node("Squeeze", [y, net.constant(np.array([1], np.int64))])
    if "N" not in layout:
        y = net.node("Squeeze", [y, net.constant(np.array([0], np.int64))])
    shape = shape_of(layout, channels_in, sizes, batch)
    return net.model([("image", dtype, shape)], [y], opset=opset, ir=ir)


def one_layer(
    channels_in=1, channels_out=1, *, kernel=3, ndim=2, layout=None, dtype="float32", seed=0, sizes=None, batch="n"
) -> ModelProto:
    """One convolution that keeps the size, and a Relu."""
    net = Net(ndim, seed)
    layout = layout or ("NCHW" if ndim == 2 else "NCDHW")
    return wrap(
        net,
        lambda x: net.relu(net.conv(x, channels_out, kernel)),
        channels_in=channels_in, layout=layout, dtype=dtype, sizes=sizes, batch=batch,
    )  # fmt: skip


def tiny_unet(
    channels_in=1, channels_out=1, ndim=2, layout=None, seed=0, *, width=4, depth=2, up="nearest", dtype="float32",
    sizes=None, batch="n",
) -> ModelProto:  # fmt: skip
    """A U-Net of ``depth`` poolings: M = 2^depth. ``up`` is nearest, linear or deconv."""
    net = Net(ndim, seed)
    layout = layout or ("NCHW" if ndim == 2 else "NCDHW")

    def make(x):
        skips = []
        for level in range(depth):
            x = net.relu(net.conv(x, width * 2**level))
            skips.append(x)
            x = net.pool(x)
        x = net.relu(net.conv(x, width * 2**depth))
        for level in reversed(range(depth)):
            if up == "deconv":
                x = net.deconv(x, width * 2**level)
            else:
                coordinates = "half_pixel" if up == "linear" else "asymmetric"
                x = net.resize(x, mode=up, coordinates=coordinates)
            x = net.relu(net.conv(net.concat(skips[level], x), width * 2**level))
        return net.conv(x, channels_out, 1)

    return wrap(net, make, channels_in=channels_in, layout=layout, dtype=dtype, sizes=sizes, batch=batch)


def valid_unet(seed=0) -> ModelProto:
    """Two levels of valid convolutions with a cropped skip, as the first U-Net had."""
    net = Net(2, seed)

    def make(x):
        skip = net.relu(net.conv(net.relu(net.conv(x, 4, pads=0)), 4, pads=0))
        x = net.relu(net.conv(net.relu(net.conv(net.pool(skip), 8, pads=0)), 8, pads=0))
        x = net.concat(net.crop(skip, 4, -4), net.deconv(x, 4))
        return net.conv(net.relu(net.conv(x, 4, pads=0)), 1, 1)

    return wrap(net, make)


def classifier(channels_in=3, classes=5, *, sizes=None, seed=0) -> ModelProto:
    """Strided convolutions, a global mean and a dense layer; with sizes, a flattened map instead of the mean."""
    net = Net(2, seed)

    def make(x):
        x = net.relu(net.conv(net.relu(net.conv(x, 8, stride=2, pads=1)), 8, stride=2, pads=1))
        if sizes is None:
            x = net.node("Flatten", [net.node("GlobalAveragePool", [x])])
            features = 8
        else:
            features = 8 * -(-sizes[0] // 4) * -(-sizes[1] // 4)
            x = net.reshape(x, [-1, features])
        return net.node(
            "Gemm", [x, net.constant(net.weights(features, classes)), net.constant(net.weights(classes, 1)[:, 0])]
        )

    return wrap(net, make, channels_in=channels_in, sizes=sizes)


def normalized(kind="InstanceNormalization", *, seed=0) -> ModelProto:
    """A convolution, a normalisation over space, a convolution."""
    net = Net(2, seed)

    def make(x):
        x = net.conv(x, 4)
        x = net.node(kind, [x, net.constant(np.ones(4, np.float32)), net.constant(np.zeros(4, np.float32))])
        return net.conv(net.relu(x), 1)

    return wrap(net, make)


def save(model: ModelProto, folder, name="model"):
    """Write it and give its path."""
    path = folder / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    return path
