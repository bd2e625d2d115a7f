"""Where the facts of image and model meet what the user asked for, and become a plan."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from tilewise.block import Recipe
from tilewise.caveats import judge, leaves_declared, note, note_contract, note_freezing, note_turns, note_view
from tilewise.crew import Crew, hire
from tilewise.descriptions.contract import SILENT
from tilewise.errors import SettingError
from tilewise.fit import check_memory, check_reach, check_settings, check_turns, match_axes, match_batch, match_channels
from tilewise.geometry import Axis, Blocks, Grid, Samples
from tilewise.masking import find_mask
from tilewise.memory import Memory, add_transit, base_memory, tile_bytes, worker_memory
from tilewise.model import Model
from tilewise.origins import trace
from tilewise.place import check_place
from tilewise.placement import find_place, place_outputs
from tilewise.plans import Plan, lead_axes
from tilewise.postprocess import has_channels
from tilewise.precedence import blame, settle
from tilewise.products import list_products
from tilewise.sampling import gives_vectors, refuse_stride, sample
from tilewise.session import check_device
from tilewise.settings import Asked, Behaviour, Cut, Graph, Machine, Pixels, Results
from tilewise.sharding import Weights, block_bytes, choose_blocks
from tilewise.source import Array, open_view
from tilewise.tiling import Tiling, choose

if TYPE_CHECKING:
    from pathlib import Path

    from tilewise.descriptions.contract import Contract
    from tilewise.geometry import Index
    from tilewise.model import ModelSpec
    from tilewise.openers.spec import ImageSpec

TILES = 0.6
"""Part of a thread's memory that one batch may take within the model."""

BLOCKS = 0.3
"""Part of a thread's memory that one block may take for reading and writing."""


def plan(
    image: str | Path | Array,
    model: str | Path | Model,
    out: str | Path | None = None,
    *,
    cut: Cut = Cut(),
    pixels: Pixels = Pixels(),
    results: Results = Results(),
    graph: Graph = Graph(),
    machine: Machine = Machine(),
    behaviour: Behaviour = Behaviour(),
    given: frozenset[str] = frozenset(),
) -> Plan:
    """Decide everything about a run; nothing is written, and no pixel is read but those of a mask.

    Args:
        image: the path of an image, or an array of NumPy, Dask or xarray.
        model: an ONNX file, or a bioimage.io description of one: its YAML file, folder or zip archive.
        out: where the result would go.
        cut: tiles, halos, blocks.
        pixels: axes, level, region, mask, channels, normalization.
        results: what is written.
        graph: what the model file does not tell.
        machine: where it runs.
        behaviour: what to do about oddities.
        given: options, by name, that win over the model's contract even at their default.

    Raises:
        TilewiseError: the request cannot be met; it says what was got, what was expected and what to do.
    """
    found = open_view(image, pixels)
    known = model if isinstance(model, Model) else Model(model, graph)
    facts = known.spec
    place = find_place(found, out, results)
    if place is not None:
        check_place(place, (found.path, facts.path), overwrite=behaviour.overwrite, labels=results.labels_into)
    asked = settle(
        Asked(
            cut=cut,
            pixels=pixels,
            results=results,
            graph=known.graph if graph == Graph() else graph,
            machine=machine,
            behaviour=behaviour,
            given=given,
        ),
        known.contract,
        names=found.channel_names,
    )
    try:
        made = decide(found, facts, asked, known.contract)
    except SettingError as error:
        raise blame(error, asked) from error
    return complete(made, place)


def complete(made: Plan, place: str | None) -> Plan:
    """A decided plan with its mask and, where a place is named, its outputs there."""
    made = replace(made, mask=find_mask(made))
    if place is None:
        return made
    return replace(made, outputs=place_outputs(made, place), memory=add_transit(made.memory, place))


