"""The group of an output: set up before the first pixel, made complete after the last."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tilewise import ngff
from tilewise.errors import OutputError
from tilewise.geometry import Box
from tilewise.place import check_place, clear, sweep
from tilewise.record import FOLDER, Stamp, differences, folder_of, read_json, read_stamp, write_json, write_stamp
from tilewise.sink.array import create_arrays, forget, read
from tilewise.sink.labels import list_label, refuse_listed
from tilewise.store import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tilewise.sink.spec import OutputSpec

SHOWN = (0.01, 0.998)
"""Shares of the coarsest level's pixels that are darker than what is black, and than what is brightest, at first."""

PLANES = 16
"""Planes of the coarsest level that are looked at: evenly spread over those that time and depth give."""

MIDDLE = 1024
"""Pixels a side of them that are looked at."""


def create(spec: OutputSpec, record: Mapping[str, Any], *, inputs: Sequence[str] = (), overwrite: bool = False) -> None:
    """Set an output up: stamp first, then the arrays, and the image's metadata last.

    Doing it again with the same record finishes what was cut short and leaves pixels alone. Of several results in one
    output, each is created in turn, and only the first with ``overwrite``.

    Raises:
        OutputError: the place is taken, or holds the output of a run with another record, which is told.
    """
    found = check_place(spec.path, inputs, overwrite=overwrite, labels=spec.source is not None)
    if spec.source is not None and found == "free":
        refuse_listed(spec)
    stamp = read_stamp(spec.path)
    if found == "ours" and (overwrite or stamp is None or stamp.record is None):
        clear(spec.path)
        forget(spec.path)
        stamp = None
    elif stamp is not None and stamp.record is not None:
        changed = differences(stamp.record, record)
        if changed:
            raise OutputError(
                f"output {spec.path} was made with other settings ({'; '.join(changed)})",
                "the same settings, to resume",
                "Give those, choose another output, or add --overwrite.",
            )
    own = spec.name or "0"
    owns = stamp.owns if stamp is not None else ()
    if stamp is None or own not in owns:
        write_stamp(spec.path, Stamp(record, (*owns, own)))
    sweep(spec.path)
    if spec.zarr_format == 2 and not folder_of(spec.path).holds(".zgroup"):
        # our own arrays are of zarr 3: without this, who lists the group as zarr 2 is warned of a strange folder
        write_json(folder_of(spec.path), ".zgroup", {"zarr_format": 2})
    create_arrays(spec)
    if spec.name and not _has_group(spec.path, spec.zarr_format):
        write_group(spec.path, {}, spec.zarr_format)
    if not _has_group(spec.group, spec.zarr_format):
        write_group(spec.group, describe(spec), spec.zarr_format)


def finish(spec: OutputSpec) -> None:
    """Complete the metadata once all pixels are written, have ome-zarr-models read them, and list labels."""
    attributes = describe(spec)
    if spec.values is None:
        attributes = ngff.write_channels(attributes, _show_channels(spec))
    if read_group(spec.group, spec.zarr_format) != attributes:
        write_group(spec.group, attributes, spec.zarr_format)
    validate(spec.group, spec.version)
    if spec.source is not None:
        list_label(spec)


def describe(spec: OutputSpec) -> dict[str, Any]:
    """Attributes of an output's group, as far as they are known without its pixels."""
    attributes = ngff.write_image(
        spec.axes,
        levels=spec.multiscale,
        name=spec.image_name,
        units=spec.units,
        version=spec.version,
        method=spec.method,
    )
    # the same for all runs: what differs lies in that file
    about: dict[str, Any] = {"provenance": f"{'../' if spec.name else ''}{FOLDER}/provenance.json"}
    if spec.real is not None:
        # value = integer * scale + offset
        top = np.iinfo(spec.dtype).max
        about |= {"scale": (spec.real[1] - spec.real[0]) / top, "offset": spec.real[0]}
    attributes["tilewise"] = about
    if spec.values is not None:
        return ngff.write_labels(attributes, values=spec.values, names=spec.names, source=spec.source)
    return attributes


