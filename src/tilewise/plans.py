"""The plan: everything decided before a pixel is read; a frozen value that can be printed, stored and sent."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tilewise.memory import Memory, show_bytes
from tilewise.postprocess import has_channels
from tilewise.pyramid import Pyramid, choose_steps
from tilewise.sharding import decoded_pixels

if TYPE_CHECKING:
    from tilewise.block import Product, Recipe
    from tilewise.crew import Crew
    from tilewise.geometry import Blocks, Grid, Span
    from tilewise.mask import TileMask
    from tilewise.model import ModelSpec
    from tilewise.openers.spec import ImageSpec
    from tilewise.origins import Setting
    from tilewise.settings import Asked, Behaviour, Machine
    from tilewise.sink import OutputSpec


@dataclass(frozen=True)
class Plan:
    """What will be read, computed and written."""

    image: ImageSpec
    """What is read."""
    model: ModelSpec
    """What is run."""
    outputs: tuple[OutputSpec, ...]
    """What is written, one for each product of the recipe; none for the lazy face or where no output is named."""
    spatial: str
    """Axes that the model sees: yx or zyx."""
    channels: tuple[int, ...]
    """Channels of the image, in the order in which the model takes them."""
    blocks: Blocks
    """The cut: the axes that the model does not see first."""
    halo: tuple[int, ...]
    """Context per axis that the model sees."""
    verdict: str
    """exact, exact to rounding, bounded, dependent or unproven."""
    reason: str
    """Why."""
    freed: bool
    """True if the model runs at a size other than its declared one."""
    recipe: Recipe
    """How each block is computed."""
    memory: Memory
    """The bound for a worker."""
    crew: Crew
    """Workers, and what each may use."""
    asked: Asked
    """What the user asked for."""
    settings: tuple[Setting, ...]
    """Every value and where it came from."""
    notes: tuple[str, ...]
    """What a user should know before it runs."""
    mask: TileMask | None = None
    """Which tiles are computed; None where all are."""
    class_names: tuple[str, ...] = ()
    """What the channels of the output stand for, if the model says it."""

    @property
    def grid(self) -> Grid:
        """The cut into cores."""
        return self.blocks.grid

    @property
    def lead(self) -> int:
        """How many axes the model does not see."""
        return len(self.grid.axes) - len(self.spatial)

    @property
    def tile(self) -> tuple[int, ...]:
        """What the model sees in one go."""
        return self.grid.tile[self.lead :]

    @property
    def redundancy(self) -> float:
        """Pixels that the model computes per pixel of the image; neighbouring planes are no more than channels."""
        return replace(self.grid, axes=self.grid.axes[self.lead :]).redundancy

    @property
    def behaviour(self) -> Behaviour:
        """What to do about oddities."""
        return self.asked.behaviour

    @property
    def machine(self) -> Machine:
        """Where it was asked to run."""
        return self.asked.machine

    @property
    def image_pixels(self) -> int:
        """Pixels of the image, channels not counted."""
        return math.prod(self.grid.shape)

    def span(self, number: int) -> Span:
        """The cores of a block, and which of them are computed."""
        span = self.blocks.span(self.blocks.index(number))
        return span if self.mask is None else replace(span, kept=self.mask.select(span.ranges))

    @cached_property
    def tiles_skipped(self) -> int:
        """Tiles that the mask leaves out."""
        return 0 if self.mask is None else self.mask.skipped(self.grid.counts)

    @cached_property
    def blocks_skipped(self) -> int:
        """Blocks that have no other tiles."""
        return 0 if self.mask is None else self.mask.find_idle(self.blocks).total

    @property
    def canonical_axes(self) -> str:
        """Axes of a block's result: those that the model does not see, channels, space."""
        channel = "c" if has_channels(self.recipe.results) else ""
        return lead_axes(self.image.axes, self.spatial) + channel + self.spatial

    @property
    def output_axes(self) -> str:
        """Axes of the output, in OME-Zarr's order."""
        return "".join(a for a in "tczyx" if a in self.canonical_axes)

    def ordered(self, result: np.ndarray) -> np.ndarray:
        """A block's result in the output's order of axes."""
        return result.transpose([self.canonical_axes.index(a) for a in self.output_axes])

    def placed_shape(self, placed: tuple[int, ...], channels: int) -> tuple[int, ...]:
        """Lengths over lead axes and space, with the channels put in, in the output's order."""
        names = self.canonical_axes.replace("c", "")
        lengths = dict(zip(names, placed, strict=True))
        lengths["c"] = channels
        return tuple(lengths[a] for a in self.output_axes)

    def placed_start(self, product: Product, span: Span) -> tuple[int, ...]:
        """First index of a block in the output of a product."""
        return self.placed_shape(replace(span, grid=product.grid).placed.start, 0)

    @cached_property
    def image_bytes(self) -> int:
        """The chosen channels of the chosen level, decoded."""
        return math.prod(self.grid.shape) * len(self.channels) * np.dtype(self.image.dtype).itemsize

    @cached_property
    def read_amplification(self) -> float:
        """Bytes decoded per byte of the image: halos, and blocks that cut through chunks."""
        order = [self.image.axes.index(a) for a in lead_axes(self.image.axes, self.spatial) + self.spatial]
        chunks, phase = (tuple(numbers[k] for k in order) for numbers in (self.image.chunks, self.image.phase))
        return self.image.density * decoded_pixels(self.blocks, chunks, phase) / math.prod(self.grid.shape)

    @cached_property
    def bytes_written(self) -> int:
        """All results, before compression."""
        return sum(self.bytes_of(product) for product in self.recipe.products)

    def bytes_of(self, product: Product) -> int:
        """One of the results with its coarser levels, before compression."""
        return self.pyramid_of(product).pixels * np.dtype(product.dtype).itemsize

    def pyramid_of(self, product: Product) -> Pyramid:
        """The levels of a result."""
        shard = self.placed_shape(replace(self.blocks, grid=product.grid).placed_shape, product.channels)
        sizes = dict(zip(self.image.axes, self.image.scale, strict=True))
        for letter, axis in zip(self.spatial, product.grid.axes[self.lead :], strict=True):
            sizes[letter] /= float(axis.scale)
        asked, shape = self.recipe.results, self.shape_of(product)
        # labels have as many levels as the image that they lie in
        levels = self.image.levels if asked.labels_into and asked.levels == "auto" else asked.levels
        scale, space = zip(*((sizes.get(a, 1.0), a in self.spatial) for a in self.output_axes), strict=True)
        return Pyramid(shape, shard, choose_steps(shape, scale, space=space, levels=levels))

    def to_json(self) -> dict[str, Any]:
        """What ``tilewise plan --json`` prints; lists are in spatial order (z, y, x)."""
        return {
            "tile": list(self.tile),
            "halo": list(self.halo),
            "multiple": list(self.model.multiple),
            "tiles": self.grid.tiles,
            "blocks": self.blocks.total,
            "tiles_skipped": self.tiles_skipped,
            "blocks_skipped": self.blocks_skipped,
            "block": list(self.blocks.shape[self.lead :]),
            "levels": [self.pyramid_of(product).levels for product in self.recipe.products],
            "redundancy": round(self.redundancy, 4),
            "bytes_read": int(self.read_amplification * self.image_bytes),
            "bytes_written": self.bytes_written,
            "outputs": [self._told(product) for product in self.recipe.products],
            "read_amplification": round(self.read_amplification, 4),
            "memory_per_worker": self.memory.total,
            "verdict": self.verdict,
            "reason": self.reason,
            "settings": {s.name: {"value": s.value, "from": s.origin} for s in self.settings},
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        def sizes(values: tuple[int, ...]) -> str:
            return " x ".join(map(str, values))

        image = f"{sizes(self.image.shape)} {self.image.axes} {self.image.dtype}, {show_bytes(self.image_bytes)}"
        shards = sizes(self.blocks.shape[self.lead :])
        lines = [
            f"image    {self.image.name}: {image}",
            f"model    {self.model.name}: {self.model.layout} -> {self.model.output_layout}",
            f"tile     {sizes(self.tile)}, halo {sizes(self.halo)}, multiple {sizes(self.model.multiple)}",
            f"tiles    {self.grid.tiles:,} in {self.blocks.total:,} blocks of {shards}",
            f"compute  {self.redundancy:.3f} pixels per pixel kept",
            f"read     {show_bytes(self.read_amplification * self.image_bytes)}, {self.read_amplification:.3f} x image",
            f"write    {show_bytes(self.bytes_written)} before compression, {self._types()}",
            f"memory   {show_bytes(self.memory.total)} a worker at most",
            f"verdict  {self.verdict}: {self.reason}",
        ]
        if self.mask is not None:
            skipped = f"{self.tiles_skipped:,} tiles and {self.blocks_skipped:,} whole blocks are skipped"
            lines.insert(3, f"mask     {skipped}: {self.mask.how}")
        if len(self.recipe.products) > 1:
            lines += [f"output   {p.name}: {sizes(self.shape_of(p))} {p.dtype}" for p in self.recipe.products]
        lines += [f"note     {note}" for note in self.notes]
        return "\n".join(lines)

    def shape_of(self, product: Product) -> tuple[int, ...]:
        """Shape of a result, in the output's order of axes."""
        return self.placed_shape(product.grid.placed_shape, product.channels)

    def _types(self) -> str:
        told = [(p.dtype, self.pyramid_of(p).levels) for p in self.recipe.products]
        return ", ".join(dict.fromkeys(f"{name} in {n} levels" if n > 1 else name for name, n in told))

    def _told(self, product: Product) -> dict[str, Any]:
        return {
            "name": product.name,
            "path": f"{product.folder}/0" if product.folder else "0",
            "axes": self.output_axes,
            "shape": list(self.shape_of(product)),
            "dtype": product.dtype,
            "bytes": self.bytes_of(product),
        }


def lead_axes(axes: str, spatial: str) -> str:
    """Axes of an image that a model does not see, in the order of a block's pixels."""
    return "".join(a for a in "tz" if a in axes and a not in spatial)
