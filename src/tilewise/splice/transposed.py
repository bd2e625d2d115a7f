"""Transposed convolutions with kernel = stride as 1x1 convolutions and depth-to-space.

The runtime never has a transposed convolution in its blocked layout and cuts its long sums by the size of the map,
so that the last bits depend on the tile. The rewritten pair gives the same bits at every size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilewise.splice.graph import STANDARD, constant_tensors

if TYPE_CHECKING:
    import numpy as np
    from onnx import ModelProto, NodeProto


def unfold_transposed(model: ModelProto) -> int:
    """Rewrite what can be rewritten, in place.

    Returns:
        How many were rewritten.
    """
    from onnx import numpy_helper

    constants = dict(constant_tensors(model.graph))
    made: list[Any] = []
    count = 0
    for node in list(model.graph.node):
        kernel = constants.get(node.input[1]) if node.op_type == "ConvTranspose" else None
        if kernel is None or node.domain not in STANDARD or not _unfoldable(node, kernel.dims):
            made.append(node)
            continue
        bias = constants.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
        if len(node.input) > 2 and node.input[2] and bias is None:
            made.append(node)
            continue
        weights = numpy_helper.to_array(kernel)
        prefix = f"unfolded {node.output[0]}"
        built = _build(node, weights, None if bias is None else numpy_helper.to_array(bias), prefix)
        model.graph.initializer.extend(built[0])
        made += built[1]
        count += 1
    if count:
        copies = [type(node)() for node in made]
        for copy, node in zip(copies, made, strict=True):
            copy.CopyFrom(node)
        del model.graph.node[:]
        model.graph.node.extend(copies)
    return count


def _unfoldable(node: NodeProto, dims: Any) -> bool:
    """Kernel = stride, no padding, no groups, no dilation."""
    from onnx import helper

    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    kernel = list(dims[2:])
    if found.get("auto_pad", b"NOTSET") not in {b"NOTSET", b"VALID"} or "output_shape" in found:
        return False
    return (
        len(kernel) in {2, 3}
        and list(found.get("strides", [1] * len(kernel))) == kernel
        and not any(found.get("pads", [0]))
        and not any(found.get("output_padding", [0]))
        and found.get("group", 1) == 1
        and all(n == 1 for n in found.get("dilations", [1]))
    )


def _build(node: NodeProto, weights: np.ndarray, bias: np.ndarray | None, prefix: str) -> tuple[list[Any], list[Any]]:
    """Initializers and nodes."""
    import numpy as np
    from onnx import helper, numpy_helper

    channels_in, channels, *kernel = weights.shape
    # phases outermost: the order that DepthToSpace reads by default
    flat = np.moveaxis(weights, (0, 1), (-1, -2))
    square = len(set(kernel)) == 1 and len(kernel) == 2
    if not square:
        flat = np.transpose(flat, (*range(len(kernel))[::-1], len(kernel), len(kernel) + 1))
    flat = np.ascontiguousarray(flat.reshape(-1, channels_in, *[1] * len(kernel)))
    initializers = [numpy_helper.from_array(flat, f"{prefix} weights")]
    inputs = [node.input[0], f"{prefix} weights"]
    if bias is not None:
        repeated = np.tile(bias, len(flat) // channels)
        initializers.append(numpy_helper.from_array(repeated, f"{prefix} bias"))
        inputs.append(f"{prefix} bias")
    nodes = [helper.make_node("Conv", inputs, [f"{prefix} phases"], name=f"{node.name} as 1x1")]
    if square:
        nodes.append(
            helper.make_node(
                "DepthToSpace",
                [f"{prefix} phases"],
                [node.output[0]],
                name=f"{node.name} to space",
                blocksize=kernel[0],
            )
        )
        return initializers, nodes
    more, steps = _fold_axes(prefix, node.output[0], channels, kernel)
    return initializers + more, nodes + steps


def _fold_axes(prefix: str, output: str, channels: int, kernel: list[int]) -> tuple[list[Any], list[Any]]:
    """Axis by axis: bring its phases behind it, then Reshape with 0 and -1 only, so that any size passes."""
    import numpy as np
    from onnx import helper, numpy_helper

    rank = len(kernel)
    initializers, nodes = [], []
    name, rest = f"{prefix} phases", channels * int(np.prod(kernel))
    # order of axes now: batch, phases, spatial...; the phases of the last axis are outermost
    for i in range(rank):
        # the axis whose turn it is, is the last one: batch, others..., axis, phases
        order = (0, *range(2, rank + 2), 1) if i == 0 else (0, rank, *range(1, rank), rank + 1)
        nodes.append(helper.make_node("Transpose", [name], [f"{prefix} turned {i}"], perm=order))
        rest //= kernel[rank - 1 - i]
        shape = np.array([0] * rank + [-1, rest], np.int64)
        initializers.append(numpy_helper.from_array(shape, f"{prefix} shape {i}"))
        name = f"{prefix} folded {i}"
        nodes.append(helper.make_node("Reshape", [f"{prefix} turned {i}", f"{prefix} shape {i}"], [name]))
    # after rank turns the first spatial axis is last: batch, z1.., channels
    order = (0, rank + 1, rank, *range(1, rank))
    nodes.append(helper.make_node("Transpose", [name], [output], perm=order))
    return initializers, nodes
