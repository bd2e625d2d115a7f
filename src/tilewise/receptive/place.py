"""What is known of one tensor: which of its axes are places in the image, how coarse, and where a cut is felt.

A tensor's axis is a row of *parts*, outermost first, so that Reshape can merge and split axes. A part is plain
(channels, batch, groups) or has a :class:`Place`. Indices are those of a window [0, T) of a larger image, at a
multiple of M: ``start`` is the first index that does not feel the cut at 0, ``stop`` one past the last that does
not feel the cut at T, whatever the weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Place:
    """A spatial index: its axis of the image, its coarseness, and the indices that feel no cut."""

    axis: int
    """Number of the spatial axis, in order (z) y x."""
    step: Fraction
    """Input pixels per index."""
    start: int
    """First index that does not feel a cut before the window."""
    stop: int
    """One past the last index that does not feel a cut behind the window."""


@dataclass(frozen=True, slots=True)
class Part:
    """A factor of a tensor's axis."""

    size: int
    """Indices."""
    place: Place | None = None
    """Where they lie in the image; None for channels and the like."""


Parts = tuple[Part, ...]
"""One axis of a tensor, outermost part first; empty for an axis of length 1."""
State = tuple[Parts, ...]
"""A tensor that depends on pixels: its axes."""


class MixedError(Exception):
    """Axes that cannot be told apart any more."""


def plain(size: int) -> Parts:
    """An axis without places."""
    return () if size == 1 else (Part(size),)


def length(parts: Parts) -> int:
    """Length of the axis."""
    return math.prod(part.size for part in parts)


def has_place(parts: Parts) -> bool:
    """True if any part lies in space."""
    return any(part.place for part in parts)


def axes_of(parts: Parts) -> set[int]:
    """The image's axes that an axis holds."""
    return {part.place.axis for part in parts if part.place}


def merge_plain(parts: Sequence[Part]) -> list[Part]:
    """Neighbouring plain parts as one: only places have to be kept apart."""
    merged: list[Part] = []
    for part in parts:
        if part.place is None and part.size == 1:
            continue
        if merged and part.place is None and merged[-1].place is None:
            merged[-1] = Part(merged[-1].size * part.size)
        else:
            merged.append(part)
    return merged


def collapse(parts: Parts) -> Parts:
    """A place followed by phases is a finer place: [H/2, 2] is H."""
    if len(parts) < 2:
        return parts
    done: list[Part] = []
    for part in merge_plain(parts):
        last = done[-1] if done else None
        if last and last.place and part.place is None:
            done[-1] = refine(last, part.size)
        else:
            done.append(part)
    return tuple(done)


def refine(part: Part, by: int) -> Part:
    """The same stretch in indices that are finer by a whole number."""
    place = part.place
    if place is None:
        return Part(part.size * by)
    finer = replace(place, step=place.step / by, start=place.start * by, stop=place.stop * by)
    return Part(part.size * by, finer)


def split(part: Part, outer: int) -> tuple[Part, Part]:
    """An index as (coarse, phase). For a place the phase is plain and the coarse index carries the place."""
    inner, rest = divmod(part.size, outer)
    if rest:
        raise MixedError(f"{part.size} is no multiple of {outer}")
    place = part.place
    if place is None:
        return Part(outer), Part(inner)
    coarse = replace(place, step=place.step * inner, start=-(-place.start // inner), stop=place.stop // inner)
    return Part(outer, coarse), Part(inner)


def spatial(parts: Parts) -> Part | None:
    """The axis as one place, or None if it is plain.

    Raises:
        MixedError: it is neither.
    """
    if not has_place(parts):
        return None
    one = collapse(parts)
    if len(one) != 1:
        raise MixedError("space and channels share an axis")
    return one[0]


def regroup(state: State, shape: Sequence[int]) -> State:
    """The same numbers in another shape, row by row, as Reshape does."""
    left = merge_plain([part for parts in state for part in parts])[::-1]
    made: list[Parts] = []
    for size in shape:
        taken: list[Part] = []
        need = size
        while need != 1:
            if not left:
                raise MixedError("shapes do not factor")
            part = left.pop()
            if need % part.size:
                if part.size % need:
                    raise MixedError("shapes do not factor")
                part, rest = split(part, need)
                left.append(rest)
            need //= part.size
            taken.append(part)
        if size == 1 and left and left[-1].size == 1:
            taken.append(left.pop())
        made.append(tuple(taken))
    if any(part.size > 1 for part in left):
        raise MixedError("shapes do not factor")
    return tuple(made)


def unite(first: Parts, second: Parts) -> tuple[Parts, bool]:
    """An axis of two tensors that meet index by index; True if a plain axis met a place of the same length.

    Raises:
        MixedError: the two do not lie alike.
    """
    if length(first) == 1 and not has_place(first):
        return second, False
    if length(second) == 1 and not has_place(second):
        return first, False
    if has_place(first) != has_place(second):
        return (first if has_place(first) else second), True
    if [p.size for p in first] != [p.size for p in second]:
        first, second = collapse(first), collapse(second)
    if len(first) != len(second):
        raise MixedError("axes that meet are composed otherwise")
    return tuple(_unite_parts(a, b) for a, b in zip(first, second, strict=True)), False


def _unite_parts(first: Part, second: Part) -> Part:
    a, b = first.place, second.place
    if a is None and b is None and first.size == second.size:
        return first
    if a is None or b is None or first.size != second.size or (a.axis, a.step) != (b.axis, b.step):
        raise MixedError("axes that meet lie at other places")
    return Part(first.size, replace(a, start=max(a.start, b.start), stop=min(a.stop, b.stop)))
