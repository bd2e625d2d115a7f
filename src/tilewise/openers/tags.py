"""What the metadata of TIFF files say of sizes, units and names: OME-XML, ImageJ, Aperio, and plain tags."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNITS = {
    "µm": "micrometer",
    "μm": "micrometer",
    "um": "micrometer",
    "micron": "micrometer",
    "microns": "micrometer",
    "micrometer": "micrometer",
    "\\u00B5m": "micrometer",
    "nm": "nanometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "m": "meter",
    "Å": "angstrom",
    "pm": "picometer",
    "in": "inch",
    "inch": "inch",
    "s": "second",
    "sec": "second",
    "ms": "millisecond",
    "min": "minute",
    "h": "hour",
}
"""OME-Zarr's name of a unit, by what files call it."""

CENTIMETER = 3
"""The resolution unit that is believed: inches are mostly those of a printer or a screen."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is said of an image, by axis letter where it has one."""

    sizes: Mapping[str, float]
    """Size of a pixel of the finest level."""
    units: Mapping[str, str]
    """Its unit."""
    channels: tuple[str, ...]
    """Names of the channels, empty if they have none."""
    name: str
    """The image's name, empty if it has none."""


def read_facts(tif: Any, series: Any, number: int) -> Facts:
    """What a file says of one of its series.

    Args:
        tif: tifffile.TiffFile.
        series: the series' finest level.
        number: which series it is.
    """
    if series.kind == "ome":
        return _read_ome(tif.ome_metadata, number)
    page = series.keyframe
    if series.kind == "imagej":
        return _read_imagej(tif.imagej_metadata or {}, page)
    if series.kind == "svs":
        return _read_aperio(page)
    if series.kind == "qpi":
        return _read_qptiff(series)
    return _of_tags(page)


def find_files(ome: str) -> tuple[set[str], int]:
    """Names of the files that an OME-XML speaks of, and the largest number of planes that it claims."""
    root = ET.fromstring(ome)  # noqa: S314  expat itself stops entities that multiply
    names, planes = set(), 0
    for element in root.iter():
        tag = _tag(element)
        if tag == "UUID" and "FileName" in element.attrib:
            names.add(element.attrib["FileName"])
        elif tag == "Pixels":
            planes = max(planes, math.prod(int(element.attrib.get(f"Size{a}", 1)) for a in "CZT"))
        elif tag == "TiffData":
            firsts = (element.attrib.get(f"First{a}", 0) for a in "CZT")
            numbers = (element.attrib.get(key, 0) for key in ("PlaneCount", "NumPlanes", "IFD"))
            planes = max(planes, *(int(n) for n in (*firsts, *numbers)))
    return names, planes


def _read_ome(text: str | None, number: int) -> Facts:
    images = [e for e in ET.fromstring(text or "<OME/>") if _tag(e) == "Image"]  # noqa: S314  as above
    image = images[number] if number < len(images) else None
    pixels = next((e for e in image if _tag(e) == "Pixels"), None) if image is not None else None
    if image is None or pixels is None:
        return Facts({}, {}, (), "")
    sizes, units = {}, {}
    for axis, key, usual in (*((a, f"PhysicalSize{a.upper()}", "µm") for a in "xyz"), ("t", "TimeIncrement", "s")):
        size = _number(pixels.attrib.get(key))
        unit = UNITS.get(pixels.attrib.get(f"{key}Unit", usual))
        if size is not None and unit is not None:
            sizes[axis], units[axis] = size, unit
    return Facts(sizes, units, _all_named(e.attrib.get("Name") for e in pixels if _tag(e) == "Channel"), _name(image))


def _read_imagej(found: Mapping[str, Any], page: Any) -> Facts:
    unit = UNITS.get(str(found.get("unit", "")))
    sizes, units = {}, {}
    if unit is not None:
        steps = (*zip("xy", _steps(page), strict=True), ("z", _number(found.get("spacing"))))
        sizes = {axis: step for axis, step in steps if step is not None}
        units = dict.fromkeys(sizes, unit)
    interval = _number(found.get("finterval"))
    if interval is not None:
        sizes["t"], units["t"] = interval, UNITS.get(str(found.get("tunit", "s")), "second")
    labels = found.get("Labels") or ()
    channels = _all_named(labels) if len(labels) == found.get("channels") == found.get("images") else ()
    return Facts(sizes, units, channels, "")


def _read_aperio(page: Any) -> Facts:
    found = re.search(r"\bMPP *= *([0-9.]+)", page.description)
    size = _number(found[1]) if found else None
    return _of_tags(page) if size is None else _in_plane(size, size)


def _read_qptiff(series: Any) -> Facts:
    """A page a channel, each with its name in its own description."""
    found = [re.search(r"<Name>([^<]*)</Name>", page.description) for page in series.pages]
    names = _all_named(match[1] if match else None for match in found)
    return replace(_of_tags(series.keyframe), channels=names)


def _of_tags(page: Any) -> Facts:
    steps = _steps(page)
    if page.resolutionunit != CENTIMETER or steps[0] is None or steps[1] is None:
        return Facts({}, {}, (), "")
    return _in_plane(steps[0] * 1e4, steps[1] * 1e4)


def _in_plane(x: float, y: float) -> Facts:
    return Facts({"x": x, "y": y}, {"x": "micrometer", "y": "micrometer"}, (), "")


def _steps(page: Any) -> tuple[float | None, float | None]:
    """Units per pixel along x and y, from the tags that hold pixels per unit."""
    values = [page.tags.valueof(code) for code in (282, 283)]
    x, y = (_number(v[1] / v[0]) if isinstance(v, tuple) and len(v) == 2 and v[0] else None for v in values)
    return x, y


def _number(value: Any) -> float | None:
    """A size that can be one."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < math.inf else None


def _all_named(names: Iterator[Any] | tuple[Any, ...] | list[Any]) -> tuple[str, ...]:
    # names that are only half there would be counted wrong
    found = tuple(names)
    return found if all(isinstance(name, str) and name for name in found) else ()


def _tag(element: ET.Element) -> str:
    return element.tag.rsplit("}", maxsplit=1)[-1]


def _name(image: ET.Element) -> str:
    return image.attrib.get("Name", "")
