"""The whole inspection, in order: read, explore, prepare, check, probe, certify, judge."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilewise import receptive, splice
from tilewise.errors import ModelError
from tilewise.proof.choice import Choice, choose
from tilewise.proof.explore import Explored, explore
from tilewise.proof.file import load
from tilewise.proof.freedom import as_declared, same_numbers, takes_batches
from tilewise.proof.geometry import Frame
from tilewise.proof.judge import Evidence, gather, judge
from tilewise.proof.liveness import live_bytes
from tilewise.proof.probe import spatial_axes
from tilewise.proof.runner import Clock, Runner, open_graph
from tilewise.proof.signature import Port, constant_values, declared_size, layouts, pick_image, ports
from tilewise.spec import Certificate, ModelSpec, Tensor

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto

    from tilewise.settings import Graph

DECLARED_SECONDS = 3.0
"""The freed graph is run at the declared size only if that takes no longer; its operators are the same anyway."""


@dataclass(frozen=True, slots=True)
class Found:
    """An inspected model."""

    spec: ModelSpec
    """All that is known."""
    prepared: ModelProto
    """What workers run."""
    external: tuple[str, ...]
    """Data files beside the graph."""


@dataclass(slots=True)
class Prepared:
    """The graph that workers run, and an open session of it."""

    model: ModelProto
    """Pruned, freed, rewritten."""
    runner: Runner
    """Optimised, one thread."""
    original: Runner
    """The file's own graph, pruned only."""
    checks: tuple[str, ...]
    """What was checked of it."""


def examine(path: Path, settings: Graph, clock: Clock) -> Found:
    """Inspect a model file.

    Raises:
        ModelError: it cannot be read or run.
    """
    model, external = load(path)
    inputs, outputs = ports(model)
    image = pick_image(inputs, settings.inputs)
    names = _wanted(outputs, settings.output_name)
    splice.bake(model, constant_values(inputs, settings.inputs))
    splice.prune(model, names)
    explored = explore(model, image, layouts(image, settings.layout), clock)
    choice = choose(explored, names, settings.output_layout)
    splice.prune(model, [choice.name])
    if any(reach.extra for reach in choice.reaches):
        explored, choice = crop(model, image, explored, choice, clock)
    explored = narrow(explored, choice)
    size = declared_size(image, explored.layout)
    prepared = prepare_graph(model, image, explored, choice, size, clock)
    batch_axis = choice.layout.find("N")
    small = explored.sizes
    free_batch = explored.batch == 1 and "N" in explored.layout and batch_axis >= 0
    free_batch = free_batch and takes_batches(prepared.runner, small, batch_axis)
    if not free_batch:
        prepared.runner.batch = explored.batch
    fixed = None if explored.freed else small
    evidence = _evidence(prepared, explored, choice, fixed)
    made = prepared.runner.run(prepared.runner.noise(small))[0]
    spec = _spec(path, settings, inputs, outputs, image, explored, choice, evidence, prepared)
    return Found(
        replace(
            spec,
            fixed_size=fixed,
            declared_size=size,
            fixed_batch=None if free_batch else explored.batch,
            out_channels=_channels(made.shape, choice.layout),
            out_dtype=made.dtype.name,
        ),
        prepared.model,
        external,
    )


def _wanted(outputs: tuple[Port, ...], asked: str | None) -> list[str]:
    names = [port.name for port in outputs]
    if asked is None:
        return names
    if asked not in names:
        raise ModelError(f"--output-name {asked}", f"one of the outputs ({', '.join(names)})", "Correct the name.")
    return [asked]


def crop(model: ModelProto, image: Port, explored: Explored, choice: Choice, clock: Clock) -> tuple[Explored, Choice]:
    """Cut off what an output has more than the image times the scale, and explore again."""
    axes = zip(spatial_axes(choice.layout), choice.reaches, strict=True)
    splice.crop_output(model, choice.name, {axis: reach.extra for axis, reach in axes if reach.extra})
    found = explore(model, image, (explored.layout,), clock)
    return found, choose(found, [choice.name], choice.layout)


def narrow(explored: Explored, choice: Choice) -> Explored:
    """Only what the chosen output depends on."""
    ops = receptive.only(explored.ops, [choice.name])
    nodes = {f"{op.kind} '{op.name}'" for op in ops} | {"the model"}
    walk = receptive.restrict(explored.walk, ops)
    return replace(
        explored, ops=tuple(ops), walk=walk, notes=tuple(note for note in explored.notes if note.node in nodes)
    )


