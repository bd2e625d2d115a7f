"""Whole slides that OpenSlide knows and tifffile does not, or not whole: MIRAX, VMS, Ventana, DICOM and others."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilewise.errors import ImageError, explain
from tilewise.geometry import Box
from tilewise.openers.axes import check_level, name_axes
from tilewise.openers.files import File, locate, read_head, require_extra
from tilewise.openers.plain import digest, refuse_inside, require_same
from tilewise.openers.selection import read_selection
from tilewise.openers.spec import ImageSpec
from tilewise.openers.units import place_of, spread, walk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

    from tilewise.openers.selection import Selection

TIFF = (b"II*\0", b"II+\0")
"""First bytes of the TIFFs that Ventana writes."""

SIDE = 256
"""Pixels a side that are told as the unit read where a slide does not say it."""

LARGEST = 4096
"""Pixels a side that are asked of OpenSlide at once."""


@dataclass(slots=True)
class Handle:
    """An open slide, opened anew after a fault: OpenSlide gives nothing more from one that had one."""

    file: Path
    """Where it lies."""
    found: Any
    """openslide.OpenSlide."""

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Pixels of the finest level along a pixel, per level."""
        factors: tuple[float, ...] = self.found.level_downsamples
        return factors

    def read_region(self, place: tuple[int, int], level: int, size: tuple[int, int]) -> Any:
        """A picture of a box, RGBA."""
        try:
            return self.found.read_region(place, level, size)
        except Exception:
            self.found = _open(self.file)
            raise


