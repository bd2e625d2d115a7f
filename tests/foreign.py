"""Images written, and read back, by other people's libraries: run by an interpreter that has them.

    python tests/foreign.py ome_zarr FOLDER
    python tests/foreign.py ngff_zarr FOLDER

Writes images below FOLDER, the pixels that the library itself finds in each as ``N.npy``, and ``list.json``:
what was written, its path, axes, level and the file of pixels. Without a word, unless something fails.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

LENGTHS = {"t": 3, "c": 2, "z": 5, "y": 67, "x": 101}
"""Odd, so that levels and chunks have odd ends."""

AXES = ("yx", "zyx", "cyx", "tyx", "tcyx", "czyx", "tzyx", "tczyx")
"""What OME-Zarr allows since 0.4."""

DTYPES = ("uint8", "int8", "uint16", "float64")
"""One after the other over the rows."""

Row = tuple[str, str, str, int, Any]
"""Name, path below the folder, axes, level, pixels."""


def paint(axes: str, dtype: str) -> np.ndarray:
    """Pixels of a seed."""
    rng = np.random.default_rng(7)
    noise = rng.integers(0, 100, [LENGTHS[a] for a in axes])
    return noise.astype(dtype)


def write_with_ome_zarr(folder: Path) -> list[Row]:
    """Images in both versions, labels beside one, and a plate."""
    import zarr
    from ome_zarr.format import FormatV04, FormatV05
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader
    from ome_zarr.writer import write_image, write_labels, write_plate_metadata, write_well_metadata

    rows: list[Row] = []

    def note(name: str, path: Path, axes: str) -> None:
        node = next(iter(Reader(parse_url(str(path)))()))
        rows.extend((name, str(path.relative_to(folder)), axes, k, level) for k, level in enumerate(node.data))

    for version, form in (("0.4", FormatV04()), ("0.5", FormatV05())):
        for k, axes in enumerate(AXES):
            place = folder / f"{axes}-{version}.zarr"
            dtype = DTYPES[k % len(DTYPES)]
            group = zarr.open_group(str(place), mode="w", zarr_format=form.zarr_format)
            write_image(paint(axes, dtype), group, scale_factors=[2, 4], axes=axes, fmt=form)
            note(f"{version} {axes} {dtype}", place, axes)
            if axes == "zyx":
                write_labels(paint(axes, "uint16"), group, name="cells", scale_factors=[2], axes=axes, fmt=form)
                note(f"{version} labels", place / "labels" / "cells", axes)
        plate = folder / f"plate-{version}.zarr"
        group = zarr.open_group(str(plate), mode="w", zarr_format=form.zarr_format)
        write_plate_metadata(group, ["A", "B"], ["1", "2"], ["A/1", "B/2"], fmt=form)
        for well in ("A/1", "B/2"):
            inner = group.require_group(well)
            write_well_metadata(inner, ["0"], fmt=form)
            write_image(paint("yx", "uint8"), inner.require_group("0"), scale_factors=[2], axes="yx", fmt=form)
            note(f"{version} plate", plate / well / "0", "yx")
    return rows


def write_with_ngff_zarr(folder: Path) -> list[Row]:
    """Images in both versions, the newer ones in shards too."""
    import ngff_zarr

    rows: list[Row] = []
    for version, shards in (("0.4", None), ("0.5", None), ("0.5", 2)):
        for k, axes in enumerate(AXES):
            dtype = DTYPES[k % len(DTYPES)]
            place = folder / f"{axes}-{version}-{shards}.zarr"
            image = ngff_zarr.to_ngff_image(paint(axes, dtype), dims=list(axes), scale=dict.fromkeys(axes, 0.5))
            made = ngff_zarr.to_multiscales(image, scale_factors=[2], chunks=16)
            ngff_zarr.to_ngff_zarr(str(place), made, version=version, chunks_per_shard=shards)
            for level, found in enumerate(ngff_zarr.from_ngff_zarr(str(place), version=version).images):
                name = f"{version} {axes} {dtype}{' in shards' if shards else ''}"
                rows.append((name, str(place.relative_to(folder)), "".join(found.dims), level, found.data))
    return rows


def main(library: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write = {"ome_zarr": write_with_ome_zarr, "ngff_zarr": write_with_ngff_zarr}[library]
    entries = []
    for number, (name, path, axes, level, pixels) in enumerate(write(folder)):
        np.save(folder / f"{number}.npy", np.asarray(pixels))
        entries.append({"name": name, "path": path, "axes": axes, "level": level, "pixels": f"{number}.npy"})
    (folder / "list.json").write_text(json.dumps(entries))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
