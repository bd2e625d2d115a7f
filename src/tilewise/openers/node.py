"""Nodes of a zarr hierarchy, on a disk or an object store, read as plain JSON before zarr sees them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tilewise.errors import ImageError, StoreError
from tilewise.store import absolute, is_url, join, local, open_store, relate

if TYPE_CHECKING:
    from tilewise.store import Store

METADATA = ("zarr.json", ".zarray", ".zgroup")
"""A folder that holds one of these is a node of a zarr hierarchy."""


@dataclass(frozen=True, slots=True)
class Node:
    """An array or a group, as its metadata files say."""

    kind: Literal["array", "group"]
    """What it is."""
    zarr_format: int
    """2 or 3."""
    metadata: Mapping[str, Any]
    """All but the attributes."""
    attributes: Mapping[str, Any]
    """What users and OME-Zarr add."""


def open_folder(path: str) -> Store:
    """The folder that a path or an address means; refuses a path of this machine that is not there."""
    if is_url(path):
        return open_store(absolute(path))
    folder = open_store(absolute(str(local(path).expanduser())))
    if folder.kind() == "nothing" or not local(folder.place).exists():
        raise ImageError(f"{path} does not exist", "an image", "Check the path.")
    return folder


def enter(folder: Store, inner: str) -> Store:
    """What lies at a place below a folder; refuses links that lead out of it."""
    place = folder.below(inner)
    if relate(place.place, folder.place) not in {"is", "lies inside"}:
        raise ImageError(
            f"{inner} of {folder.place} is a link to {local(place.place).resolve()}",
            "a place inside the folder",
            "Give what it leads to itself, if you trust it.",
        )
    return place


def is_node(folder: Store) -> bool:
    """True if the folder is an array or a group."""
    return folder.holds(*METADATA)


def _read_json(folder: Store, name: str) -> Mapping[str, Any] | None:
    path = join(folder.place, name)
    try:
        found = folder.read(name)
        content = None if found is None else json.loads(found)
    except (ValueError, RecursionError) as error:
        raise ImageError(
            f"{path} is broken ({error})", "metadata in JSON", "Write the image again, or mend the file."
        ) from error
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror})", "a readable file", "Check its rights.") from error
    if found is not None and not isinstance(content, Mapping):
        raise ImageError(f"{path} holds {content!r:.40}", "a JSON object", "Write the image again, or mend the file.")
    return content


def read_node(folder: Store) -> Node:
    """What the metadata of a folder say; refuses a folder without, and broken ones."""
    refused = None
    try:
        content = _read_json(folder, "zarr.json")
    except StoreError as error:
        # who may not list a bucket is refused what is not there, and zarr 2 has no such file
        content, refused = None, error
    if content is not None:
        rest = {key: value for key, value in content.items() if key not in {"attributes", "consolidated_metadata"}}
        attributes = content.get("attributes") or {}
        kind = content.get("node_type")
        if kind not in {"array", "group"} or not isinstance(attributes, Mapping):
            raise ImageError(f"{folder.place}/zarr.json with node_type {kind!r}", "array or group", "Mend the file.")
        return Node(kind, 3, rest, attributes)
    if refused is not None and not is_node(folder):
        raise refused
    kinds: tuple[tuple[str, Literal["array", "group"]], ...] = ((".zarray", "array"), (".zgroup", "group"))
    for name, kind in kinds:
        content = _read_json(folder, name) if refused is None or folder.holds(name) else None
        if content is not None:
            beside = _read_json(folder, ".zattrs") if refused is None or folder.holds(".zattrs") else None
            return Node(kind, 2, content, beside or {})
    raise _refuse(folder)


def _refuse(folder: Store) -> ImageError:
    """What to say of a place that is no node."""
    place, kind = folder.place, folder.kind()
    if kind == "nothing":
        return ImageError(f"{place} does not exist", "an image", "Check the path.")
    if kind == "folder":
        return ImageError(f"{place} is a folder without zarr metadata", "an image", "Check the path.")
    if is_url(place):
        return ImageError(
            f"{place} is an object, not a folder",
            "a zarr array or an OME-Zarr image: nothing else is read over a network",
            "Copy it to this machine, and give the path.",
        )
    return ImageError(
        f"{place} is a file of no format that is known here",
        "zarr, OME-Zarr, TIFF, NIfTI, HDF5, npy, or a slide that OpenSlide knows",
        "Convert it to one of these.",
    )
