"""Rules of operators that move numbers about: reshape, transpose, slice, join, spread."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from tilewise.receptive.place import MixedError, Parts, State, has_place, length, plain, refine, regroup, spatial, split
from tilewise.receptive.pointwise import meet_constant, unite_states
from tilewise.receptive.taps import slide, strided_taps

if TYPE_CHECKING:
    from tilewise.receptive.visit import Visit


def reshape(visit: Visit) -> list[State]:
    """Reshape, Flatten, Squeeze, Unsqueeze: the same numbers in the traced shape."""
    return [regroup(visit.state(), visit.made())]


def transpose(visit: Visit) -> list[State]:
    """Transpose: axes in another order."""
    state = visit.state()
    order = visit.get("perm") or range(len(state))[::-1]
    return [tuple(state[axis] for axis in order)]


def depth_to_space(visit: Visit) -> list[State]:
    """DepthToSpace: channels become phases of a finer place, in either mode."""
    state, block = visit.state(), visit.get("blocksize")
    made: list[Parts] = [state[0], plain(visit.made()[1])]
    for parts in state[2:]:
        part = spatial(parts)
        made.append(plain(length(parts) * block) if part is None else (refine(part, block),))
    return [tuple(made)]


def space_to_depth(visit: Visit) -> list[State]:
    """SpaceToDepth: phases become channels."""
    state, block = visit.state(), visit.get("blocksize")
    made: list[Parts] = [state[0], plain(visit.made()[1])]
    for parts in state[2:]:
        part = spatial(parts)
        size = length(parts) // block
        made.append(plain(size) if part is None else (split(part, size)[0],))
    return [tuple(made)]


def cut(visit: Visit) -> list[State]:
    """Slice: along space a crop or a stride."""
    state, shape = visit.state(), visit.shape()
    starts, ends = visit.numbers("starts", 1), visit.numbers("ends", 2)
    if starts is None or ends is None:
        raise MixedError("a slice without ends")
    axes = visit.numbers("axes", 3) or list(range(len(starts)))
    steps = visit.numbers("steps", 4) or [1] * len(starts)
    made: list[Parts] = list(state)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = visit.made()[axis]
        whole = range(*slice(start, end, step).indices(shape[axis])) == range(shape[axis])
        if whole:
            continue
        if not has_place(state[axis]):
            made[axis] = plain(size)
            continue
        part = spatial(state[axis])
        if step < 0 or part is None:
            visit.note("dependent", "it flips the image")
            continue
        first = slice(start, end, step).indices(shape[axis])[0]
        made[axis] = (slide(part, strided_taps(first, step), size, Fraction(step)),)
    return [tuple(made)]


def join(visit: Visit) -> list[State]:
    """Concat: over channels; pieces joined along space are no neighbourhood."""
    rank = len(visit.made())
    axis = visit.get("axis", 1) % rank
    made: State = ((),) * rank
    for state in visit.states:
        if state is None:
            continue
        if has_place(state[axis]):
            visit.note("dependent", "it joins pieces along space (a roll, a shifted window, tokens)")
        made, clash = unite_states(made, (*state[:axis], (), *state[axis + 1 :]))
        if clash:
            visit.note("dependent", "it joins a place with a list of the same length")
    for name, state in zip(visit.op.inputs, visit.states, strict=True):
        if state is None:
            made = meet_constant(visit, made, name)
    longest = max((s for s in visit.states if s is not None), key=lambda s: (has_place(s[axis]), length(s[axis])))
    joined = _stretched(longest[axis], visit.made()[axis])
    return [(*made[:axis], joined, *made[axis + 1 :])]


def join_quantised(visit: Visit) -> list[State]:
    """QLinearConcat: scale and zero of the result, then each piece with its own."""
    op = replace(visit.op, inputs=visit.op.inputs[2::3])
    inner = replace(visit, op=op, states=visit.states[2::3])
    return join(inner)


def divide(visit: Visit) -> list[State]:
    """Split: over channels."""
    state = visit.state()
    axis = visit.get("axis", 0) % len(state)
    if has_place(state[axis]):
        visit.note("dependent", "it splits the image into pieces")
    made = []
    for index, name in enumerate(visit.op.outputs):
        piece = _stretched(state[axis], visit.made(index)[axis]) if name else ()
        made.append((*state[:axis], piece, *state[axis + 1 :]))
    return made


def gather(visit: Visit) -> list[State]:
    """Gather with constant indices: over channels."""
    state, indices = visit.state(), visit.value(1)
    axis = visit.get("axis", 0) % len(state)
    if has_place(state[axis]):
        raise MixedError("it picks places by number")
    shape = () if indices is None else indices.shape
    return [(*state[:axis], *(plain(n) for n in shape), *state[axis + 1 :])]


def spread(visit: Visit) -> list[State]:
    """Expand: axes of length 1 take the traced length."""
    made = visit.made()
    state = ((),) * (len(made) - len(visit.state())) + visit.state()
    return [tuple(plain(n) if length(parts) == 1 and n != 1 else parts for parts, n in zip(state, made, strict=True))]


def repeat(visit: Visit) -> list[State]:
    """Tile: over channels."""
    state, repeats = visit.state(), visit.value(1)
    many = np.ones(len(state)) if repeats is None else repeats
    if any(has_place(parts) and n != 1 for parts, n in zip(state, many, strict=True)):
        visit.note("dependent", "it repeats the image")
    shape = visit.made()
    return [tuple(p if n == 1 else plain(size) for p, n, size in zip(state, many, shape, strict=True))]


def _stretched(parts: Parts, size: int) -> Parts:
    """The axis with another length; for space only so that the walk can go on."""
    part = spatial(parts)
    if part is None or part.place is None:
        return plain(size)
    return (replace(part, size=size),)
