"""What will be written, and where: shard = block, chunk = core, placed where the image is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tilewise.sink import OutputSpec

if TYPE_CHECKING:
    from tilewise.plans import Plan


def place_output(made: Plan, out: str) -> OutputSpec:
    """The output of a plan at a path."""
    image, axes = made.image, made.output_axes
    scale = dict(zip(image.axes, image.scale, strict=True))
    origin = dict(zip(image.axes, image.translation, strict=True))
    units = dict(zip(image.axes, image.units, strict=True))
    for letter, q in zip(made.spatial, made.model.scale, strict=True):
        # the first output pixel's centre lies between the input pixels that it stands for
        origin[letter] = origin[letter] + (1 / float(q) - 1) / 2 * scale[letter]
        scale[letter] = scale[letter] / float(q)
    core = tuple(axis.scaled(axis.step) for axis in made.grid.axes)
    return OutputSpec(
        path=os.path.abspath(out),  # noqa: PTH100  workers may stand elsewhere; resolve() would follow a link
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