@dataclass(frozen=True, slots=True)
class Slide:
    """One level of an open slide, as y x c. Safe to use from many threads, as OpenSlide is."""

    slide: Any
    """A Handle."""
    file: File
    """The file that was named, for samples."""
    level: int
    """Which level."""
    shape: tuple[int, ...]
    """Rows, columns, three colours."""
    unit: tuple[int, ...]
    """Pixels that are told as the unit read."""
    paper: tuple[int, int, int]
    """Colour of what was not scanned."""

    def read(self, selection: Selection) -> np.ndarray:
        """Pixels of a selection."""
        return read_selection(selection, self.read_box)

    def read_box(self, box: Box) -> np.ndarray:
        """Pixels of a box; what is transparent shows the paper, white if the slide does not say it."""
        import numpy as np

        out = np.empty(box.shape, np.uint8)
        plane = Box(box.start[:2], box.stop[:2])
        for index in walk(plane, (LARGEST, LARGEST)):
            cell = place_of(index, (LARGEST, LARGEST))
            part = Box(tuple(map(max, cell.start, plane.start)), tuple(map(min, cell.stop, plane.stop)))
            out[part.inside(plane).slices] = self._read_part(part)[..., box.start[2] : box.stop[2]]
        return out

    def stored(self, box: Box) -> Iterator[tuple[str, Box, str | None]]:
        """Each unit that a box touches: OpenSlide finds faults only in reading."""
        for index in walk(box, self.unit):
            yield f"{self.level}/{index[0]}.{index[1]}", place_of(index, self.unit).clip(self.shape), None

    def sample(self, count: int) -> dict[str, str]:
        """Digests of a few stretches of the file that was named."""
        size = self.file.size
        return {str(k): self.file.digest(k, SIDE * SIDE) for (k,) in spread((size,), (1,), min(count, max(size, 1)))}

    def _read_part(self, part: Box) -> np.ndarray:
        import numpy as np

        # OpenSlide wants the place in pixels of the finest level: the first one whose rounding leads back here
        factor = self.slide.level_downsamples[self.level]
        x, y = (-int(-(k * factor) // 1) for k in (part.start[1], part.start[0]))
        found = self.slide.read_region((x, y), self.level, part.shape[::-1])
        pixels = np.asarray(found)
        if (pixels[..., 3] == 255).all():
            return pixels[..., :3]
        alpha = pixels[..., 3:].astype(np.uint16)
        mixed = pixels[..., :3] * alpha + np.asarray(self.paper, np.uint16) * (255 - alpha)
        return ((mixed + 127) // 255).astype(np.uint8)


def recognize(path: str) -> bool:
    """True if the file is of a kind that OpenSlide may know and that no other row of the table takes."""
    head = read_head(path, 132)
    if head.startswith((b"[Virtual Microscope Specimen]", b"[Uncompressed Virtual Microscope Specimen]")):
        return True
    if head.startswith((b"SQLite format 3\0", b"ZISRAWFILE")) or head[128:] == b"DICM":
        return True
    file, _ = locate(path)
    # tiles of Ventana's TIFFs overlap, which tifffile leaves to others
    if head[:4] in TIFF and file.suffix.lower() == ".bif":
        return True
    # a MIRAX slide is a folder beside a picture of the same name
    return head[:2] == b"\xff\xd8" and (file.with_suffix("") / "Slidedat.ini").is_file()


def inspect(path: str, *, axes: str | None, level: int) -> ImageSpec:
    """What is known of a level of the slide, without reading a pixel.

    Args:
        path: the file.
        axes: y x c, if they are named at all.
        level: resolution level.
    """
    file, inside = locate(path)
    refuse_inside(file, inside, "a slide")
    with _open(file) as slide:
        return _describe(file, slide, axes, level)


def open_pixels(spec: ImageSpec) -> Slide:
    """Open the level of a slide that a spec describes."""
    file, _ = locate(spec.path)
    slide = _open(file)
    require_same(_describe(file, slide, spec.axes, spec.level), spec)
    colour = slide.properties.get("openslide.background-color", "FFFFFF")
    red, green, blue = (int(colour[k : k + 2], 16) for k in (0, 2, 4))
    return Slide(Handle(file, slide), File(file), spec.level, spec.shape, spec.chunks, (red, green, blue))


def _open(file: Path) -> Any:
    try:
        import openslide
    except ImportError as error:
        raise require_extra(file, "a slide for OpenSlide", "openslide") from error
    try:
        return openslide.OpenSlide(file)
    except openslide.OpenSlideError as error:
        raise ImageError(
            f"{file} cannot be opened ({explain(error)})", "a slide that OpenSlide knows, whole", "Copy it again."
        ) from error


def _describe(file: Path, slide: Any, option: str | None, level: int) -> ImageSpec:
    check_level(level, slide.level_count, file)
    width, height = slide.level_dimensions[level]
    axes = name_axes(option, "yxc", 3, file)
    if axes != "yxc":
        raise ImageError(f"--axes {option} for {file}", "yxc, which a slide always has", "Leave --axes out.")
    known = slide.properties
    unit = tuple(int(known.get(f"openslide.level[{level}].tile-{side}", SIDE)) for side in ("height", "width"))
    sizes = [_size(known.get(f"openslide.mpp-{axis}")) for axis in "yx"]
    factor = slide.level_downsamples[level]
    fine = [1.0 if size is None else size for size in sizes]
    layout = [known.get("openslide.quickhash-1"), level, slide.level_dimensions, file.stat().st_size]
    return ImageSpec(
        path=str(file),
        array_path="",
        axes=axes,
        shape=(height, width, 3),
        dtype="uint8",
        chunks=(*(min(n, k) for n, k in zip((height, width), unit, strict=True)), 3),
        shards=None,
        level=level,
        levels=slide.level_count,
        scale=(*(size * factor for size in fine), 1.0),
        translation=(*(size * (factor - 1) / 2 for size in fine), 0.0),
        units=(*(None if size is None else "micrometer" for size in sizes), None),
        channel_names=(),
        name=re.sub(r"\.[^.]+$", "", file.name),
        zarr_format=0,
        codecs=(),
        fingerprint=digest(layout),
        opener="openslide",
        # OpenSlide keeps tiles of its own, and a region is held as RGBA beside what is made of it
        held=(32 << 20) + 4 * LARGEST * LARGEST,
    )


def _size(text: str | None) -> float | None:
    try:
        size = float(text or "")
    except ValueError:
        return None
    return size if 0 < size < 1e6 else None
