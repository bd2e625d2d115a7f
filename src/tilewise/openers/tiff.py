"""TIFF in all that tifffile reads: OME-TIFF, ImageJ, SVS, NDPI, QPTIFF, SCN and others, with their pyramids."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path
from typing import Any

from tilewise.errors import ImageError
from tilewise.openers.axes import check_level, check_pixels, name_axes
from tilewise.openers.chain import open_whole
from tilewise.openers.files import File, read_head, refuse_broken
from tilewise.openers.plain import digest, require_same
from tilewise.openers.raw import ROW, RawPixels
from tilewise.openers.segments import KEPT, LARGE, Page, Segments
from tilewise.openers.spec import ImageSpec
from tilewise.openers.tags import Facts, read_facts

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF and BigTIFF, little- and big-endian."""


def recognize(path: str) -> bool:
    """True if the file is a TIFF."""
    return read_head(path, 4) in MAGIC


def inspect(path: str, *, axes: str | None, level: int) -> ImageSpec:
    """Find the series that is meant and all that is known of it, without reading a pixel.

    Args:
        path: a file, and behind it the number of a series if it is not the usual one: ``scan.tif/1``.
        axes: names of the axes, in the file's order, those of one pixel without a name left out.
        level: resolution level of the series.
    """
    with open_whole(path) as (file, inside, tif):
        return _describe(file, inside, tif, axes, level)[0]


def open_pixels(spec: ImageSpec) -> Segments | RawPixels:
    """Open the series that a spec describes, and make sure that it is still the same.

    Raises:
        ImageError: the file is no longer what the spec was made from.
    """
    with open_whole(f"{spec.path}/{spec.array_path}".rstrip("/")) as (file, inside, tif):
        now, found = _describe(file, inside, tif, spec.axes, spec.level)
        require_same(now, spec)
        if _is_raw(found):
            dtype = found.dtype.newbyteorder(tif.byteorder)
            return RawPixels(File(file), found.dataoffset, spec.shape, dtype)
        # decoders are made once; worker threads only call them
        _ = found.keyframe.decode
        return Segments(_list_pages(found), spec.shape, spec.chunks, found.keyframe.dtype, found.keyframe)


def _describe(file: Path, inside: str, tif: Any, option: str | None, level: int) -> tuple[ImageSpec, Any]:
    number = _choose_series(file, inside, tif.series)
    series = tif.series[number]
    check_level(level, len(series.levels), file)
    found = series.levels[level]
    check_pixels(found.dtype, tuple(found.shape), file)
    axes = name_axes(option, _known_axes(found.axes), len(found.shape), file)
    shape, chunk = tuple(int(n) for n in found.shape), _find_chunk(file, found)
    facts = read_facts(tif, series, number)
    steps = [_find_step(int(fine), n) for fine, n in zip(series.shape, shape, strict=True)]
    sizes = [facts.sizes.get(a, 1.0) for a in axes]
    scale = tuple(size * step if a in "zyx" else size for size, step, a in zip(sizes, steps, axes, strict=True))
    decoded = math.prod(chunk) * found.dtype.itemsize
    raw = _is_raw(found)
    spec = ImageSpec(
        path=str(file),
        array_path=inside,
        axes=axes,
        shape=shape,
        dtype=found.dtype.newbyteorder("=").name,
        chunks=chunk,
        shards=None,
        level=level,
        levels=len(series.levels),
        scale=scale,
        # coarser pixels lie on whole groups of finer ones
        translation=tuple((coarse - size) / 2 for coarse, size in zip(scale, sizes, strict=True)),
        units=tuple(facts.units.get(a) for a in axes),
        channel_names=_fit_names(facts, axes, shape),
        name=facts.name or re.sub(r"(\.ome)?\.[^.]+$", "", file.name),
        zarr_format=0,
        codecs=() if raw else (_name_codec(found.keyframe.compression),),
        fingerprint=_fingerprint(file, found, number, level),
        opener="tiff",
        held=0 if raw else 3 * decoded + (KEPT if LARGE <= decoded < KEPT else 0),
        notes=_note(file, inside, tif.series, number, 0 if raw else decoded),
    )
    return spec, found


