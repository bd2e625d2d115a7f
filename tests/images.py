"""Images for tests: zarr arrays and OME-Zarr groups of any shape, from a seed or from given pixels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def make_pixels(shape: Sequence[int], dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    """Noise over the whole range of an integer type, or a normal distribution of floats."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return rng.integers(0, 2, shape).astype(kind)
    if kind.kind in "iu":
        info = np.iinfo(kind)
        return rng.integers(info.min, info.max, shape, dtype=kind.newbyteorder("="), endpoint=True).astype(kind)
    return rng.standard_normal(shape).astype(kind)


def write_array(
    path: Path,
    pixels: np.ndarray,
    *,
    chunks: Sequence[int] | None = None,
    shards: Sequence[int] | None = None,
    zarr_format: int = 3,
    dimension_names: Sequence[str] | None = None,
    **options: Any,
) -> Path:
    """A plain zarr array; chunks of at most 64 a side if none are given. Fill chunks are stored too."""
    array = zarr.create_array(
        store=str(path),
        shape=pixels.shape,
        dtype=pixels.dtype,
        chunks=tuple(chunks or (min(n, 64) for n in pixels.shape)),
        shards=None if shards is None else tuple(shards),
        zarr_format=zarr_format,
        dimension_names=dimension_names,
        config={"write_empty_chunks": True},
        **options,
    )
    array[...] = pixels
    return path


def write_image(
    path: Path,
    pixels: np.ndarray,
    axes: str,
    *,
    version: str = "0.5",
    levels: int = 1,
    chunks: Sequence[int] | None = None,
    shards: Sequence[int] | None = None,
    scale: Sequence[float] | None = None,
    translation: Sequence[float] | None = None,
    units: Sequence[str | None] | None = None,
    channels: Sequence[str] = (),
    name: str = "image",
) -> Path:
    """An OME-Zarr image; coarser levels take every second pixel of y and x."""
    zarr_format = 3 if version == "0.5" else 2
    datasets = []
    for level in range(levels):
        step = 2**level
        cut = tuple(slice(None, None, step if axis in "yx" else None) for axis in axes)
        part = pixels[cut]
        fitted = None if chunks is None else [min(a, b) for a, b in zip(chunks, part.shape, strict=True)]
        names = list(axes) if zarr_format == 3 else None
        write_array(
            path / str(level), part, chunks=fitted, shards=shards, zarr_format=zarr_format, dimension_names=names
        )
        sizes = [float(s) * (step if a in "yx" else 1) for a, s in zip(axes, scale or [1.0] * len(axes), strict=True)]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": sizes}]
        if translation is not None:
            transforms.append({"type": "translation", "translation": list(translation)})
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    entries = [
        {"name": axis, "type": TYPES[axis], **({"unit": unit} if unit else {})}
        for axis, unit in zip(axes, units or [None] * len(axes), strict=True)
    ]
    ome: dict[str, Any] = {"multiscales": [{"axes": entries, "datasets": datasets, "name": name}]}
    if channels:
        ome["omero"] = {"channels": [{"label": label} for label in channels]}
    write_group(
        path, {"ome": {"version": "0.5", **ome}} if zarr_format == 3 else with_version(ome, version), zarr_format
    )
    return path


def with_version(ome: dict[str, Any], version: str) -> dict[str, Any]:
    ome["multiscales"][0]["version"] = version
    return ome


def write_group(path: Path, attributes: dict[str, Any], zarr_format: int = 3) -> Path:
    """A group's metadata files, written by hand so that broken ones can be made too."""
    path.mkdir(parents=True, exist_ok=True)
    if zarr_format == 3:
        content = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        (path / "zarr.json").write_text(json.dumps(content))
    else:
        (path / ".zgroup").write_text('{"zarr_format": 2}')
        (path / ".zattrs").write_text(json.dumps(attributes))
    return path
