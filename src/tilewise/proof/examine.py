"""The whole inspection, in order: read, explore, choose, prepare, check, probe, certify, judge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilewise import splice
from tilewise.errors import ModelError
from tilewise.proof.choice import Choice, Selection, choose
from tilewise.proof.explore import Explored, explore
from tilewise.proof.file import load
from tilewise.proof.freedom import takes_batches
from tilewise.proof.geometry import Frame
from tilewise.proof.judge import PROOF_SECONDS, Evidence, gather
from tilewise.proof.prepared import Prepared, crop, narrow, prepare_graph
from tilewise.proof.runner import Clock, RunError, open_graph
from tilewise.proof.signature import Port, constant_values, declared_size, layouts, pick_image, ports
from tilewise.proof.summary import Findings, summarise

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto

    from tilewise.settings import Graph
    from tilewise.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Found:
    """An inspected model."""

    spec: ModelSpec
    """All that is known."""
    prepared: ModelProto
    """What workers run."""
    external: tuple[str, ...]
    """Data files beside the graph."""


def examine(path: Path, settings: Graph, clock: Clock) -> Found:
    """Inspect a model file.

    Raises:
        ModelError: it cannot be read or run.
    """
    model, external = load(path)
    splice.arrange_nodes(model)
    splice.declare_rank(model)
    inputs, outputs = ports(model)
    image = pick_image(inputs, settings.inputs)
    names = _wanted(outputs, settings.output_name)
    splice.bake(model, constant_values(inputs, settings.inputs))
    splice.prune(model, names)
    explored, selection = _select(model, image, names, settings, clock)
    size = declared_size(image, explored.layout)
    prepared = prepare_graph(model, image, explored, size, clock)
    free_batch = _frees_batch(prepared, explored, selection)
    if not free_batch:
        prepared.runner.batch = explored.batch
    fixed = None if explored.freed else explored.sizes
    multiple = _multiple(prepared, explored, selection)
    made = tuple(prepared.runner.run(prepared.runner.noise(explored.sizes)))
    spec = summarise(
        Findings(
            path=path,
            settings=settings,
            inputs=inputs,
            outputs=outputs,
            image=image,
            explored=explored,
            selection=selection,
            evidence=tuple(_evidence(prepared, explored, choice, fixed, selection) for choice in selection.choices),
            prepared=prepared,
            made=made,
            fixed=fixed,
            multiple=multiple,
            declared=size,
            batch=None if free_batch else explored.batch,
        )
    )
    return Found(spec, prepared.model, external)


def _select(
    model: ModelProto, image: Port, names: list[str], settings: Graph, clock: Clock
) -> tuple[Explored, Selection]:
    """Explore, choose, and cut the graph down to the outputs that are used."""
    tried = layouts(image, settings.layout, volume=splice.slides_over(model) == 3)
    explored = explore(model, image, tried, clock)
    size = declared_size(image, explored.layout)
    fixable = explored.freed and size is not None
    try:
        selection = choose(explored, names, settings.output_layout)
    except ModelError:
        if not fixable:
            raise
        selection = None
    if selection is None or (fixable and _is_position(selection, size)):
        # at its declared size it gives a map, or one vector, which it does not at others
        explored = explore(model, image, tried, clock, frees=False)
        selection = choose(explored, names, settings.output_layout)
    chosen = [choice.name for choice in selection.choices]
    splice.prune(model, chosen)
    if any(reach.extra for choice in selection.choices for reach in choice.reaches):
        explored, selection = crop(model, image, explored, selection, clock)
    shapes = explored.walk.trace.shapes
    for choice in selection.choices:
        if choice.layout == "NC":
            batched = "N" in explored.layout and shapes[choice.name][0] == explored.batch
            splice.flatten_output(model, choice.name, len(shapes[choice.name]), batched=batched)
    return narrow(explored, chosen), selection


def _is_position(selection: Selection, size: tuple[int, ...] | None) -> bool:
    """True if the file's own size gives one position: a classifier, though other sizes would give a map."""
    reaches = selection.choices[0].reaches
    if size is None or not reaches:
        return False
    return all(n - reach.lead - reach.trail <= reach.step for n, reach in zip(size, reaches, strict=True))


def _wanted(outputs: tuple[Port, ...], asked: str | None) -> list[str]:
    names = [port.name for port in outputs]
    if asked is None:
        return names
    if asked not in names:
        raise ModelError(f"--output-name {asked}", f"one of the outputs ({', '.join(names)})", "Correct the name.")
    return [asked]


def _multiple(prepared: Prepared, explored: Explored, selection: Selection) -> tuple[int, ...]:
    """M; 1 for vectors of a model of one size, or that also runs off its grid, for nothing has to lie on it."""
    if selection.choices[0].layout == "NC":
        if not explored.freed:
            return (1,) * len(explored.sizes)
        odd = tuple(n + 1 for n in explored.sizes)
        try:
            prepared.runner.run(prepared.runner.noise(odd))
        except RunError:
            return explored.walk.multiple
        return (1,) * len(odd)
    # of a graph of one size, what has one position tells of no grid: tiles could only lie side by side
    steps = explored.walk.multiple if explored.freed else explored.walk.grid(2)
    sound = zip(steps, explored.sizes, strict=True)
    # resizing to constant sizes makes fractions that no tile could keep; no such model is local
    return tuple(m if m <= n else 1 for m, n in sound)


def _frees_batch(prepared: Prepared, explored: Explored, selection: Selection) -> bool:
    """True if any number of images go in at once, and none feels the others."""
    axes = [choice.layout.find("N") for choice in selection.choices]
    if explored.batch != 1 or "N" not in explored.layout or min(axes) < 0:
        return False
    return takes_batches(prepared.runner, explored.sizes, axes)


def _evidence(
    prepared: Prepared, explored: Explored, choice: Choice, fixed: tuple[int, ...] | None, selection: Selection
) -> Evidence:
    """What cuts do to one output."""
    frame = Frame(choice.reaches, explored.walk.multiple, explored.remainder, fixed) if choice.reaches else None
    notes = narrow(explored, [choice.name]).notes
    if frame is None:
        return Evidence((), "not needed: one vector a tile")
    if choice.guessed or any(note.kind != "rounding" for note in notes):
        return Evidence()
    only = replace(prepared.runner, outputs=[choice.name])
    linear = None
    if only.dtype.startswith("float"):
        try:
            linear = replace(only, session=open_graph(splice.linearise(prepared.model)), counted=False)
        except ModelError:
            linear = None
    seconds = PROOF_SECONDS / len(selection.choices)
    return gather(only, linear, frame, choice.layout, explored.sizes, seconds=seconds)