def prepare_graph(
    model: ModelProto, image: Port, explored: Explored, choice: Choice, size: tuple[int, ...] | None, clock: Clock
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
    checks: list[str] = []
    runner = _runner(made, image, explored, clock)
    plain = runner
    if count:
        plain = _runner(loose, image, explored, clock)
        if same_numbers(plain, runner, explored.sizes):
            checks.append(f"{count} transposed convolutions rewritten, same numbers")
        else:
            made, runner = loose, plain
            checks.append("transposed convolutions left, rewriting changed numbers")
    if size is not None and explored.freed:
        if 2 * clock.cost(math.prod(size)) > DECLARED_SECONDS:
            checks.append("freed: same operators as the file")
        elif same_numbers(*as_declared(_runner(model, image, explored, clock), runner, image), size):
            checks.append("freed: same numbers at the declared size")
        else:
            raise ModelError(
                f"the model gives other numbers at {size} once its declared size is freed",
                "a graph that does not depend on its declared size",
                "Report it with the model.",
            )
    del choice
    return Prepared(made, runner, plain, tuple(checks))


def _runner(model: ModelProto, image: Port, explored: Explored, clock: Clock, *, optimize: bool = True) -> Runner:
    session = open_graph(model, optimize=optimize)
    return Runner(session, image.name, explored.layout, image.dtype, explored.channels, clock, explored.batch)


def _evidence(prepared: Prepared, explored: Explored, choice: Choice, fixed: tuple[int, ...] | None) -> Evidence:
    frame = Frame(choice.reaches, explored.walk.multiple, explored.remainder, fixed) if choice.reaches else None
    if frame is None or choice.guessed or any(note.kind != "rounding" for note in explored.notes):
        return Evidence()
    linear = None
    if prepared.runner.dtype.startswith("float"):
        try:
            model = splice.linearise(prepared.model)
            session = open_graph(model)
            linear = replace(prepared.runner, session=session, counted=False)
        except ModelError:
            linear = None
    return gather(prepared.runner, linear, frame, choice.layout, explored.sizes)


def _spec(
    path: Path,
    settings: Graph,
    inputs: tuple[Port, ...],
    outputs: tuple[Port, ...],
    image: Port,
    explored: Explored,
    choice: Choice,
    evidence: Evidence,
    prepared: Prepared,
) -> ModelSpec:
    verdict, reason = judge(explored, choice, evidence)
    bounded = verdict in {"exact", "exact to rounding"}
    reaches, rank = choice.reaches, len(explored.sizes)
    unit = receptive.Reach(receptive.ONE, 0, 0, 0, 0)
    scale = tuple(1 / reach.step for reach in reaches or (unit,) * rank)
    multiple = tuple(math.lcm(m, q.denominator) for m, q in zip(explored.walk.multiple, scale, strict=True))
    return ModelSpec(
        path=str(path),
        name=path.stem,
        sha256="",
        input_name=image.name,
        output_name=choice.name,
        inputs=tuple(Tensor(port.name, port.dtype, port.dims) for port in inputs),
        outputs=tuple(Tensor(port.name, port.dtype, port.dims) for port in outputs),
        constants=settings.inputs,
        layout=explored.layout,
        output_layout=choice.layout,
        spatial_ndim=rank,
        in_channels=explored.channels,
        out_channels=0,
        dtype=image.dtype,
        out_dtype="",
        fixed_size=None,
        declared_size=None,
        fixed_batch=None,
        multiple=multiple,
        remainder=explored.remainder,
        before=tuple(reach.before for reach in reaches) if bounded else None,
        after=tuple(reach.after for reach in reaches) if bounded else None,
        lead=tuple(reach.lead for reach in reaches or (unit,) * rank),
        trail=tuple(reach.trail for reach in reaches or (unit,) * rank),
        scale=scale,
        verdict=verdict,
        reason=reason,
        activation_bytes=live_bytes(explored.ops, explored.walk.trace, image.name, choice.name),
        weight_bytes=sum(int(value.nbytes) for value in splice.numbers(prepared.model).values()),
        certificate=Certificate(
            evidence.status, evidence.difference, evidence.tile, 1, "", "", "", "", (*prepared.checks, *evidence.probes)
        ),
    )


def _channels(shape: tuple[int, ...], layout: str) -> int:
    if layout == "NC":
        return math.prod(shape[1:])
    return shape[layout.index("C")] if "C" in layout else 1
