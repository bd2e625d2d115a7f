"""How many bytes are alive at once in a run, from shapes alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilewise.operators import Op, Trace


def live_bytes(ops: Sequence[Op], trace: Trace, image: str, outputs: Sequence[str]) -> float:
    """Peak bytes of tensors that are alive together, per pixel of the image."""
    size = _item_size(trace)
    last = {name: step for step, op in enumerate(ops) for name in op.inputs}
    last |= dict.fromkeys(outputs, len(ops))
    alive = math.prod(trace.shapes[image]) * size
    peak = alive
    for step, op in enumerate(ops):
        made = [name for name in op.outputs if name in trace.shapes and name not in trace.values]
        alive += sum(math.prod(trace.shapes[name]) for name in made) * size
        peak = max(peak, alive)
        pixels = {name for name in (*op.inputs, *made) if name in trace.shapes and name not in trace.values}
        alive -= sum(math.prod(trace.shapes[name]) for name in pixels if last.get(name, step) == step) * size
    return peak / math.prod(trace.sizes)


def _item_size(trace: Trace) -> int:
    """Bytes of a number, told from the type of most weights: shapes carry no type."""
    sizes: dict[int, int] = {}
    for value in trace.values.values():
        if value.dtype.kind == "f" and value.ndim > 1:
            sizes[value.dtype.itemsize] = sizes.get(value.dtype.itemsize, 0) + value.size
    return max(sizes, key=lambda n: sizes[n]) if sizes else np.dtype(np.float32).itemsize
