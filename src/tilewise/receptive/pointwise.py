"""Rules of operators that work index by index, and the closed list of their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tilewise.receptive.place import MixedError, Parts, State, has_place, length, plain, unite

if TYPE_CHECKING:
    from tilewise.receptive.visit import Visit

ROUNDING = frozenset(
    [
        "Elu",
        "Selu",
        "Celu",
        "Softplus",
        "Mish",
        "Log",
        "Sin",
        "Cos",
        "Tan",
        "Asin",
        "Acos",
        "Atan",
        "Sinh",
        "Cosh",
        "Asinh",
        "Acosh",
        "Atanh",
    ]
)
"""Vectorised by the runtime with another formula for the tail of a row: off by up to 2e-7."""
UNARY = ROUNDING | frozenset(
    """Relu LeakyRelu Sigmoid Tanh Softsign HardSigmoid HardSwish Gelu Erf Clip ThresholdedRelu Abs Neg Exp Sqrt
    Reciprocal Floor Ceil Round Sign Not IsNaN IsInf Cast Identity Dropout Shrink BitwiseNot QuantizeLinear
    DequantizeLinear BatchNormalization Swish CastLike BitCast""".split()  # noqa: SIM905 - a list of names reads better as a line
)
"""One number in, one out; further inputs are constants."""
MEETING = frozenset(
    """Add Sub Mul Div Pow Mod Max Min Sum Mean And Or Xor Equal Greater Less GreaterOrEqual LessOrEqual Where
    BitShift BitwiseAnd BitwiseOr BitwiseXor PRelu""".split()  # noqa: SIM905 - a list of names reads better as a line
)
"""Several tensors that meet index by index, broadcast."""


def unary(visit: Visit) -> list[State]:
    """The output lies as the first input does."""
    kind = visit.op.kind
    if kind in ROUNDING:
        visit.note("rounding", "the runtime computes the tail of a row otherwise")
    if kind == "BatchNormalization" and visit.get("training_mode", 0):
        visit.note("dependent", "in training mode it normalises by the whole image")
    if kind == "Dropout" and len(visit.op.inputs) > 2 and np.any(visit.value(2)):
        visit.note("dependent", "in training mode it is random")
    if any(state is not None for state in visit.states[1:]):
        visit.note("dependent", "its parameters depend on the whole image")
    return [visit.state()]


def meet(visit: Visit) -> list[State]:
    """Broadcast from the right; a constant must not vary along space."""
    rank = len(visit.made())
    made: State = ((),) * rank
    for state in visit.states:
        if state is not None:
            made, clash = unite_states(made, ((),) * (rank - len(state)) + state)
            if clash:
                visit.note("dependent", "it joins a place with a list of the same length")
    for index, state in enumerate(visit.states):
        if state is None and visit.op.inputs[index]:
            made = meet_constant(visit, made, visit.op.inputs[index])
    return [made]


def unite_states(first: State, second: State) -> tuple[State, bool]:
    """Two tensors of one rank, axis by axis."""
    pairs = [unite(a, b) for a, b in zip(first, second, strict=True)]
    return tuple(parts for parts, _ in pairs), any(clash for _, clash in pairs)


def meet_constant(visit: Visit, made: State, name: str) -> State:
    """What a constant adds: plain axes; along space it must be uniform."""
    shape = visit.trace.shapes[name]
    value = visit.trace.values.get(name)
    axes: list[Parts] = list(made)
    for axis in range(-len(shape), 0):
        size = shape[axis]
        if size == 1:
            continue
        if not has_place(made[axis]):
            axes[axis] = plain(size) if length(made[axis]) == 1 else made[axis]
        elif length(made[axis]) == 1:
            raise MixedError("it spreads a single place over a constant")
        elif value is None or np.any(np.diff(np.moveaxis(value.astype(np.float64, copy=False), axis, 0), axis=0)):
            visit.note("dependent", "it adds constants that vary over space (position embedding, coordinates)")
    return tuple(axes)
