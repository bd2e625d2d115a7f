"""The graph that workers run: pruned, freed, rewritten, checked against the file's own, and written."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilewise import receptive, splice
from tilewise.errors import ModelError
from tilewise.proof.choice import Selection, choose
from tilewise.proof.explore import Explored, explore
from tilewise.proof.freedom import as_declared, same_numbers
from tilewise.proof.probe import spatial_axes
from tilewise.proof.runner import Clock, Runner, open_graph, serialized

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto

    from tilewise.proof.signature import Port

DECLARED_SECONDS = 3.0
"""The freed graph is run at the declared size only if that takes no longer; its operators are the same anyway."""


@dataclass(slots=True)
class Prepared:
    """The graph that workers run, and an open session of it."""

    model: ModelProto
    """Pruned, freed, rewritten."""
    runner: Runner
    """Optimised, one thread."""
    checks: tuple[str, ...]
    """What was checked of it."""


def crop(
    model: ModelProto, image: Port, explored: Explored, selection: Selection, clock: Clock
) -> tuple[Explored, Selection]:
    """Cut off what an output has more than the image times the scale, and explore again."""
    for choice in selection.choices:
        axes = zip(spatial_axes(choice.layout), choice.reaches, strict=True) if choice.reaches else ()
        extras = {axis: reach.extra for axis, reach in axes if reach.extra}
        if extras:
            splice.crop_output(model, choice.name, extras)
    found = explore(model, image, (explored.layout,), clock)
    names = [choice.name for choice in selection.choices]
    layout = selection.choices[0].layout if len(names) == 1 else None
    return found, replace(choose(found, names, layout), left_out=selection.left_out)


def narrow(explored: Explored, names: list[str]) -> Explored:
    """Only what these outputs depend on."""
    ops = receptive.only(explored.ops, names)
    nodes = {f"{op.kind} '{op.name}'" for op in ops} | {"the model"}
    walk = receptive.restrict(explored.walk, ops)
    return replace(
        explored,
        ops=tuple(ops),
        walk=walk,
        notes=tuple(note for note in explored.notes if note.node in nodes),
        remainder=tuple(n % m for n, m in zip(explored.sizes, walk.multiple, strict=True)),
    )


def prepare_graph(
    model: ModelProto, image: Port, explored: Explored, size: tuple[int, ...] | None, clock: Clock
) -> Prepared:
    """Free and rewrite a copy, and check that it gives the numbers of the original."""
    from onnx import ModelProto

    loose = ModelProto()
    loose.CopyFrom(model)
    axes = [i for i, c in enumerate(explored.layout) if c == "N" or (explored.freed and c in "DHW")]
    splice.free(loose, image.name, axes)
    made = ModelProto()
    made.CopyFrom(loose)
    count = splice.unfold_transposed(made)
    # the weights that were rewritten are not needed any more
    splice.prune(made, [value.name for value in made.graph.output])
    checks: list[str] = []
    runner = open_runner(made, image, explored, clock)
    if count:
        plain = open_runner(loose, image, explored, clock)
        if same_numbers(plain, runner, explored.sizes):
            checks.append(f"{count} transposed convolutions rewritten, same numbers")
        else:
            made, runner = loose, plain
            checks.append("transposed convolutions left, rewriting changed numbers")
    if size is not None and explored.freed:
        checks.append(_check_freed(model, runner, image, explored, size, clock))
    return Prepared(made, runner, tuple(checks))


def _check_freed(
    model: ModelProto, freed: Runner, image: Port, explored: Explored, size: tuple[int, ...], clock: Clock
) -> str:
    if 2 * clock.cost(math.prod(size)) > DECLARED_SECONDS:
        return "freed: same operators as the file"
    if same_numbers(*as_declared(open_runner(model, image, explored, clock), freed, image), size):
        return "freed: same numbers at the declared size"
    raise ModelError(
        f"the model gives other numbers at {size} once its declared size is freed",
        "a graph that does not depend on its declared size",
        "Report it with the model.",
    )


def open_runner(model: ModelProto, image: Port, explored: Explored, clock: Clock) -> Runner:
    """A session of a graph, fed as the exploration found out."""
    return Runner(open_graph(model), image.name, explored.layout, image.dtype, explored.channels, clock, explored.batch)


def keep(model: ModelProto, path: Path) -> str:
    """Write it, whole or not at all.

    Returns:
        Its sha256.
    """
    content = serialized(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)
    return hashlib.sha256(content).hexdigest()
