"""What will be written where: shard = block, chunk = core, placed where the image is; an array for each output."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tilewise.geometry import Samples
from tilewise.sink import OutputSpec
from tilewise.store import absolute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilewise.block import Product
    from tilewise.plans import Plan

RESERVED = {"tilewise", "zarr.json", "labels"}
"""Names below an output that mean something else."""

LONGEST = 100
"""Letters of a folder's name, so that no file system refuses it."""


def place_outputs(made: Plan, out: str) -> tuple[OutputSpec, ...]:
    """The outputs of a plan at a path: one at ``OUT/0``, several at ``OUT/<name>/0``."""
    products = made.recipe.products
    return tuple(_place(made, product, out) for product in products)


def name_folders(names: Sequence[str]) -> list[str | None]:
    """For each name of several one that is safe as a folder's, also where letter case does not count; none twice."""
    if len(names) == 1:
        return [None]
    made: list[str] = []
    taken = set(RESERVED)
    for name in names:
        base = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "output"
        base = base[:LONGEST]
        base = f"_{base}" if base.isdigit() else base
        unique, number = base, 2
        while unique.lower() in taken:
            unique, number = f"{base}-{number}", number + 1
        taken.add(unique.lower())
        made.append(unique)
    return list(made)


def _place(made: Plan, product: Product, out: str) -> OutputSpec:
    image, axes = made.image, made.output_axes
    scale = dict(zip(image.axes, image.scale, strict=True))
    origin = dict(zip(image.axes, image.translation, strict=True))
    units = dict(zip(image.axes, image.units, strict=True))
    for letter, axis in zip(made.spatial, product.grid.axes[made.lead :], strict=True):
        origin[letter] = origin[letter] + float(axis.origin) * scale[letter]
        scale[letter] = scale[letter] / float(axis.scale)
    shard = replace(made.blocks, grid=product.grid).placed_shape
    # a core of one pixel is no chunk
    core = tuple(
        n if isinstance(axis, Samples) else axis.scaled(axis.step)
        for n, axis in zip(shard, product.grid.axes, strict=True)
    )
    return OutputSpec(
        path=absolute(out),
        name=product.folder,
        axes=axes,
        shape=made.placed_shape(product.grid.placed_shape, product.channels),
        dtype=product.dtype,
        chunk=made.placed_shape(core, product.channels),
        shard=made.placed_shape(shard, product.channels),
        scale=tuple(scale.get(a, 1.0) for a in axes),
        translation=tuple(origin.get(a, 0.0) if a != "c" else 0.0 for a in axes),
        units=tuple(units.get(a) if a != "c" else None for a in axes),
        image_name=image.name,
        names=name_classes(made.class_names, product.channels, labels=made.recipe.results.output == "labels"),
    )


def name_classes(classes: Sequence[str], channels: int, *, labels: bool) -> tuple[str, ...]:
    """What an output's channels, or labels from 0 on, are called; nothing if the model does not name each of them.

    A model of one channel tells one class from the background, which may be named or not.
    """
    if channels > 1 or not classes:
        return tuple(classes) if len(classes) == channels else ()
    pair = ("background", *classes)[-2:] if len(classes) <= 2 else ()
    return pair if labels else pair[1:]
