"""The walk over a traced graph: multiple, scale and reach of every output, and what is not local.

Pure: it reads operators, shapes and small values, and runs nothing. Two walks at two sizes have to agree; where
they do not, something in the graph does not follow the image's size, and that is named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from tilewise.receptive.place import MixedError, Part, Place, State, axes_of, plain, spatial
from tilewise.receptive.rules import LOST, RULES, VALUED
from tilewise.receptive.visit import Note, Visit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tilewise.operators import Op, Trace


ONE = Fraction(1)
"""A step of one pixel."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What one walk found."""

    trace: Trace
    """The run that it followed."""
    states: Mapping[str, State]
    """Every tensor that depends on pixels, as far as it is understood."""
    notes: tuple[Note, ...]
    """Why the model is not simply exact, in the graph's order."""
    lost: Mapping[str, Note]
    """Tensors whose places are lost, and the operator that lost them."""

    @property
    def multiple(self) -> tuple[int, ...]:
        """M per spatial axis: least common multiple of the numerators of all steps."""
        return self.grid(1)

    def grid(self, positions: int) -> tuple[int, ...]:
        """The same of those tensors alone that have at least so many positions along the axis."""
        found = [1] * len(self.trace.sizes)
        for state in self.states.values():
            for part in (part for parts in state for part in parts):
                if part.place and part.size >= positions:
                    axis = part.place.axis
                    found[axis] = math.lcm(found[axis], part.place.step.numerator)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Reach:
    """One spatial axis of the output, seen from the input. Lengths are input pixels."""

    step: Fraction
    """Input pixels per output index."""
    lead: int
    """a: lost in front."""
    trail: int
    """b: lost behind."""
    before: int
    """Context in front of a core without which it changes; at least ``lead``."""
    after: int
    """Context behind."""
    extra: int = 0
    """Output indices more than the input gives at this step; they have to be cropped before anything is tiled."""


def walk(ops: Sequence[Op], image: str, layout: str, trace: Trace, opset: int) -> Walk:
    """Follow the image through the operators, in their order."""
    states: dict[str, State] = {image: _entry(layout, trace, image)}
    lost: dict[str, Note] = {}
    notes: list[Note] = []
    for op in ops:
        if op.kind in {"Shape", "Size"}:
            continue
        earlier = next((lost[name] for name in op.inputs if name in lost), None)
        if earlier is not None:
            lost |= dict.fromkeys(op.outputs, earlier)
            continue
        if not any(name in states for name in op.inputs) and not _random(op):
            continue
        visit = Visit(op, tuple(states.get(name) for name in op.inputs), trace, opset)
        made = _apply(visit)
        _check_gathered(visit, made)
        notes += visit.notes
        if made is None:
            lost |= dict.fromkeys(op.outputs, visit.notes[-1])
        else:
            states |= {name: state for name, state in zip(op.outputs, made, strict=False) if name}
    return Walk(trace, states, tuple(notes), lost)


def _check_gathered(visit: Visit, made: list[State] | None) -> None:
    """A place that has become one index and is then no axis any more: the whole image in one number."""
    if made is None or any(note.kind != "rounding" for note in visit.notes):
        return
    before = {axis for state in visit.states if state is not None for parts in state for axis in axes_of(parts)}
    if before - {axis for state in made for parts in state for axis in axes_of(parts)}:
        visit.note("dependent", "it gathers the whole image")


def _random(op: Op) -> bool:
    return op.kind in {"RandomNormal", "RandomUniform", "Loop", "If", "Scan"}


def _entry(layout: str, trace: Trace, image: str) -> State:
    # in spatial order, whatever the layout's: NCWH is what some models made with ImageJ in mind take
    letters = [letter for letter in "DHW" if letter in layout]
    made = []
    for letter, size in zip(layout, trace.shapes[image], strict=True):
        if letter not in "DHW":
            made.append(plain(size))
            continue
        made.append((Part(size, Place(letters.index(letter), Fraction(1), 0, size)),))
    return tuple(made)


