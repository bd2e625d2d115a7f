"""Rules of operators that mix along whole axes: local over channels, dependent over space."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tilewise.receptive.place import MixedError, Parts, State, axes_of, collapse, has_place, length, plain
from tilewise.receptive.pointwise import unite_states

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tilewise.receptive.visit import Visit


def along_axis(visit: Visit) -> list[State]:
    """Softmax and its kin: over one axis; before opset 13 over that one and all behind it."""
    state = visit.state()
    old = visit.opset < 13 and visit.op.kind != "LpNormalization"
    axis = visit.get("axis", 1 if old else -1) % len(state)
    _forbid(visit, state, range(axis, len(state)) if old else [axis], "runs over space")
    return [state]


def normalize_behind(visit: Visit) -> list[State]:
    """LayerNormalization: over an axis and all behind it."""
    state = visit.state()
    _forbid(visit, state, range(visit.get("axis", -1) % len(state), len(state)), "normalises over space")
    return [state, state, state]


def normalize_space(visit: Visit) -> list[State]:
    """InstanceNormalization and GroupNormalization: over all spatial axes."""
    state = visit.state()
    _forbid(visit, state, range(2, len(state)), "normalises by statistics of the whole image")
    return [state]


def normalize_axes(visit: Visit) -> list[State]:
    """MeanVarianceNormalization: over the axes that it names."""
    state = visit.state()
    _forbid(visit, state, visit.get("axes", [0, 2, 3]), "normalises by statistics of the whole image")
    return [state]


def normalize_channels(visit: Visit) -> list[State]:
    """LRN: over neighbouring channels, axis 1."""
    state = visit.state()
    _forbid(visit, state, [1], "normalises over space")
    return [state]


def cumulate(visit: Visit) -> list[State]:
    """CumSum: over one axis, given as an input."""
    state, axis = visit.state(), visit.value(1)
    _forbid(visit, state, [] if axis is None else [int(axis.item()) % len(state)], "adds up over space")
    return [state]


def quantize_dynamically(visit: Visit) -> list[State]:
    """DynamicQuantizeLinear: its scale comes from all numbers of the tensor, of all tiles of a batch."""
    state = visit.state()
    visit.note("dependent", "its scale depends on the whole image and on the batch")
    return [state, (), ()]


def reduce(visit: Visit) -> list[State]:
    """ReduceX: the axes are gone, or of length 1."""
    state = visit.state()
    axes = visit.numbers("axes", 1)
    if not axes:
        axes = [] if visit.get("noop_with_empty_axes", 0) else list(range(len(state)))
    return [_drop(visit, state, axes, keep=bool(visit.get("keepdims", 1)))]


def argument(visit: Visit) -> list[State]:
    """ArgMax and ArgMin."""
    return [_drop(visit, visit.state(), [visit.get("axis", 0)], keep=bool(visit.get("keepdims", 1)))]


def pool_globally(visit: Visit) -> list[State]:
    """GlobalAveragePool and its kin."""
    state = visit.state()
    return [_drop(visit, state, range(2, len(state)), keep=True)]


def top(visit: Visit) -> list[State]:
    """TopK over channels; over space the places are lost."""
    state = list(visit.state())
    axis = visit.get("axis", -1)
    _forbid(visit, tuple(state), [axis], "sorts over space")
    state[axis] = plain(visit.made()[axis])
    return [tuple(state), tuple(state)]


def multiply(visit: Visit) -> list[State]:
    """MatMul and its integer kin: contracts the last axis of the first with the last but one of the second."""
    first, second = _operand(visit, 0), _operand(visit, 3 if visit.op.kind == "QLinearMatMul" else 1)
    if len(first) < 2 or len(second) < 2:
        raise MixedError("it multiplies a vector")
    if has_place(first[-1]) or has_place(second[-2]):
        visit.note("dependent", "it mixes all places (attention, or a dense layer over space)")
    if axes_of(first[-2]) & axes_of(second[-1]):
        visit.note("dependent", "it compares all places with all (attention)")
    rank = max(len(first), len(second))
    outer, clash = unite_states(_widen(first[:-2], rank - 2), _widen(second[:-2], rank - 2))
    if clash:
        visit.note("dependent", "it joins a place with a list of the same length")
    return [(*outer, first[-2], second[-1])]


def multiply_dynamically(visit: Visit) -> list[State]:
    """DynamicQuantizeMatMul: quantises its first operand by all of its numbers, and multiplies."""
    visit.note("dependent", "its scale depends on the whole image and on the batch")
    return multiply(visit)


def normalize_sum(visit: Visit) -> list[State]:
    """SkipLayerNormalization: adds two tensors, and normalises over the last axis."""
    state, clash = unite_states(visit.state(), _operand(visit, 1))
    if clash:
        visit.note("dependent", "it joins a place with a list of the same length")
    _forbid(visit, state, [len(state) - 1], "normalises over space")
    return [state] * len(visit.op.outputs)


def gemm(visit: Visit) -> list[State]:
    """Gemm: a MatMul of two matrices, either transposed, and a bias; QGemm has its weights at 3."""
    first, second = _operand(visit, 0), _operand(visit, 3 if visit.op.kind.endswith("QGemm") else 1)
    first = first[::-1] if visit.get("transA", 0) else first
    second = second[::-1] if visit.get("transB", 0) else second
    if has_place(first[1]) or has_place(second[0]):
        visit.note("dependent", "it mixes all places (a dense layer over space)")
    return [(first[0], second[1])]


def einsum(visit: Visit) -> list[State]:
    """Einsum: letters that vanish are contracted."""
    left, _, right = str(visit.get("equation")).replace(" ", "").partition("->")
    if not right or "." in left:
        raise MixedError("an equation without result or with an ellipsis")
    known: dict[str, Parts] = {}
    for index, letters in enumerate(left.split(",")):
        for letter, parts in zip(letters, _operand(visit, index), strict=True):
            if letter not in known or not has_place(known[letter]):
                known[letter] = parts
            elif has_place(parts) and collapse(parts) != collapse(known[letter]):
                raise MixedError("its operands lie at other places")
    if any(has_place(parts) for letter, parts in known.items() if letter not in right):
        visit.note("dependent", "it mixes all places (attention)")
    return [tuple(known[letter] for letter in right)]


def _operand(visit: Visit, index: int) -> State:
    state = visit.states[index]
    return tuple(plain(n) for n in visit.shape(index)) if state is None else state


def _widen(state: State, rank: int) -> State:
    return ((),) * (rank - len(state)) + state


def _forbid(visit: Visit, state: State, axes: Iterable[int], why: str) -> None:
    # an axis of length 1 is no sum over anything, but it may be longer for another image
    if any(has_place(state[axis]) for axis in axes):
        visit.note("dependent", f"it {why}")


def _drop(visit: Visit, state: State, axes: Iterable[int], *, keep: bool) -> State:
    gone = {axis % len(state) for axis in axes}
    if any(has_place(state[axis]) for axis in gone):
        visit.note("dependent", "it gathers the whole image")
    made = [() if axis in gone else parts for axis, parts in enumerate(state) if keep or axis not in gone]
    if math.prod(length(parts) for parts in made) != math.prod(visit.made()):
        raise MixedError("its shape is not what its axes say")
    return tuple(made)
