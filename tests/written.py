"""Images that other libraries write, and the pixels that they find in them: a row each, for a test and for a table."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parents[2] / "shared" / "data" / "images"
"""Real images; their rows are left out where it is missing."""

FOREIGN = "TILEWISE_WRITERS"
"""Names an interpreter that has ome-zarr and ngff-zarr, if this one has not."""

LENGTHS = {"t": 3, "c": 2, "z": 5, "y": 37, "x": 51}
"""Odd, so that chunks have odd ends."""


@dataclass(frozen=True)
class Row:
    """An image that was written."""

    writer: str
    """The library."""
    name: str
    """What is special about it."""
    path: str
    """Where it lies."""
    pixels: np.ndarray = field(repr=False)
    """What the library that wrote it finds in it, in the order of the axes."""
    axes: str
    """What they are found to be."""
    option: str | None = None
    """What has to be said with --axes."""
    level: int = 0
    """Which level."""


def paint(axes: str, dtype: str, seed: int = 0) -> np.ndarray:
    """Pixels of a seed, over the whole range of their type."""
    rng, kind = np.random.default_rng(seed), np.dtype(dtype)
    shape = [LENGTHS.get(a, 3) for a in axes]
    if kind.kind == "f":
        return rng.standard_normal(shape).astype(kind)
    if kind.kind == "b":
        return rng.integers(0, 2, shape).astype(kind)
    info = np.iinfo(kind)
    return rng.integers(info.min, info.max, shape, dtype=kind.newbyteorder("="), endpoint=True).astype(kind)


def write_zarr(folder: Path) -> list[Row]:
    """Plain arrays by zarr itself: every order of axes, types, byte orders, codecs, shards, Fortran order."""
    import zarr

    rows: list[Row] = []

    def put(name: str, axes: str, dtype: str, **options: Any) -> None:
        pixels = paint(axes, dtype)
        path = folder / f"{len(rows)}.zarr"
        settings = {"chunks": tuple(min(16, n) for n in pixels.shape), **options}
        array = zarr.create_array(str(path), shape=pixels.shape, dtype=pixels.dtype, **settings)
        array[...] = pixels
        rows.append(Row("zarr", name, str(path), zarr.open_array(str(path), mode="r")[...], axes, axes))

    orders = [o for n in range(4) for extra in itertools.combinations("tcz", n) for o in _orders(f"{''.join(extra)}yx")]
    for axes in orders:
        put(f"axes {axes}", axes, "uint8")
    for dtype in ("bool", "int8", "uint16", ">u2", "int32", "uint64", "float16", ">f4", "float64", ">f8"):
        for version in (2, 3):
            put(f"{dtype}, zarr {version}", "yx", dtype, zarr_format=version)
    for version, order in itertools.product((2, 3), "CF"):
        options = {"order": order} if version == 2 else {"filters": [zarr.codecs.TransposeCodec(order=(1, 0))]}
        put(f"order {order}, zarr {version}", "yx", "uint16", zarr_format=version, **options)
    codecs: dict[str, Any] = {"none": None, "gzip": zarr.codecs.GzipCodec(), "blosc": zarr.codecs.BloscCodec()}
    codecs |= {"zstd": zarr.codecs.ZstdCodec(), "crc32c": [zarr.codecs.Crc32cCodec()]}
    for (name, codec), shards in itertools.product(codecs.items(), (None, (32, 48))):
        put(f"{name}{', shards' if shards else ''}", "yx", "int16", compressors=codec, shards=shards)
    from numcodecs import BZ2, LZ4, Blosc, GZip, Zlib

    for old in (None, LZ4(), BZ2(), Zlib(), GZip(), Blosc(cname="lz4"), Blosc(cname="zstd", shuffle=2)):
        put(f"{old}, zarr 2", "yx", "int16", zarr_format=2, compressors=old)
    return rows


def _orders(axes: str) -> list[str]:
    """Every order of few axes; of five, those in which the usual one is turned or mirrored."""
    if len(axes) < 5:
        return ["".join(order) for order in itertools.permutations(axes)]
    return [axes[k:] + axes[:k] for k in range(5)] + [axes[::-1], "tzcyx", "xyzct", "ctzyx", "zyxct", "tzyxc"]


def write_ome(folder: Path) -> list[Row]:
    """OME-Zarr's metadata around arrays by zarr, with what the other libraries do not write."""
    import zarr

    rows: list[Row] = []
    for version, axes in itertools.product(("0.1", "0.2", "0.3", "0.4", "0.5"), ("tczyx", "zyx", "yx")):
        if version < "0.3" and axes != "tczyx":
            continue
        path, form = folder / f"{axes}-{version}.zarr", 3 if version == "0.5" else 2
        group = zarr.open_group(str(path), mode="w", zarr_format=form)
        datasets = []
        for level in range(2):
            pixels = paint(axes, "uint16")[..., :: 2**level, :: 2**level]
            array = group.create_array(f"s{level}", shape=pixels.shape, dtype=pixels.dtype, chunks=pixels.shape)
            array[...] = pixels
            scale = [float(2**level) if a in "yx" else 1.0 for a in axes]
            datasets.append({"path": f"s{level}", "coordinateTransformations": [{"type": "scale", "scale": scale}]})
            if version < "0.4":
                del datasets[-1]["coordinateTransformations"]
            rows.append(Row("zarr", f"OME-Zarr {version} {axes}", str(path), pixels, axes, level=level))
        entry: dict[str, Any] = {"version": version, "datasets": datasets}
        kinds = {"t": "time", "c": "channel"}
        entry |= {"axes": list(axes)} if version == "0.3" else {}
        entry |= {"axes": [{"name": a, "type": kinds.get(a, "space")} for a in axes]} if version > "0.3" else {}
        found = {"multiscales": [entry]}
        group.attrs.update({"ome": {"version": "0.5", **found}} if form == 3 else found)
    return rows