def _apply(visit: Visit) -> list[State] | None:
    """The rule's result, checked against the traced shapes; None if the places are lost."""
    kind = visit.op.kind
    if kind in LOST:
        visit.note("dependent", LOST[kind])
        return None
    rule = RULES.get(kind)
    if rule is None:
        visit.note("unproven", "the analysis does not know this operator")
        return None
    try:
        made = rule(visit)
    except MixedError as error:
        visit.note("unproven", f"not followed: {error}")
        return None
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError) as error:
        visit.note("unproven", f"not understood ({type(error).__name__}: {error})")
        return None
    for name, state in zip(visit.op.outputs, made, strict=False):
        shape = trace_shape(visit.trace, name)
        if name and shape != tuple(math.prod(part.size for part in parts) for parts in state):
            visit.note("unproven", f"its output has shape {shape}, which the analysis does not explain")
            return None
    return made


def trace_shape(trace: Trace, name: str) -> tuple[int, ...] | None:
    """Shape of a tensor, None if it was not traced."""
    return trace.shapes.get(name)


def disagreement(ops: Sequence[Op], first: Walk, second: Walk) -> Note | None:
    """The first operator that behaves otherwise at another size of the image."""
    for op in ops:
        for name in op.outputs:
            if (name in first.lost) != (name in second.lost):
                return _unsteady(op)
            if name in first.states and _relative(first, name) != _relative(second, name):
                return _unsteady(op)
        if op.kind in VALUED and any(name in first.states for name in op.outputs):
            for name in op.inputs:
                if name in first.trace.values and not _alike(first.trace.values[name], second.trace.values.get(name)):
                    return Note(
                        "dependent", f"{op.kind} '{op.name}'", "it uses numbers that depend on the image's size"
                    )
    return None


def _unsteady(op: Op) -> Note:
    return Note("dependent", f"{op.kind} '{op.name}'", "its geometry does not follow the image's size")


def _alike(first: np.ndarray, second: np.ndarray | None) -> bool:
    if first is second:
        return True
    if second is None:
        return False
    if first.shape == second.shape:
        return bool(np.array_equal(first, second))
    return bool(np.array_equal(np.unique(first), np.unique(second)))


def _relative(walk: Walk, name: str) -> object:
    """A state without the image's size: ends are counted from the window's end."""
    found = []
    for parts in walk.states.get(name, ()):
        row: list[object] = []
        for part in parts:
            place = part.place
            if place is None:
                row.append(part.size)
                continue
            size = walk.trace.sizes[place.axis]
            row.append((place.axis, place.step, place.start, part.size * place.step - size, place.stop - part.size))
        found.append(tuple(row))
    return tuple(found)


def read(walk: Walk, output: str) -> tuple[Reach, ...] | None:
    """Geometry of an output, per spatial axis; None if it is not an image of all spatial axes.

    Raises:
        MixedError: its axes do not lie one to one in the image.
    """
    state = walk.states[output]
    places = [part for parts in state if (part := spatial(parts)) is not None]
    found = {part.place.axis: part for part in places if part.place}
    if len(found) != len(places):
        raise MixedError("two of its axes lie along the same axis of the image")
    if not found:
        return None
    if len(found) != len(walk.trace.sizes):
        raise MixedError("an axis of the image is gone")
    return tuple(_reach(found[axis], size) for axis, size in enumerate(walk.trace.sizes))


def _reach(part: Part, size: int) -> Reach:
    place = part.place
    if place is None:
        raise MixedError("no place")
    missing = size - part.size * place.step
    extra = -missing / place.step
    if extra > 0 and extra.denominator == 1:
        return Reach(place.step, 0, 0, 0, 0, int(extra))
    if missing.denominator != 1 or missing < 0:
        raise MixedError(f"{part.size} indices of {place.step} pixels do not lie within {size} pixels")
    lead = int(missing) // 2
    return Reach(
        place.step,
        lead,
        int(missing) - lead,
        max(math.ceil(place.start * place.step) + lead, lead),
        max(math.ceil(size - place.stop * place.step) - lead, int(missing) - lead),
    )
