"""What becomes of each output of a model: its type, its cut, and a folder of its own where there are several."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tilewise.block import Product
from tilewise.geometry import Axis, Grid
from tilewise.postprocess import output_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilewise.model import ModelSpec
    from tilewise.settings import Results
    from tilewise.spec import Port

RESERVED = {"tilewise", "zarr.json", "labels"}
"""Names below an output that mean something else."""

LONGEST = 100
"""Letters of a folder's name, so that no file system refuses it."""


def list_products(model: ModelSpec, grid: Grid, results: Results) -> tuple[Product, ...]:
    """All outputs of the model, each with a folder of its own if there are several."""
    folders = name_folders([port.name for port in model.written])
    return tuple(_product(port, folder, grid, results) for port, folder in zip(model.written, folders, strict=True))


def _product(port: Port, folder: str | None, grid: Grid, results: Results) -> Product:
    """One output of the model with the cut in its own pixels."""
    front = len(grid.axes) - len(port.scale)
    axes = tuple(
        replace(axis, scale=q) if isinstance(axis, Axis) else axis
        for axis, q in zip(grid.axes[front:], port.scale, strict=True)
    )
    dtype = output_dtype(results, port.out_channels, port.dtype).name
    return Product(port.name, folder, port.layout, port.out_channels, dtype, Grid(grid.axes[:front] + axes))


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
