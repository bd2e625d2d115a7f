"""Attributes of OME-Zarr groups as they are written, for 0.4 (zarr 2) and 0.5 (zarr 3)."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tilewise.ngff.reading import TYPES, find_ome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tilewise.ngff.reading import Level

Version = Literal["0.4", "0.5"]
"""Of OME-Zarr: 0.4 lies in zarr 2, 0.5 in zarr 3."""

COLOURED = 256
"""Label values that get a colour of their own; viewers make some up for the others."""

GOLDEN = 0.618033988749895
"""Share of the colour circle between two neighbours: no two hues come close for long."""


@dataclass(frozen=True, slots=True)
class Window:
    """What of a channel's values a viewer shows."""

    low: float
    """Least value that can be shown."""
    high: float
    """Largest value that can be shown."""
    start: float
    """What is black at first."""
    end: float
    """What is brightest at first."""


@dataclass(frozen=True, slots=True)
class Channel:
    """How a viewer shows one channel."""

    label: str
    """Its name."""
    window: Window
    """Its values."""


def write_image(
    axes: str,
    *,
    levels: Sequence[Level],
    name: str,
    units: Sequence[str | None],
    version: Version = "0.5",
    method: str | None = None,
) -> dict[str, Any]:
    """Attributes of an image group.

    Args:
        axes: one letter an axis, in the array's order.
        levels: resolutions, the finest first.
        name: the image's name; left out if empty.
        units: unit per axis, None for none.
        version: of OME-Zarr.
        method: how coarser levels were made.
    """
    multiscale: dict[str, Any] = {
        "axes": [_write_axis(axis, unit) for axis, unit in zip(axes, units, strict=True)],
        "datasets": [_write_level(level) for level in levels],
    }
    if name:
        multiscale["name"] = name
    if method and len(levels) > 1:
        multiscale["type"] = method
    if version == "0.4":
        return {"multiscales": [{"version": version, **multiscale}]}
    return {"ome": {"version": version, "multiscales": [multiscale]}}


def write_channels(attributes: Mapping[str, Any], channels: Sequence[Channel]) -> dict[str, Any]:
    """An image group's attributes with its channels: names, colours, what is shown of their values."""
    entries = [
        {
            "label": channel.label,
            "color": "FFFFFF" if len(channels) == 1 else _hex(number),
            "active": True,
            "window": {
                "min": channel.window.low,
                "max": channel.window.high,
                "start": channel.window.start,
                "end": channel.window.end,
            },
        }
        for number, channel in enumerate(channels)
    ]
    return _with(attributes, "omero", {"channels": entries, "rdefs": {"model": "color"}})


def write_labels(
    attributes: Mapping[str, Any], *, values: int, names: Sequence[str] = (), source: str | None = None
) -> dict[str, Any]:
    """An image group's attributes that make it a label image, with a colour for each value; 0 is clear.

    Args:
        attributes: those of an image group.
        values: how many there are, 0 included.
        names: what they mean, from 0 on, as far as it is known.
        source: path to the image's group, seen from the label image's.
    """
    known = find_ome(attributes)
    colours = [{"label-value": value, "rgba": _rgba(value)} for value in range(min(values, COLOURED))]
    entry: dict[str, Any] = {"colors": colours}
    if known is attributes:
        entry["version"] = known["multiscales"][0]["version"]
    if names:
        # colours and properties have to tell of the same values
        called = [*names, *(f"class {value}" for value in range(len(names), len(colours)))]
        entry["properties"] = [{"label-value": v, "class": called[v]} for v in range(len(colours))]
    if source is not None:
        entry["source"] = {"image": source}
    return _with(attributes, "image-label", entry)


def add_label(attributes: Mapping[str, Any], name: str, version: Version) -> dict[str, Any]:
    """Attributes of a labels group with one more name; all else stays as it is."""
    made = dict(attributes)
    listed = find_ome(made).get("labels", ())
    names = list(listed) if isinstance(listed, list | tuple) else []
    if name not in names:
        names.append(name)
    if version == "0.4":
        return {**made, "labels": names}
    ome = made.get("ome")
    return {**made, "ome": {"version": version, **(ome if isinstance(ome, dict) else {}), "labels": names}}


def _with(attributes: Mapping[str, Any], key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes with one more of OME's entries, in its place."""
    ome = attributes.get("ome")
    return {**attributes, "ome": {**ome, key: entry}} if isinstance(ome, dict) else {**attributes, key: entry}


def _rgba(value: int) -> list[int]:
    return [0, 0, 0, 0] if value == 0 else [*_rgb(value - 1), 255]


def _hex(number: int) -> str:
    return "".join(f"{part:02X}" for part in _rgb(number))


def _rgb(number: int) -> list[int]:
    """Colours that differ: steps around the circle, from orange."""
    return [round(255 * part) for part in colorsys.hsv_to_rgb((0.08 + number * GOLDEN) % 1, 0.85, 1.0)]


def _write_axis(axis: str, unit: str | None) -> dict[str, str]:
    entry = {"name": axis, "type": TYPES[axis]}
    # units belong to space and time only
    if unit and axis != "c":
        entry["unit"] = unit
    return entry


def _write_level(level: Level) -> dict[str, Any]:
    transforms: list[dict[str, Any]] = [{"type": "scale", "scale": list(level.scale)}]
    if any(level.translation):
        transforms.append({"type": "translation", "translation": list(level.translation)})
    return {"path": level.path, "coordinateTransformations": transforms}
