"""Layouts, ranks and types."""

from __future__ import annotations

import numpy as np

from networks import Net
from specimens.entry import TYPES, Specimen, assemble

LAYOUTS = {
    "NCHW": 3,
    "NHWC": 3,
    "NCDHW": 2,
    "NDHWC": 2,
    "CHW": 3,
    "HWC": 3,
    "NHW": 1,
    "HW": 1,
    "CDHW": 2,
    "DHWC": 2,
    "NDHW": 1,
    "DHW": 1,
}
"""Order of the axes, and channels."""
TURNED = {
    "NHWC to NCHW": ("NHWC", "NCHW", 2),
    "NCHW to NHWC": ("NCHW", "NHWC", 2),
    "NCHW to NHW": ("NCHW", "NHW", 1),
    "HWC to CHW": ("HWC", "CHW", 2),
    "HW to NCHW": ("HW", "NCHW", 2),
    "NDHWC to NCDHW": ("NDHWC", "NCDHW", 2),
}
"""Outputs that are laid out otherwise than the input, and their channels."""


def laid_out(layout, channels, output_layout=None, out=None):
    def build(seed):
        net = Net(3 if "D" in layout else 2, seed, integers=True)
        kept = out or (channels if "C" in layout else 1)
        return assemble(
            net,
            lambda x: net.conv(net.relu(net.conv(x, 3)), kept),
            channels=channels, layout=layout, output_layout=output_layout,
        )  # fmt: skip

    return build


def typed(dtype, out_dtype):
    """Numbers of one type in, of another out."""

    def build(seed):
        net = Net(2, seed, integers=True)

        def make(x):
            y = net.conv(x, 2)
            if out_dtype == "bool":
                return net.node("Greater", [y, net.constant(np.float32(0.5))], channels=2)
            return net.node("Cast", [y], channels=2, to=TYPES[out_dtype])

        return assemble(net, make, dtype=dtype, out_dtype=out_dtype)

    return build


def labels(seed):
    net = Net(2, seed, integers=True)
    return assemble(
        net,
        lambda x: net.node("ArgMax", [net.conv(x, 4)], axis=1, keepdims=1),
        output_layout="NHW", out_dtype="int64",
    )  # fmt: skip


def half(seed):
    """Half precision throughout."""
    net = Net(2, seed)
    net.channels["image"] = 1
    weights = net.constant(net.rng.integers(-2, 3, (4, 1, 3, 3)).astype(np.float16))
    again = net.constant(net.rng.integers(-1, 2, (1, 4, 3, 3)).astype(np.float16))
    y = net.relu(net.node("Conv", ["image", weights], pads=[1, 1, 1, 1]))
    y = net.node("Conv", [y, again], pads=[1, 1, 1, 1])
    from specimens.entry import model_of

    return model_of(net, [("image", "float16", ["n", 1, "h", "w"])], [(y, "float16", None)])


SPECIMENS = (
    *(
        Specimen(f"layout {layout}", laid_out(layout, channels), layout, channels=channels, radius=2,
                 batch=None if "N" in layout else 1)
        for layout, channels in LAYOUTS.items()
    ),
    *(
        Specimen(f"layout {name}", laid_out(given, 1 if "C" not in given else 2, made, out), given, made,
                 channels=1 if "C" not in given else 2, radius=2, batch=None if "N" in given else 1)
        for name, (given, made, out) in TURNED.items()
    ),
    *(
        Specimen(f"type {dtype}", typed(dtype, "float32"), dtype=dtype, radius=1)
        for dtype in ("float16", "float64", "uint8", "int8", "uint16", "int16", "int32")
    ),
    *(
        Specimen(f"type out {dtype}", typed("float32", dtype), out_dtype=dtype, radius=1)
        for dtype in ("float16", "float64", "uint8", "int8", "int32", "int64", "bool")
    ),
    Specimen("labels as int64", labels, output_layout="NHW", out_dtype="int64", radius=1),
    Specimen("half precision throughout", half, dtype="float16", out_dtype="float16", radius=2),
)  # fmt: skip
