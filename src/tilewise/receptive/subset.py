"""What of a graph, and of a walk over it, some of its outputs depend on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilewise.operators import Op
    from tilewise.receptive.walk import Walk


def only(ops: Sequence[Op], outputs: Sequence[str]) -> list[Op]:
    """The operators that outputs depend on."""
    wanted = set(outputs)
    kept = []
    for op in reversed(ops):
        if wanted & set(op.outputs):
            kept.append(op)
            wanted |= set(op.inputs)
    return kept[::-1]


def restrict(found: Walk, ops: Sequence[Op]) -> Walk:
    """The same walk, as far as these operators go."""
    names = {name for op in ops for name in (*op.inputs, *op.outputs)}
    nodes = {f"{op.kind} '{op.name}'" for op in ops}
    return replace(
        found,
        states={name: state for name, state in found.states.items() if name in names},
        notes=tuple(note for note in found.notes if note.node in nodes),
    )
