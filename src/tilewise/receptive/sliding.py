"""Rules of operators that slide a window over space: convolution, pooling, resizing, and padding."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from tilewise.receptive.place import MixedError, Part, Parts, State, has_place, plain, spatial
from tilewise.receptive.pointwise import unite_states
from tilewise.receptive.taps import (
    Sampling,
    exact_coordinates,
    resize_taps,
    slide,
    strided_taps,
    transposed_taps,
    window_taps,
)

if TYPE_CHECKING:
    from tilewise.receptive.visit import Visit


def convolve(visit: Visit) -> list[State]:
    """Conv and its integer and quantised kin: weights are input 1, or 3 of QLinearConv."""
    weights = 3 if visit.op.kind == "QLinearConv" else 1
    kernel = visit.shape(weights)[2:]
    state = visit.state()
    _check_channels(visit, state)
    if visit.states[weights] is not None:
        visit.note("dependent", "its weights depend on the image")
    return [_slide_all(visit, state, kernel, channels=visit.made()[1])]


def convolve_and_add(visit: Visit) -> list[State]:
    """FusedConv: a convolution, an optional sum with another map, and an activation."""
    made = convolve(visit)
    other = visit.states[3] if len(visit.states) > 3 else None
    if other is None:
        return made
    state, clash = unite_states(made[0], other)
    if clash:
        visit.note("dependent", "it joins a place with a list of the same length")
    return [state]


def pool(visit: Visit) -> list[State]:
    """MaxPool, AveragePool, LpPool: channels stay."""
    state = visit.state()
    made = _slide_all(visit, state, tuple(visit.get("kernel_shape")), channels=None)
    if len(visit.op.outputs) > 1 and visit.op.outputs[1]:
        visit.note("dependent", "its indices count over the whole image")
    return [made, made]


def transpose_convolve(visit: Visit) -> list[State]:
    """ConvTranspose: every input index is spread over a kernel."""
    state = visit.state()
    _check_channels(visit, state)
    kernel = visit.shape(1)[2:]
    rank = len(kernel)
    strides = visit.numbers("strides") or [1] * rank
    dilations = visit.numbers("dilations") or [1] * rank
    made: list[Parts] = [state[0], plain(visit.made()[1])]
    begins = _transposed_begins(visit, kernel, strides, dilations)
    for i in range(rank):
        part, size = spatial(state[2 + i]), visit.made()[2 + i]
        taps = transposed_taps(kernel[i], strides[i], dilations[i], begins[i])
        made.append(plain(size) if part is None else (slide(part, taps, size, Fraction(1, strides[i])),))
    return [tuple(made)]


def resize(visit: Visit) -> list[State]:
    """Resize and Upsample: an axis keeps its length, or is sampled anew."""
    state, made = visit.state(), []
    coordinates = _coordinates(visit)
    if coordinates in {"align_corners", "tf_crop_and_resize"}:
        visit.note("dependent", f"{coordinates} depends on the size of the whole image")
        coordinates = "asymmetric"
    scales = _scales(visit)
    for parts, before, after, scale in zip(state, visit.shape(), visit.made(), scales, strict=True):
        if before == after and scale == 1:
            made.append(parts)
            continue
        part = spatial(parts)
        if part is None:
            made.append(plain(after))
            continue
        sampling = Sampling(
            scale, visit.get("mode", "nearest"), coordinates, _nearest(visit), bool(visit.get("antialias", 0))
        )
        if not exact_coordinates(sampling):
            visit.note("rounding", f"{sampling.mode} by {scale} computes its places in float")
        made.append((slide(part, resize_taps(sampling), after, 1 / scale),))
    return [tuple(made)]


def pad(visit: Visit) -> list[State]:
    """Pad: like the padding of a convolution; negative pads crop."""
    state = visit.state()
    rank = len(state)
    pads = visit.numbers("pads", 1) or visit.numbers("paddings") or [0] * 2 * rank
    axes = visit.numbers("axes", 3) if len(visit.op.inputs) > 3 else None
    begins = [0] * rank
    half = len(pads) // 2
    for i, axis in enumerate(axes or range(rank)):
        begins[axis] = pads[i]
        if visit.get("mode", "constant") == "wrap" and (pads[i] or pads[half + i]) and has_place(state[axis]):
            visit.note("dependent", "it wraps around the whole image")
    made: list[Parts] = []
    for parts, begin, before, after in zip(state, begins, visit.shape(), visit.made(), strict=True):
        part = spatial(parts) if before != after or begin else None
        if before == after and begin == 0:
            made.append(parts)
        elif part is None:
            made.append(plain(after))
        else:
            made.append((slide(part, strided_taps(-begin, 1), after, Fraction(1)),))
    return [tuple(made)]


def _check_channels(visit: Visit, state: State) -> None:
    if has_place(state[1]):
        raise MixedError("its channel axis lies in space (another layout?)")
    del visit


def _slide_all(visit: Visit, state: State, kernel: tuple[int, ...], *, channels: int | None) -> State:
    rank = len(kernel)
    strides = visit.numbers("strides") or [1] * rank
    dilations = visit.numbers("dilations") or [1] * rank
    made: list[Parts] = [state[0], state[1] if channels is None else plain(channels)]
    for i in range(rank):
        part, size = spatial(state[2 + i]), visit.made()[2 + i]
        if part is None:
            made.append(plain(size))
            continue
        begin = _begin(visit, i, rank, part, size, kernel[i], strides[i], dilations[i])
        taps = window_taps(kernel[i], strides[i], dilations[i], begin)
        made.append((slide(part, taps, size, Fraction(strides[i])),))
    return tuple(made)


def _begin(visit: Visit, i: int, rank: int, part: Part, size: int, kernel: int, stride: int, dilation: int) -> int:
    """Padding in front; SAME_UPPER and SAME_LOWER are told from the sizes of the trace."""
    auto = visit.get("auto_pad", "NOTSET")
    if auto in {"SAME_UPPER", "SAME_LOWER"}:
        total = max((size - 1) * stride + (kernel - 1) * dilation + 1 - part.size, 0)
        return total // 2 if auto == "SAME_UPPER" else total - total // 2
    if auto == "VALID":
        return 0
    return (visit.numbers("pads") or [0] * 2 * rank)[i]


def _transposed_begins(visit: Visit, kernel: tuple[int, ...], strides: list[int], dilations: list[int]) -> list[int]:
    rank = len(kernel)
    auto = visit.get("auto_pad", "NOTSET")
    if auto in {"NOTSET", "VALID"} and visit.get("output_shape") is None:
        return (visit.numbers("pads") or [0] * 2 * rank)[:rank]
    extra = visit.numbers("output_padding") or [0] * rank
    begins = []
    for i in range(rank):
        full = strides[i] * (visit.shape()[2 + i] - 1) + extra[i] + (kernel[i] - 1) * dilations[i] + 1
        total = max(full - visit.made()[2 + i], 0)
        begins.append(total // 2 if auto != "SAME_LOWER" else total - total // 2)
    return begins


def _coordinates(visit: Visit) -> str:
    if visit.op.kind == "Upsample" or visit.opset < 11:
        return "asymmetric"
    found = str(visit.get("coordinate_transformation_mode", "half_pixel"))
    # they differ from half_pixel only for an output of length 1 or a length that the scale does not give
    return "half_pixel" if found in {"pytorch_half_pixel", "half_pixel_symmetric"} else found


def _nearest(visit: Visit) -> str:
    if visit.op.kind == "Upsample" or visit.opset < 11:
        return "floor"
    return str(visit.get("nearest_mode", "round_prefer_floor"))


def _scales(visit: Visit) -> list[Fraction]:
    """Per axis, from the scales if they are given, else from the lengths."""
    before, after = visit.shape(), visit.made()
    if visit.op.kind == "Upsample" or visit.opset < 11:
        given = visit.get("scales")
        scales = given if given is not None else visit.value(1)
    else:
        scales = visit.value(2) if len(visit.op.inputs) > 2 else None
    if scales is None or len(scales) == 0:
        return [Fraction(b, a) for a, b in zip(before, after, strict=True)]
    axes = visit.get("axes") or range(len(before))
    made = [Fraction(1)] * len(before)
    for axis, scale in zip(axes, scales, strict=True):
        made[axis] = Fraction(float(scale)).limit_denominator(1000)
    return made