def validate(path: str, version: ngff.Version = "0.5") -> None:
    """Have ome-zarr-models read an image group; raises what it raises."""
    import zarr

    group = zarr.open_group(open_store(path).nodes(), mode="r", zarr_format=2 if version == "0.4" else 3)
    labelled = "image-label" in ngff.find_ome(dict(group.attrs))
    if version == "0.4":
        from ome_zarr_models.v04.image import Image as Old
        from ome_zarr_models.v04.image_label import ImageLabel as OldLabel

        (OldLabel if labelled else Old).from_zarr(group)
        return
    from ome_zarr_models.v05.image import Image
    from ome_zarr_models.v05.image_label import ImageLabel

    (ImageLabel if labelled else Image).from_zarr(group)


def read_group(place: str, zarr_format: int) -> dict[str, Any]:
    """A group's attributes; none if it has no metadata, or broken ones."""
    try:
        content = read_json(open_store(place), "zarr.json" if zarr_format == 3 else ".zattrs")
        found = content["attributes"] if zarr_format == 3 else content
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def write_group(place: str, attributes: Mapping[str, Any], zarr_format: int) -> None:
    """Replace a group's attributes, in one step."""
    folder = open_store(place)
    if zarr_format == 3:
        write_json(folder, "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": attributes})
        return
    write_json(folder, ".zgroup", {"zarr_format": 2})
    write_json(folder, ".zattrs", attributes)


def _has_group(place: str, zarr_format: int) -> bool:
    # the attributes are written last
    return open_store(place).holds("zarr.json" if zarr_format == 3 else ".zattrs")


def _show_channels(spec: OutputSpec) -> list[ngff.Channel]:
    where = spec.axes.find("c")
    count = spec.shape[where] if where >= 0 else 1
    names = spec.names or tuple(f"channel {k}" if count > 1 else "scores" for k in range(count))
    if spec.window is not None:
        low, high = spec.window
        return [ngff.Channel(name, ngff.Window(low, high, low, high)) for name in names]
    pixels = _sample(spec)
    planes = np.moveaxis(pixels, where, 0) if where >= 0 else pixels[np.newaxis]
    return [ngff.Channel(name, _measure(plane)) for name, plane in zip(names, planes, strict=True)]


def _measure(plane: np.ndarray) -> ngff.Window:
    """The range of a channel's values, without odd pixels; where there is one value, a range that holds it."""
    values = np.sort(plane[np.isfinite(plane)].astype(np.float64), axis=None)
    if not values.size:
        return ngff.Window(0.0, 1.0, 0.0, 1.0)
    low, high = float(values[0]), float(values[-1])
    if low == high:
        return ngff.Window(min(low, 0.0), max(high, 1.0), min(low, 0.0), max(high, 1.0))
    start, end = (float(values[round(share * (values.size - 1))]) for share in SHOWN)
    return ngff.Window(low, high, *((start, end) if start < end else (low, high)))


def _sample(spec: OutputSpec) -> np.ndarray:
    """Of the coarsest level no more than a viewer shows at once: some of its planes, and of each the middle."""
    level = spec.pyramid.levels - 1
    shape = spec.pyramid.shape_of(level)
    deep = [k for k, axis in enumerate(spec.axes) if axis in "tz"]
    flat = [k for k, axis in enumerate(spec.axes) if axis in "yx"]
    start, stop = [0] * len(shape), list(shape)
    for k in flat:
        start[k] = max(shape[k] - MIDDLE, 0) // 2
        stop[k] = min(start[k] + MIDDLE, shape[k])
    total = math.prod(shape[k] for k in deep)
    planes = []
    for number in sorted({round(k) for k in np.linspace(0, total - 1, min(PLANES, total))}):
        for k, at in zip(deep, np.unravel_index(number, [shape[k] for k in deep]) if deep else (), strict=True):
            start[k], stop[k] = int(at), int(at) + 1
        planes.append(read(spec, Box(tuple(start), tuple(stop)), level))
    return np.concatenate(planes, axis=flat[0])
