"""What will be written where: shard = block, chunk = core, placed where the image is; an array for each output."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tilewise.errors import ImageError, SettingError
from tilewise.geometry import Samples
from tilewise.postprocess import score_range
from tilewise.sink import OutputSpec
from tilewise.store import absolute, join

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tilewise.block import Product
    from tilewise.geometry import Index
    from tilewise.ngff import Version
    from tilewise.openers.spec import ImageSpec
    from tilewise.plans import Plan
    from tilewise.pyramid import Method
    from tilewise.settings import Results

SIDES = {2: 512, 3: 128}
"""Pixels a side that a chunk of zarr 2 stays below, if a core does."""


def find_place(image: ImageSpec, out: str | Path | None, results: Results) -> str | None:
    """Where the result goes: the output that is named, or the image's own place for labels.

    Raises:
        SettingError: labels for the image, and an output beside it.
        ImageError: the image has no place for labels.
    """
    if not results.labels_into:
        return None if out is None else str(out)
    if out is not None:
        raise SettingError(f"--labels-into beside the output {out}", "one of the two", "Leave one of them out.")
    found = image.base
    if found.opener != "zarr" or not found.array_path:
        raise ImageError(
            f"--labels-into {found.path}, which is no OME-Zarr image",
            "an OME-Zarr image, which has a place for labels",
            "Name an OUT, or point at the image's group.",
        )
    return join(join(found.path, "labels"), str(results.name))


def place_outputs(made: Plan, out: str) -> tuple[OutputSpec, ...]:
    """The outputs of a plan at a path: one at ``OUT/0``, several at ``OUT/<name>/0``."""
    products = made.recipe.products
    if made.recipe.results.labels_into and len(products) > 1:
        raise SettingError(
            f"--labels-into for a model of outputs {', '.join(p.name for p in products)}",
            "one output",
            f"Choose one: --output-name {products[0].name}",
        )
    return tuple(_place(made, product, out) for product in products)


def _place(made: Plan, product: Product, out: str) -> OutputSpec:
    image, axes = made.image, made.output_axes
    scale = dict(zip(image.axes, image.scale, strict=True))
    origin = dict(zip(image.axes, image.translation, strict=True))
    units = dict(zip(image.axes, image.units, strict=True))
    for letter, axis in zip(made.spatial, product.grid.axes[made.lead :], strict=True):
        origin[letter] = origin[letter] + float(axis.origin) * scale[letter]
        scale[letter] = scale[letter] / float(axis.scale)
    pyramid, results, version = made.pyramid_of(product), made.recipe.results, choose_version(made)
    shard = replace(made.blocks, grid=product.grid).placed_shape
    # a core of one pixel is no chunk
    core = tuple(
        n if isinstance(axis, Samples) else axis.scaled(axis.step)
        for n, axis in zip(shard, product.grid.axes, strict=True)
    )
    chunk = made.placed_shape(core, product.channels)
    if version == "0.4":
        chunk = _gather(chunk, pyramid.shard, SIDES[len(made.spatial)])
    bounds = score_range(results) if results.output == "scores" else None
    kind = np.dtype(product.dtype).kind
    scaled = results.output == "scores" and kind == "u"
    method: Method = "mode" if results.output == "labels" or (kind in "biu" and not scaled) else "mean"
    return OutputSpec(
        path=absolute(out),
        name=product.folder,
        axes=axes,
        shape=pyramid.shape,
        dtype=product.dtype,
        chunk=chunk,
        shard=pyramid.shard,
        scale=tuple(scale.get(a, 1.0) for a in axes),
        translation=tuple(origin.get(a, 0.0) if a != "c" else 0.0 for a in axes),
        units=tuple(units.get(a) if a != "c" else None for a in axes),
        image_name=results.name or image.name,
        names=name_classes(made.class_names, product.channels, labels=made.recipe.results.output == "labels"),
        version=version,
        steps=pyramid.steps,
        method=method if results.downsample == "auto" else results.downsample,
        values=max(product.channels, 2) if results.output == "labels" else None,
        window=(0.0, 255.0) if scaled else bounds,
        real=bounds if scaled else None,
        source="../../" if results.labels_into else None,
    )


def choose_version(made: Plan) -> Version:
    """Version of OME-Zarr that is written: what was asked for, else that of an image that labels go into, else 0.5."""
    results, found = made.recipe.results, made.image.base
    own: Version = "0.4" if found.zarr_format == 2 else "0.5"
    if results.labels_into and results.ome_zarr not in {"auto", own}:
        raise SettingError(
            f"--ome-zarr {results.ome_zarr} for labels of an image of OME-Zarr {own}",
            "the image's own version",
            "Leave --ome-zarr out.",
        )
    if results.ome_zarr != "auto":
        return results.ome_zarr
    return own if results.labels_into else "0.5"


def _gather(core: Index, block: Index, side: int) -> Index:
    """A chunk of as many cores as divide a block and stay below a side: small cores would be very many files."""
    parts = (max(1, side // c) for c in core)
    return tuple(
        c * next(k for k in range(min(most, b // c), 0, -1) if b // c % k == 0)
        for c, b, most in zip(core, block, parts, strict=True)
    )


def name_classes(classes: Sequence[str], channels: int, *, labels: bool) -> tuple[str, ...]:
    """What an output's channels, or labels from 0 on, are called; nothing if the model does not name each of them.

    A model of one channel tells one class from the background, which may be named or not.
    """
    if channels > 1 or not classes:
        return tuple(classes) if len(classes) == channels else ()
    pair = ("background", *classes)[-2:] if len(classes) <= 2 else ()
    return pair if labels else pair[1:]
