"""Images of one resolution in one file: what all formats of that kind say of themselves in the same way."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from tilewise.errors import ImageError
from tilewise.openers.axes import check_level, check_pixels
from tilewise.openers.spec import ImageSpec

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np


def describe_array(
    file: Path,
    inside: str = "",
    *,
    opener: str,
    level: int,
    axes: str,
    shape: tuple[int, ...],
    dtype: np.dtype,
    chunks: tuple[int, ...],
    scale: tuple[float, ...] | None = None,
    units: tuple[str | None, ...] | None = None,
    codecs: tuple[str, ...] = (),
    held: int = 0,
    notes: tuple[str, ...] = (),
    layout: object = None,
) -> ImageSpec:
    """The spec of an array in a file.

    Args:
        file: the file.
        inside: place of the array within it.
        opener: the format's row in the table.
        level: the level asked for; refused if it is not the only one.
        axes: one letter an axis, in the file's order.
        shape: pixels per axis.
        dtype: of the pixels as they are given.
        chunks: the unit read, per axis.
        scale: size of a pixel per axis; 1 if nothing is known.
        units: unit per axis.
        codecs: names of the codecs.
        held: bytes that reading takes beside the pixels.
        notes: what a user should know.
        layout: whatever else fixes the pixels, as JSON takes it.
    """
    check_level(level, 1, file / inside)
    check_pixels(dtype, shape, file / inside)
    fixed = [inside, axes, shape, dtype.str, file.stat().st_size, layout]
    return ImageSpec(
        path=str(file),
        array_path=inside,
        axes=axes,
        shape=shape,
        dtype=dtype.newbyteorder("=").name,
        chunks=tuple(min(n, chunk) for n, chunk in zip(shape, chunks, strict=True)),
        shards=None,
        level=0,
        levels=1,
        scale=scale or (1.0,) * len(shape),
        translation=(0.0,) * len(shape),
        units=units or (None,) * len(shape),
        channel_names=(),
        name=inside.rsplit("/", maxsplit=1)[-1] or re.sub(r"(\.nii)?\.[^.]+$", "", file.name),
        zarr_format=0,
        codecs=codecs,
        fingerprint=digest(fixed),
        opener=opener,
        held=held,
        notes=notes,
    )


def digest(layout: object) -> str:
    """sha256 over what fixes the pixels of an image."""
    return hashlib.sha256(json.dumps(layout, default=str).encode()).hexdigest()


def require_same(now: ImageSpec, spec: ImageSpec) -> None:
    """Refuse a file that is no longer what a spec was made from."""
    if now.fingerprint != spec.fingerprint:
        raise ImageError(
            f"{spec.path} has changed since the run was planned",
            "an image that stays as it is while it is read",
            "Run again once it is complete.",
        )


def refuse_inside(file: Path, inside: str, kind: str) -> None:
    """Refuse a place within a file that has none."""
    if inside:
        raise ImageError(f"{inside} of {file}", f"no place within {kind}", f"Give {file}.")