def _find_step(fine: int, coarse: int) -> float:
    """How many pixels of the finest level one of a coarser level stands for: a whole number but for odd ends."""
    near = max(fine / coarse, 1.0)
    for step in (2 ** round(math.log2(near)), round(near)):
        if coarse in {fine // step, -(-fine // step)}:
            return step
    return near


def _choose_series(file: Path, inside: str, series: list[Any]) -> int:
    """The series of a number; else the one that is named baseline, the first of metadata's own, or the largest."""
    if inside:
        if not inside.isdigit() or int(inside) >= len(series):
            raise ImageError(
                f"{inside} of {file}",
                "the number of one of its series: " + ", ".join(_title(k, s) for k, s in enumerate(series[:8])),
                f"For example {file}/0",
            )
        return int(inside)
    if not series:
        raise refuse_broken(file, "it holds no image", "TIFF")
    if series[0].kind in {"ome", "imagej", "svs", "ndpi", "qpi", "shaped", "lsm"}:
        return 0
    return max(range(len(series)), key=lambda k: (math.prod(series[k].shape), -k))


def _title(number: int, series: Any) -> str:
    name = f" {series.name}" if series.name else ""
    return f"{number}{name} ({' x '.join(map(str, series.shape))})"


def _note(file: Path, inside: str, series: list[Any], number: int, decoded: int) -> tuple[str, ...]:
    notes = []
    if not inside and len(series) > 1 and series[0].kind != "svs":
        others = ", ".join(_title(k, s) for k, s in enumerate(series[:8]) if k != number)
        notes.append(f"{file.name} holds {len(series)} series: this is {number}; the others are {others}")
    if decoded > KEPT:
        notes.append(f"{file.name} is stored in strips of {decoded >> 20} MiB that can only be decoded whole")
    return tuple(notes)


def _known_axes(axes: str) -> str | None:
    """Names of tifffile in ours: samples of a pixel are channels, and a stack without a meaning is z."""
    letters = axes.lower().replace("s", "c") if "C" not in axes else axes.lower()
    unknown = [a for a in letters if a not in "tczyx"]
    if len(unknown) == 1 and "z" not in letters:
        letters = letters.replace(unknown[0], "z")
    return letters if set(letters) <= set("tczyx") and len(set(letters)) == len(letters) else None


def _is_raw(series: Any) -> bool:
    """True if all pixels lie one after the other, as they are."""
    return series.dataoffset is not None and not series.is_multifile


def _find_chunk(file: Path, series: Any) -> tuple[int, ...]:
    """Pixels per axis that are read together: a strip, a tile, or a part of a row."""
    shape, page = tuple(series.shape), series.keyframe
    if _is_raw(series):
        rows = series.axes.index("X")
        return tuple(1 if k < rows else min(n, ROW) for k, n in enumerate(shape))
    own = len(page.chunked)
    inner = (1,) * (own - len(page.chunks)) + tuple(page.chunks)
    if tuple(page.shape) != shape[len(shape) - own :]:
        raise ImageError(
            f"{file} with pages of {page.shape} for an image of {shape}",
            "pages that are whole planes",
            "Convert it to OME-Zarr.",
        )
    return (1,) * (len(shape) - own) + tuple(int(n) for n in inner)


def _list_pages(series: Any) -> tuple[Page | None, ...]:
    files: dict[str, File] = {}
    pages: list[Page | None] = []
    for page in series.pages:
        if page is None:
            pages.append(None)
            continue
        path = page.parent.filehandle.path
        if path not in files:
            files[path] = File(Path(path))
        pages.append(Page(files[path], tuple(page.dataoffsets), tuple(page.databytecounts), page.jpegtables))
    return tuple(pages)


def _name_codec(compression: int) -> str:
    # only those that tifffile has heard of have a name
    return str(getattr(compression, "name", compression)).lower()


def _fit_names(facts: Facts, axes: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    channels = shape[axes.index("c")] if "c" in axes else 1
    return facts.channels if len(facts.channels) == channels else ()


def _fingerprint(file: Path, series: Any, number: int, level: int) -> str:
    """The size of the file and all that says where its pixels lie and how they are coded; no times."""
    page = series.keyframe
    layout = [series.axes, series.shape, str(series.dtype), int(page.compression), page.chunks, int(page.photometric)]
    places = hashlib.sha256()
    for one in series.pages:
        found = None if one is None else (one.dataoffsets, one.databytecounts)
        places.update(repr(found).encode())
    return digest([number, level, file.stat().st_size, layout, places.hexdigest()])