def write_tiff(folder: Path) -> list[Row]:
    """By tifffile: OME, ImageJ and plain, in every order of axes that they have."""
    import tifffile

    rows: list[Row] = []

    def put(name: str, file: str, axes: str, dtype: str, **options: Any) -> None:
        path, pixels = folder / f"{len(rows)}-{file}", paint(axes.replace("yxc", "yxs"), dtype)
        tifffile.imwrite(path, pixels, **options)
        rows.append(Row("tifffile", name, str(path), tifffile.imread(path), axes))

    for n in range(4):
        for leading in itertools.permutations("TCZ", n):
            axes = "".join(leading) + "YX"
            about = {"photometric": "minisblack", "metadata": {"axes": axes}}
            put(f"OME {axes}", "a.ome.tif", axes.lower(), "uint16", **about)
            put(f"OME {axes} tiles", "a.ome.tif", axes.lower(), "uint16", tile=(16, 16), compression="zlib", **about)
    for axes in ("YX", "ZYX", "CYX", "TZCYX"):
        put(f"ImageJ {axes}", "a.tif", axes.lower(), "uint16", imagej=True, metadata={"axes": axes})
    for codec in ("none", "lzw", "packbits", "zlib", "zstd", "lzma", "jpeg2000", "jpegxl", "lerc"):
        put(codec, "a.tif", "yx", "uint8", compression=codec, rowsperstrip=16)
    for dtype, order in itertools.product(("int8", "uint16", "float32", "float64", "int64", "bool"), "<>"):
        put(f"{dtype} {order}", "a.tif", "yx", dtype, byteorder=order)
    for codec in ("none", "jpeg", "zlib", "webp"):
        put(f"colours, {codec}", "a.tif", "yxc", "uint8", photometric="rgb", compression=codec)
    return rows


def write_volumes(folder: Path) -> list[Row]:
    """By nibabel, h5py and NumPy."""
    import h5py
    import nibabel

    rows: list[Row] = []
    for dtype, ending in itertools.product(("uint8", "int16", "float32", "float64"), ("nii", "nii.gz")):
        path = folder / f"{dtype}.{ending}"
        nibabel.save(nibabel.Nifti1Image(paint("xyz", dtype), np.eye(4)), path)
        found = np.asanyarray(nibabel.load(path).dataobj).T
        rows.append(Row("nibabel", f"{dtype} {ending}", str(path), found, "zyx"))
    for dtype, options in itertools.product(("int8", ">u2", "float64"), ({}, {"chunks": True, "compression": "gzip"})):
        path = folder / f"{dtype}-{len(options)}.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("raw", data=paint("zyx", dtype), **options)
        with h5py.File(path) as file:
            rows.append(Row("h5py", f"{dtype} {'gzip' if options else ''}", str(path), file["raw"][...], "zyx"))
    for dtype, order in itertools.product(("bool", "int8", ">u2", "float64"), "CF"):
        path = folder / f"{dtype}-{order}.npy"
        np.save(path, np.asarray(paint("yx", dtype), order=order))
        # in Fortran order the axes are told the other way round, as they lie in the file
        found, axes = (np.load(path), "yx") if order == "C" else (np.load(path).T, "xy")
        rows.append(Row("NumPy", f"{dtype} {order}", str(path), found, axes, "yx"))
    return rows


