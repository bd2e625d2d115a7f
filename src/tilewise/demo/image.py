"""Write the field as an OME-Zarr image, block by block; what is already there stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewise import sink
from tilewise.demo.field import PIXEL, Field
from tilewise.demo.pace import each
from tilewise.geometry import Box
from tilewise.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from tilewise.events import Observer

CHUNK = 512
"""Side of the image's chunks."""
SHARD = 2048
"""Side of the image's shards, each made and written at once."""


def write_image(path: Path, field: Field, size: int, *, observers: tuple[Observer, ...] = ()) -> None:
    """Make the image, or what of it is missing.

    Raises:
        OutputError: the place is taken by something else, or by a field of another seed or size.
    """
    spec = _describe(path, size)
    sink.create(spec, {"demo": {"seed": field.seed, "size": size}})

    def make(box: Box) -> None:
        sink.write(spec, box.start, field.pixels(box))

    there = open_store(spec.array)
    starts = [(y, x) for y in range(0, size, SHARD) for x in range(0, size, SHARD)]
    # a shard appears in one step and is never empty, for there is noise everywhere: the file is a sign of done
    missing = [start for start in starts if not there.holds(f"c/{start[0] // SHARD}/{start[1] // SHARD}")]
    boxes = [Box(start, tuple(n + SHARD for n in start)).clip((size, size)) for start in missing]
    each(make, boxes, phase="image", done=len(starts) - len(missing), pixels=SHARD**2, observers=observers)


def _describe(path: Path, size: int) -> sink.OutputSpec:
    return sink.OutputSpec(
        path=str(path),
        axes="yx",
        shape=(size, size),
        dtype="uint8",
        chunk=(CHUNK, CHUNK),
        shard=(SHARD, SHARD),
        scale=(PIXEL, PIXEL),
        translation=(0.0, 0.0),
        units=("micrometer", "micrometer"),
        image_name="generated tissue",
    )
