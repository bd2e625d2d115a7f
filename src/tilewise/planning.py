"""Where the facts of image and model meet what the user asked for, and become a plan."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from tilewise.block import Recipe
from tilewise.errors import ImageError, SettingError
from tilewise.geometry import Axis, Blocks, Grid
from tilewise.memory import Memory, show_bytes, tile_bytes, worker_memory
from tilewise.model import Model
from tilewise.normalize import check_numbers, check_types
from tilewise.place import check_place
from tilewise.plans import Plan, Setting, lead_axes
from tilewise.postprocess import check_results, has_channels, output_dtype
from tilewise.settings import Behaviour, Cut, Graph, Machine, Pixels, Results
from tilewise.sharding import Weights, block_bytes, choose_blocks
from tilewise.sink import OutputSpec
from tilewise.source import open_image
from tilewise.tiling import Tiling, choose

if TYPE_CHECKING:
    from pathlib import Path

    from tilewise.model import ModelSpec
    from tilewise.openers.spec import ImageSpec

SHARE = 0.7
"""Part of the free memory that workers may use together."""


@dataclass(frozen=True, slots=True)
class Crew:
    """Workers and what each may use."""

    workers: int
    """Subprocesses; 0 is one worker inside this process."""
    threads: int
    """Blocks at once in each."""
    memory: int
    """Bytes for each."""

    @property
    def blocks(self) -> int:
        """Blocks at once over all of them."""
        return max(self.workers, 1) * self.threads


def plan(
    image: str | Path,
    model: str | Path | Model,
    out: str | Path | None = None,
    *,
    cut: Cut = Cut(),  # noqa: B008 frozen records are safe defaults
    pixels: Pixels = Pixels(),  # noqa: B008
    results: Results = Results(),  # noqa: B008
    graph: Graph = Graph(),  # noqa: B008
    machine: Machine = Machine(),  # noqa: B008
    behaviour: Behaviour = Behaviour(),  # noqa: B008
) -> Plan:
    """Decide everything about a run; nothing is written and no pixel is read.

    Args:
        image: a zarr array or OME-Zarr image.
        model: an ONNX file.
        out: where the result would go.
        cut: tiles, halos, blocks.
        pixels: axes, level, channels, normalization.
        results: what is written.
        graph: what the model file does not tell.
        machine: where it runs.
        behaviour: what to do about oddities.

    Raises:
        TilewiseError: the request cannot be met; it says what was got, what was expected and what to do.
    """
    found = open_image(str(image), axes=pixels.axes, level=pixels.level)
    known = model if isinstance(model, Model) else Model(model, graph)
    facts = known.spec
    if out is not None:
        check_place(str(out), (found.path, facts.path), overwrite=behaviour.overwrite)
    made = decide(found, facts, cut=cut, pixels=pixels, results=results, machine=machine, behaviour=behaviour)
    if out is None:
        return made
    return _with_output(made, str(out))


def decide(
    image: ImageSpec,
    model: ModelSpec,
    *,
    cut: Cut,
    pixels: Pixels,
    results: Results,
    machine: Machine,
    behaviour: Behaviour,
    crew: Crew | None = None,
) -> Plan:
    """Decide everything from the facts of image and model; touches no file."""
    crew = crew or hire(machine)
    spatial = _spatial(image, model)
    channels = _channels(image, model, pixels)
    check_types(image.dtype, model.dtype, pixels.normalization)
    check_numbers(pixels.normalization, len(channels))
    check_results(results, model.out_channels)
    lengths = dict(zip(image.axes, image.shape, strict=True))
    lead = lead_axes(image.axes, spatial)
    per_pixel = tile_bytes(
        pixels=1,
        batch=1,
        in_channels=model.in_channels,
        out_channels=model.out_channels,
        activation_bytes=model.activation_bytes,
    )
    spare = max(
        crew.memory - worker_memory(weights=model.weight_bytes, read_bytes=0, tile=0, write_bytes=0, threads=1).base, 1
    )
    batch = _batch(model, cut)
    tiling = choose(tuple(lengths[a] for a in spatial), model, cut, int(0.6 * spare / crew.threads / batch), per_pixel)
    grid = Grid(tuple(Axis(size=lengths[a]) for a in lead) + tiling.axes)
    dtype = output_dtype(results, model.out_channels, model.out_dtype).name
    weights = _weights(image, channels, model, results, dtype)
    blocks = choose_blocks(
        grid, len(lead), cut, threads=crew.blocks, budget=int(0.3 * spare / crew.threads), weights=weights
    )
    recipe = Recipe(
        lead=len(lead),
        shape=grid.shape,
        layout=model.layout,
        output_layout=model.output_layout,
        dtype=model.dtype,
        out_dtype=dtype,
        out_channels=model.out_channels,
        batch=batch,
        pad=cut.pad,
        normalization=pixels.normalization,
        results=results,
    )
    memory = _memory(model, blocks, weights, recipe, crew)
    _require_memory(memory, crew, cut)
    verdict, reason = _verdict(model, tiling)
    return Plan(
        image=image,
        model=model,
        output=None,
        spatial=spatial,
        channels=channels,
        blocks=blocks,
        halo=tiling.halo,
        verdict=verdict,
        reason=reason,
        freed=_frees(model, grid.tile[len(lead) :]),
        recipe=recipe,
        memory=memory,
        device=machine.device,
        workers=crew.workers,
        threads=crew.threads,
        memory_limit=crew.memory,
        asked=(cut, pixels, results, machine, behaviour),
        settings=_settings(cut, pixels, results, machine, behaviour, blocks, tiling, recipe, channels, crew),
        notes=_notes(model, tiling, grid, pixels),
    )


def hire(machine: Machine) -> Crew:
    """How many workers, threads and bytes, where the user leaves it to us."""
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = 0 if machine.workers == "auto" else machine.workers
    threads = max(1, cores // max(workers, 1)) if machine.threads == "auto" else machine.threads
    free = int(psutil.virtual_memory().available * SHARE) // max(workers, 1)
    return Crew(workers, threads, free if machine.memory == "auto" else machine.memory)


def _spatial(image: ImageSpec, model: ModelSpec) -> str:
    spatial = "zyx"[-model.spatial_ndim :]
    absent = [a for a in spatial if a not in image.axes]
    if absent:
        raise ImageError(
            f"an image of axes {image.axes} for a {model.spatial_ndim}-D model",
            f"an image with {', '.join(spatial)}",
            "Name the axes with --axes, or use a model of fewer dimensions.",
        )
    return spatial


def _channels(image: ImageSpec, model: ModelSpec, pixels: Pixels) -> tuple[int, ...]:
    chosen = tuple(range(image.channels)) if pixels.channels == "all" else pixels.channels
    wrong = [c for c in chosen if not 0 <= c < image.channels]
    if wrong:
        raise SettingError(
            f"--channels {','.join(map(str, chosen))}",
            f"numbers from 0 to {image.channels - 1} (the image has {image.channels})",
            "Choose channels that the image has.",
        )
    if len(chosen) != model.in_channels:
        example = ",".join(map(str, range(model.in_channels)))
        raise SettingError(
            f"{len(chosen)} channel{'s' * (len(chosen) != 1)} of the image",
            f"{model.in_channels}, which the model takes ({model.layout})",
            f"Choose them with --channels, for example --channels {example}."
            if image.channels >= model.in_channels
            else "Use an image with as many channels, or name its axes with --axes.",
        )
    return chosen


def _batch(model: ModelSpec, cut: Cut) -> int:
    if model.fixed_batch is not None:
        if cut.batch not in {"auto", model.fixed_batch}:
            raise SettingError(
                f"--batch {cut.batch}", f"the model's own batch of {model.fixed_batch}", "Leave --batch out."
            )
        return model.fixed_batch
    return 1 if cut.batch == "auto" else cut.batch


def _weights(image: ImageSpec, channels: tuple[int, ...], model: ModelSpec, results: Results, dtype: str) -> Weights:
    import numpy as np

    scale = 1.0
    for q in model.scale:
        scale *= float(q)
    kept = model.out_channels if has_channels(results) else 1
    read = len(channels) * np.dtype(image.dtype).itemsize
    return Weights(read=read, write=scale * (kept * np.dtype(dtype).itemsize))


def _memory(model: ModelSpec, blocks: Blocks, weights: Weights, recipe: Recipe, crew: Crew) -> Memory:
    read, write = block_bytes(blocks, weights)
    pixels = 1
    for side in blocks.grid.tile:
        pixels *= side
    tile = tile_bytes(
        pixels=pixels,
        batch=recipe.batch,
        in_channels=model.in_channels,
        out_channels=model.out_channels,
        activation_bytes=model.activation_bytes,
    )
    return worker_memory(
        weights=model.weight_bytes, read_bytes=read, tile=tile, write_bytes=write, threads=crew.threads
    )


def _require_memory(memory: Memory, crew: Crew, cut: Cut) -> None:
    if memory.total <= crew.memory:
        return
    if memory.base > crew.memory:
        raise SettingError(
            f"a worker needs {show_bytes(memory.base)} for itself alone, before a pixel is read",
            f"at most {show_bytes(crew.memory)}",
            "Use more --memory" + (", or fewer --workers." if crew.workers > 1 else "."),
        )
    if memory.tiles * memory.threads > memory.total // 2:
        help_ = "a smaller --tile" if cut.tile != "auto" else "a smaller --tile or --halo"
    else:
        help_ = "a smaller --block"
    raise SettingError(
        f"a worker would need {show_bytes(memory.total)} ({show_bytes(memory.base)} for itself, and for each of "
        f"{memory.threads} blocks at once {show_bytes(memory.tiles)} in the model, {show_bytes(memory.read)} to read, "
        f"{show_bytes(memory.write)} to write)",
        f"at most {show_bytes(crew.memory)}",
        f"Use {help_}, fewer --threads, or more --memory.",
    )


def _verdict(model: ModelSpec, tiling: Tiling) -> tuple[str, str]:
    if tiling.bounded and model.exact:
        return "bounded", f"the halo {list(tiling.halo)} is smaller than the model's reach {list(model.radius or ())}"
    return model.verdict, model.reason


def _frees(model: ModelSpec, tile: tuple[int, ...]) -> bool:
    return model.declared_size is not None and tile != model.declared_size


def _notes(model: ModelSpec, tiling: Tiling, grid: Grid, pixels: Pixels) -> tuple[str, ...]:
    notes = [tiling.note] if tiling.note else []
    if _frees(model, tuple(a.tile for a in tiling.axes)):
        tile = [a.tile for a in tiling.axes]
        notes.append(
            f"the model declares {list(model.declared_size or ())}; a probe showed that it runs as well at {tile}"
        )
    padded = [(a.size, a.padded) for a in tiling.axes if a.padded - a.size >= a.multiple]
    if padded:
        notes.append(f"the image is smaller than the tile and is padded from {padded[0][0]} to {padded[0][1]} pixels")
    if any(model.lead) or any(model.trail):
        notes.append(
            f"the model's output is smaller than its input: the image is padded by {list(model.lead)} in front"
        )
    if pixels.normalization.kind != "none" and pixels.normalization.scope == "tile" and grid.tiles > 1:
        notes.append("--scope tile normalizes each tile by itself: expect seams; --scope image has none")
    if model.verdict in {"dependent", "unproven"} and grid.tiles > 1:
        notes.append(f"tiles may differ from an untiled run ({model.verdict}): {model.reason}")
    return tuple(notes)


def _settings(
    cut: Cut,
    pixels: Pixels,
    results: Results,
    machine: Machine,
    behaviour: Behaviour,
    blocks: Blocks,
    tiling: Tiling,
    recipe: Recipe,
    channels: tuple[int, ...],
    crew: Crew,
) -> tuple[Setting, ...]:
    """Every option with its value; what was auto is shown as settled."""
    settled: dict[str, Any] = {
        "tile": [a.tile for a in tiling.axes],
        "halo": list(tiling.halo),
        "block": list(blocks.shape[recipe.lead :]),
        "batch": recipe.batch,
        "channels": list(channels),
        "workers": max(crew.workers, 1),
        "threads": crew.threads,
        "memory": crew.memory,
    }
    names = {"kind": "normalize"}
    made = []
    for record in (cut, pixels, pixels.normalization, results, machine, behaviour):
        for field in fields(record):
            value = getattr(record, field.name)
            if field.name == "normalization":
                continue
            name = names.get(field.name, field.name)
            default = getattr(type(record)(), field.name)
            origin = "flag" if value != default else "auto" if value in {"auto", "all"} else "default"
            made.append(Setting(name, settled.get(name, _plain(value)), origin))
    return tuple(made)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _with_output(made: Plan, out: str) -> Plan:
    """The plan with what will be written: shard = block, chunk = core, placed where the image is."""
    image, axes = made.image, made.output_axes
    scale = dict(zip(image.axes, image.scale, strict=True))
    origin = dict(zip(image.axes, image.translation, strict=True))
    units = dict(zip(image.axes, image.units, strict=True))
    for letter, q in zip(made.spatial, made.model.scale, strict=True):
        # the first output pixel's centre lies between the input pixels that it stands for
        origin[letter] = origin[letter] + (1 / float(q) - 1) / 2 * scale[letter]
        scale[letter] = scale[letter] / float(q)
    core = tuple(axis.scaled(axis.step) for axis in made.grid.axes)
    spec = OutputSpec(
        path=out,
        axes=axes,
        shape=made.placed_shape(made.grid.placed_shape),
        dtype=made.recipe.out_dtype,
        chunk=made.placed_shape(core),
        shard=made.placed_shape(made.blocks.placed_shape),
        scale=tuple(scale.get(a, 1.0) for a in axes),
        translation=tuple(origin.get(a, 0.0) if a != "c" else 0.0 for a in axes),
        units=tuple(units.get(a) if a != "c" else None for a in axes),
        image_name=image.name,
    )
    return replace(made, output=spec)