def find_real() -> list[Row]:
    """Every image of the shared folder, read by the library of its format."""
    if not DATA.is_dir():
        return []
    import nibabel
    import tifffile
    import zarr

    rows: list[Row] = []
    for path in sorted(DATA.iterdir()):
        if path.suffix in {".tif", ".svs"}:
            with tifffile.TiffFile(path) as found:
                axes = found.series[0].axes.lower().replace("s", "c").replace("q", "z")
                rows.append(Row("tifffile", path.name, str(path), found.series[0].asarray(), axes))
        elif path.name.endswith(".nii.gz"):
            rows.append(Row("nibabel", path.name, str(path), np.asanyarray(nibabel.load(path).dataobj).T, "zyx"))
    for path in sorted((DATA / "ome-zarr").iterdir()):
        attributes = dict(zarr.open_group(str(path), mode="r").attrs)
        entry = attributes.get("ome", attributes)["multiscales"][0]
        axes = "".join(axis["name"] for axis in entry["axes"])
        for level, dataset in enumerate(entry["datasets"]):
            pixels = zarr.open_array(str(path / dataset["path"]), mode="r")[...]
            rows.append(Row("zarr", path.name, str(path), pixels, axes, level=level))
    return rows


def write_foreign(library: str, folder: Path) -> list[Row] | None:
    """By ome-zarr or ngff-zarr, in another process; None if there is no interpreter that has it."""
    python = os.environ.get(FOREIGN, sys.executable)
    if subprocess.run([python, "-c", f"import {library}"], check=False, capture_output=True).returncode:
        return None
    script = Path(__file__).with_name("foreign.py")
    done = subprocess.run([python, script, library, folder], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return [
        Row(library, e["name"], str(folder / e["path"]), np.load(folder / e["pixels"]), e["axes"], level=e["level"])
        for e in json.loads((folder / "list.json").read_text())
    ]


WRITERS = {
    "zarr": write_zarr,
    "OME-Zarr": write_ome,
    "TIFF": write_tiff,
    "NIfTI, HDF5, NumPy": write_volumes,
    "real images": lambda folder: find_real(),
    "ome-zarr-py": lambda folder: write_foreign("ome_zarr", folder),
    "ngff-zarr": lambda folder: write_foreign("ngff_zarr", folder),
}
"""What gives rows, by its title."""


def compare(row: Row) -> str | None:
    """What differs between what was written and what tilewise reads; None if nothing does."""
    from tilewise.geometry import Box
    from tilewise.source import Source, open_image

    spec = open_image(row.path, axes=row.option, level=row.level)
    if (spec.axes, spec.shape) != (row.axes, row.pixels.shape):
        return f"axes {spec.axes} of {spec.shape}, not {row.axes} of {row.pixels.shape}"
    if spec.dtype != row.pixels.dtype.newbyteorder("=").name:
        return f"type {spec.dtype}, not {row.pixels.dtype}"
    source = Source(spec, "yx")
    lead = len(source.lead)
    shape = source.shape
    order = [spec.axes.index(a) for a in source.lead + "c" + "yx" if a in spec.axes]
    whole = row.pixels.transpose(order)
    whole = whole if "c" in spec.axes else np.expand_dims(whole, lead)
    corner = Box(tuple(n // 3 for n in shape), tuple(n - n // 4 for n in shape))
    for box in (Box((0,) * len(shape), shape), corner):
        channels = tuple(range(box.start[lead], box.stop[lead]))
        ends = (Box(box.start[:lead], box.stop[:lead]), Box(box.start[lead + 1 :], box.stop[lead + 1 :]))
        if not np.array_equal(source.read(ends[0], channels, ends[1], missing="fill"), whole[box.slices]):
            return f"other pixels from {box.start} to {box.stop}"
    return None
