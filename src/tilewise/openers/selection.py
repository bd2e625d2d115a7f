"""A selection of an array as a box that is read, and what is kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from tilewise.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    Selection: TypeAlias = tuple[slice | list[int], ...]


def read_selection(selection: Selection, read_box: Callable[[Box], np.ndarray]) -> np.ndarray:
    """Pixels of a selection, by one read of the box around it.

    Args:
        selection: a slice with both ends, or a rising list, per axis.
        read_box: gives the pixels of a box.
    """
    ends = [(p.start, p.stop) if isinstance(p, slice) else (min(p), max(p) + 1) for p in selection]
    found = read_box(Box(tuple(a for a, _ in ends), tuple(b for _, b in ends)))
    for axis, part in enumerate(selection):
        if isinstance(part, list):
            found = found.take([k - ends[axis][0] for k in part], axis=axis)
    return found
