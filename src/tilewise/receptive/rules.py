"""The closed list: which rule holds for which standard operator. What is not here is not understood."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewise.receptive import mixing, moving, pointwise, sliding

if TYPE_CHECKING:
    from collections.abc import Callable

    from tilewise.receptive.place import State
    from tilewise.receptive.visit import Visit

    Rule = Callable[[Visit], list[State]]

LOST = {
    "NonZero": "its length depends on the pixels",
    "NonMaxSuppression": "it compares all places",
    "Unique": "it sorts the whole image",
    "Compress": "its length depends on the pixels",
    "Loop": "it is a loop",
    "Scan": "it is a loop",
    "If": "it branches",
    "LSTM": "it is recurrent",
    "GRU": "it is recurrent",
    "RNN": "it is recurrent",
    "RandomNormal": "it is random",
    "RandomUniform": "it is random",
    "RandomNormalLike": "it is random",
    "RandomUniformLike": "it is random",
    "Multinomial": "it is random",
    "Bernoulli": "it is random",
    "Attention": "it compares all places with all",
    "GridSample": "it reads places anywhere",
    "DeformConv": "it reads places anywhere",
    "RoiAlign": "it reads places anywhere",
    "MaxRoiPool": "it reads places anywhere",
    "MaxUnpool": "its indices count over the whole image",
    "ReverseSequence": "it reverses the image",
    "LinearAttention": "it compares all places with all",
    "RotaryEmbedding": "it adds a position embedding",
    "CausalConvWithState": "it is recurrent",
    "DFT": "it transforms the whole image",
    "STFT": "it transforms the whole image",
}
"""Known not to be local, and no place survives them."""
LOST |= {
    f"com.microsoft::{name}": LOST[kind]
    for name, kind in (
        ("Attention", "Attention"),
        ("MultiHeadAttention", "Attention"),
        ("QAttention", "Attention"),
        ("PackedMultiHeadAttention", "Attention"),
        ("GridSample", "GridSample"),
    )
}


def _table() -> dict[str, Rule]:
    table: dict[str, Rule] = dict.fromkeys(pointwise.UNARY, pointwise.unary)
    table |= dict.fromkeys(pointwise.MEETING, pointwise.meet)
    families: list[tuple[str, Rule]] = [
        ("Conv ConvInteger QLinearConv", sliding.convolve),
        ("ConvTranspose", sliding.transpose_convolve),
        ("MaxPool AveragePool LpPool", sliding.pool),
        ("Resize Upsample", sliding.resize),
        ("Pad", sliding.pad),
        ("Softmax LogSoftmax Hardmax LpNormalization", mixing.along_axis),
        ("LayerNormalization RMSNormalization", mixing.normalize_behind),
        ("InstanceNormalization GroupNormalization", mixing.normalize_space),
        ("MeanVarianceNormalization", mixing.normalize_axes),
        ("LRN", mixing.normalize_channels),
        ("CumSum CumProd", mixing.cumulate),
        ("DynamicQuantizeLinear", mixing.quantize_dynamically),
        ("ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2", mixing.reduce),
        ("ReduceLogSum ReduceLogSumExp ReduceSumSquare", mixing.reduce),
        ("ArgMax ArgMin", mixing.argument),
        ("GlobalAveragePool GlobalMaxPool GlobalLpPool", mixing.pool_globally),
        ("TopK", mixing.top),
        ("MatMul MatMulInteger QLinearMatMul", mixing.multiply),
        ("Gemm", mixing.gemm),
        ("Einsum", mixing.einsum),
        ("Reshape Flatten Squeeze Unsqueeze", moving.reshape),
        ("Transpose", moving.transpose),
        ("DepthToSpace", moving.depth_to_space),
        ("SpaceToDepth", moving.space_to_depth),
        ("Slice", moving.cut),
        ("Concat", moving.join),
        ("Split", moving.divide),
        ("Gather", moving.gather),
        ("Expand", moving.spread),
        ("Tile", moving.repeat),
    ]
    for names, rule in families:
        table |= dict.fromkeys(names.split(), rule)
    for names, rule in _runtime_families():
        table |= {f"com.microsoft::{name}": rule for name in names.split()}
    return table


def _runtime_families() -> list[tuple[str, Rule]]:
    """The runtime's own operators: what its quantiser and its optimiser write."""
    return [
        ("QLinearSigmoid QLinearLeakyRelu QuantizeLinear DequantizeLinear", pointwise.unary),
        ("Gelu FastGelu QuickGelu BiasGelu QLinearAdd QLinearMul", pointwise.meet),
        ("QLinearSoftmax", mixing.along_axis),
        ("QLinearConcat", moving.join_quantised),
        ("QLinearAveragePool", sliding.pool),
        ("QLinearGlobalAveragePool", mixing.pool_globally),
        ("FusedConv", sliding.convolve_and_add),
        ("Pad", sliding.pad),
        ("QGemm", mixing.gemm),
        ("MatMulIntegerToFloat", mixing.multiply),
        ("DynamicQuantizeMatMul", mixing.multiply_dynamically),
        ("SkipLayerNormalization", mixing.normalize_sum),
    ]


RULES = _table()
"""Rule by operator type."""
VALUED = pointwise.MEETING | pointwise.UNARY | {"Concat", "MatMul", "Gemm", "Conv", "Einsum"}
"""Operators whose constant inputs are numbers, not shapes: they must not change with the image's size."""
