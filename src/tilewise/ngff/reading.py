"""OME-Zarr metadata (0.4 and 0.5) as plain dictionaries, read with suspicion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from tilewise.errors import ImageError

AXES = "tczyx"
"""The axes that an image can have, in the order in which they are written."""

TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
"""What OME-Zarr calls each axis."""

Kind = Literal["image", "labels", "plate", "well", "series"]
"""What a group's OME metadata makes it; a series is the root that bioformats2raw writes."""

UNNAMED = ("0.1", "0.2")
"""Versions of OME-Zarr that have all five axes, in the usual order, and do not name them."""


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of an image."""

    path: str
    """Place of its array below the group, already checked to stay inside."""
    scale: tuple[float, ...]
    """Size of a pixel per axis, in the array's order."""
    translation: tuple[float, ...]
    """Where the first pixel's centre lies, per axis."""


@dataclass(frozen=True, slots=True)
class Multiscale:
    """What the metadata of an image group say."""

    name: str
    """The image's name, empty if it has none."""
    axes: str
    """One letter an axis, in the array's order."""
    units: tuple[str | None, ...]
    """Unit of the scale, per axis."""
    levels: tuple[Level, ...]
    """Resolutions, the finest first."""
    channels: tuple[str, ...]
    """Names of the channels, empty if they have none."""


def find_ome(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a group's attributes that is OME's: below ``ome`` since 0.5, at the top before."""
    ome = attributes.get("ome")
    return ome if isinstance(ome, Mapping) else attributes


def find_kind(attributes: Mapping[str, Any]) -> Kind | None:
    """What a group is, told by its attributes; None if they are not OME's."""
    ome = find_ome(attributes)
    names: tuple[tuple[str, Kind], ...] = (
        ("multiscales", "image"),
        ("plate", "plate"),
        ("well", "well"),
        ("bioformats2raw.layout", "series"),
        ("labels", "labels"),
    )
    return next((kind for key, kind in names if key in ome), None)


def list_members(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Paths of what lies in a plate (wells), a well (fields) or a labels group; unsafe ones are left out."""
    ome = find_ome(attributes)
    entries: Any = ome.get("labels", ())
    for outer, inner in (("plate", "wells"), ("well", "images")):
        if isinstance(ome.get(outer), Mapping):
            entries = [entry.get("path") for entry in ome[outer].get(inner, ()) if isinstance(entry, Mapping)]
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return ()
    return tuple(entry for entry in entries if isinstance(entry, str) and is_safe(entry))


def is_safe(path: str) -> bool:
    """True if a path from metadata stays below the group that it stands in."""
    if not path or "\\" in path or "\0" in path or ":" in path:
        return False
    parts = PurePosixPath(path).parts
    return not path.startswith("/") and ".." not in parts and bool(parts)


def read_image(attributes: Mapping[str, Any], where: str) -> Multiscale:
    """Read an image group's first multiscale.

    Args:
        attributes: the group's attributes.
        where: the group's place, for messages.
    """
    multiscales = find_ome(attributes).get("multiscales")
    if not isinstance(multiscales, Sequence) or not multiscales or not isinstance(multiscales[0], Mapping):
        raise _broken(where, f"multiscales {multiscales!r:.60}", "a list with one entry")
    entry = multiscales[0]
    axes, units = _read_axes(entry, where)
    datasets = entry.get("datasets")
    if not isinstance(datasets, Sequence) or not datasets:
        raise _broken(where, f"datasets {datasets!r:.60}", "a list of resolution levels")
    common = _read_transforms(entry, len(axes), where)
    levels = tuple(_read_level(dataset, len(axes), common, where) for dataset in datasets)
    name = entry.get("name")
    return Multiscale(name if isinstance(name, str) else "", axes, units, levels, _read_channels(attributes))


def _read_axes(entry: Mapping[str, Any], where: str) -> tuple[str, tuple[str | None, ...]]:
    axes = entry.get("axes")
    if axes is None and entry.get("version") in UNNAMED:
        return AXES, (None,) * len(AXES)
    if not isinstance(axes, Sequence) or isinstance(axes, str) or not axes:
        raise _broken(where, f"axes {axes!r:.60}", "a list of axes, as OME-Zarr has since 0.4")
    names: list[str] = []
    units: list[str | None] = []
    for axis in axes:
        # 0.3 has bare names
        named = axis if isinstance(axis, Mapping) else {"name": axis}
        names.append(str(named.get("name")))
        unit = named.get("unit")
        units.append(unit if isinstance(unit, str) else None)
    if any(len(name) != 1 or name not in AXES for name in names) or len(set(names)) != len(names):
        raise ImageError(
            f"{where} has axes {', '.join(names)}",
            "each once, from t c z y x",
            "Point at one of its arrays and name the axes with --axes.",
        )
    return "".join(names), tuple(units)


def _read_level(dataset: Any, ndim: int, common: tuple[tuple[float, ...], tuple[float, ...]], where: str) -> Level:
    path = dataset.get("path") if isinstance(dataset, Mapping) else None
    if not isinstance(path, str) or not is_safe(path):
        raise ImageError(
            f"a level of {where} has path {path!r}",
            "a path that stays below the image's group",
            "Do not trust this file; mend its metadata if it is yours.",
        )
    scale, translation = _read_transforms(dataset, ndim, where)
    return Level(
        str(PurePosixPath(path)),
        tuple(a * b for a, b in zip(scale, common[0], strict=True)),
        tuple(a * b + c for a, b, c in zip(translation, common[0], common[1], strict=True)),
    )


def _read_transforms(entry: Mapping[str, Any], ndim: int, where: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    found = {"scale": (1.0,) * ndim, "translation": (0.0,) * ndim}
    transforms = entry.get("coordinateTransformations") or ()
    if not isinstance(transforms, Sequence):
        raise _broken(where, f"coordinateTransformations {transforms!r:.60}", "a list")
    for transform in transforms:
        kind = transform.get("type") if isinstance(transform, Mapping) else None
        if kind not in found:
            continue
        numbers = transform.get(kind)
        if not isinstance(numbers, Sequence) or len(numbers) != ndim or not all(_is_number(n) for n in numbers):
            raise _broken(where, f"{kind} {numbers!r:.60}", f"{ndim} numbers, one an axis")
        found[kind] = tuple(float(n) for n in numbers)
    return found["scale"], found["translation"]


def _read_channels(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    omero = find_ome(attributes).get("omero")
    channels = omero.get("channels") if isinstance(omero, Mapping) else None
    if not isinstance(channels, Sequence):
        return ()
    labels = [channel.get("label") if isinstance(channel, Mapping) else None for channel in channels]
    # names that are only half there would be counted wrong
    return tuple(str(label) for label in labels) if all(isinstance(label, str) for label in labels) else ()


def _is_number(value: object) -> bool:
    # an integer beyond a float's range is none either
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**63)


def _broken(where: str, got: str, expected: str) -> ImageError:
    return ImageError(
        f"the OME-Zarr metadata of {where} has {got}", expected, "Point at one of its arrays with --axes, or mend it."
    )