def decide(image: ImageSpec, model: ModelSpec, asked: Asked, contract: Contract = SILENT) -> Plan:
    """Decide everything from the facts of image and model, and what it says of itself; touches no file."""
    crew = hire(asked.machine)
    check_reach(image, asked.machine, crew)
    if asked.machine.scheduler is None:
        check_device(asked.machine.device)
    spatial = match_axes(image, model)
    channels = match_channels(image, model, asked.pixels)
    check_settings(image, model, asked, len(channels))
    lengths = dict(zip(image.axes, image.shape, strict=True))
    lead = lead_axes(image.axes, spatial)
    batch = match_batch(model, asked.cut)
    spare = max(crew.memory - base_memory(model.weight_bytes), 0) // crew.threads
    tiling = _tiling(tuple(lengths[a] for a in spatial), model, asked, int(TILES * spare / batch))
    grid = Grid(tuple(_lead_axis(a, lengths[a], asked.pixels) for a in lead) + tiling.axes)
    recipe = Recipe(
        lead=len(lead),
        shape=grid.shape,
        neighbours=tuple(axis.lead for axis in grid.axes[: len(lead)]),
        layout=model.layout,
        dtype=model.dtype,
        products=list_products(model, grid, asked.results),
        batch=batch,
        pad=asked.cut.pad,
        normalization=asked.pixels.normalization,
        results=asked.results,
    )
    costs = _costs(image, channels, recipe)
    blocks = choose_blocks(grid, len(lead), asked.cut, threads=crew.blocks, budget=int(BLOCKS * spare), weights=costs)
    memory = _memory(image, model, blocks, costs, recipe, crew)
    check_memory(memory, crew, asked.cut)
    check_turns(model, asked.results, tiling.axes)
    verdict, reason = judge(model, tiling)
    return Plan(
        image=image,
        model=model,
        outputs=(),
        spatial=spatial,
        channels=channels,
        blocks=blocks,
        halo=tiling.halo,
        verdict=verdict,
        reason=reason,
        freed=leaves_declared(model, grid.tile[len(lead) :]),
        recipe=recipe,
        memory=memory,
        crew=crew,
        asked=asked,
        settings=trace(asked, _settled(image, blocks, tiling, recipe, channels, crew)),
        notes=(
            *image.notes,
            *note_view(image, asked.pixels),
            *note(model, tiling, grid, asked.pixels, asked.cut.halo),
            *note_freezing(asked, grid.tiles),
            *note_turns(asked.results, spatial),
            *note_contract(contract, image, model, spatial, tiling, asked),
        ),
        class_names=contract.class_names or (),
    )


def _lead_axis(axis: str, size: int, pixels: Pixels) -> Axis:
    """The cut of an axis that the model does not see: planes, and what stands beside them if it takes that, too."""
    k = pixels.neighbours[1] if pixels.neighbours is not None and pixels.neighbours[0] == axis else 0
    return Axis(size=size, tile=2 * k + 1, before=k, after=k, lead=k, trail=k)


def _tiling(shape: Index, model: ModelSpec, asked: Asked, budget: int) -> Tiling:
    """The cut of the axes that the model sees, whether it gives images or vectors."""
    if gives_vectors(model):
        return sample(shape, model, asked.cut)
    refuse_stride(asked.cut)
    masked = asked.pixels.mask is not None
    return choose(shape, model, asked.cut, budget, _tile_bytes(model, 1, 1), masked=masked)


def _tile_bytes(model: ModelSpec, pixels: int, batch: int) -> float:
    # a vector's numbers are next to none, counted a pixel of its tile
    given = sum(port.out_channels * float(math.prod(port.scale)) for port in model.written if port.layout != "NC")
    return tile_bytes(
        pixels=pixels,
        batch=batch,
        in_channels=model.in_channels,
        out_channels=given,
        activation_bytes=model.activation_bytes,
    )


def _costs(image: ImageSpec, channels: tuple[int, ...], recipe: Recipe) -> Weights:
    """Bytes per pixel of what is read and written."""
    import numpy as np

    write = 0.0
    for product in recipe.products:
        kept = product.channels if has_channels(recipe.results) else 1
        scale = float(math.prod(axis.scale for axis in product.grid.axes))
        write += scale * kept * np.dtype(product.dtype).itemsize
    # a scaled pixel is read as the stored ones that it is made of, and then made
    made = image.density + (image.density != 1)
    return Weights(read=len(channels) * np.dtype(image.dtype).itemsize * made, write=write)


def _memory(image: ImageSpec, model: ModelSpec, blocks: Blocks, costs: Weights, recipe: Recipe, crew: Crew) -> Memory:
    read, write = block_bytes(blocks, costs)
    pixels = math.prod(blocks.grid.tile[-model.spatial_ndim :])
    tile = (
        int(_tile_bytes(model, pixels, recipe.batch)) + recipe.chain_bytes * pixels * recipe.batch * model.in_channels
    )
    return worker_memory(
        weights=model.weight_bytes,
        read_bytes=read,
        held=image.held,
        tile=tile,
        write_bytes=write,
        threads=crew.threads,
    )


def _settled(
    image: ImageSpec, blocks: Blocks, tiling: Tiling, recipe: Recipe, channels: tuple[int, ...], crew: Crew
) -> dict[str, object]:
    """What auto came to."""
    names, layouts = [product.name for product in recipe.products], [product.layout for product in recipe.products]
    return {
        "tile": [axis.tile for axis in tiling.axes],
        "halo": list(tiling.halo),
        "stride": [axis.step for axis in tiling.axes if isinstance(axis, Samples)] or None,
        "block": list(blocks.shape[recipe.lead :]),
        "batch": recipe.batch,
        "channels": list(channels),
        "level": image.level,
        "layout": recipe.layout,
        "output_layout": layouts[0] if len(layouts) == 1 else layouts,
        "output_name": names[0] if len(names) == 1 else names,
        "workers": max(crew.workers, 1),
        "threads": crew.threads,
        "memory": crew.memory,
    }
