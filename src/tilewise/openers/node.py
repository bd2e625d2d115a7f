"""Nodes of a zarr hierarchy on the local file system, read as plain JSON before zarr sees them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tilewise.errors import ImageError

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


def open_folder(path: str) -> Path:
    """The folder that a path or a file:// address means; refuses what is not there and what is elsewhere."""
    address = urlsplit(path)
    if address.scheme == "file":
        folder = Path(url2pathname(address.path))
    elif "://" in path:
        raise ImageError(
            f"{path}, on a store of kind {address.scheme}",
            "a path on this machine",
            "Copy or mount it, and give the path.",
        )
    else:
        folder = Path(path)
    folder = Path(os.path.abspath(folder.expanduser()))  # noqa: PTH100  resolve() would follow the user's links
    if not folder.exists():
        raise ImageError(f"{path} does not exist", "an image", "Check the path.")
    return folder


def enter(folder: Path, inner: str) -> Path:
    """What lies at a place below a folder; refuses links that lead out of it."""
    place = folder / inner
    if not place.resolve().is_relative_to(folder.resolve()):
        raise ImageError(
            f"{inner} of {folder} is a link to {place.resolve()}",
            "a place inside the folder",
            "Give what it leads to itself, if you trust it.",
        )
    return place


def is_node(folder: Path) -> bool:
    """True if the folder is an array or a group."""
    return any((folder / name).is_file() for name in METADATA)


def _read_json(path: Path) -> Mapping[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError) as error:
        raise ImageError(
            f"{path} is broken ({error})", "metadata in JSON", "Write the image again, or mend the file."
        ) from error
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror})", "a readable file", "Check its rights.") from error
    if not isinstance(content, Mapping):
        raise ImageError(f"{path} holds {content!r:.40}", "a JSON object", "Write the image again, or mend the file.")
    return content


def read_node(folder: Path) -> Node:
    """What the metadata of a folder say; refuses a folder without, and broken ones."""
    content = _read_json(folder / "zarr.json")
    if content is not None:
        rest = {key: value for key, value in content.items() if key not in {"attributes", "consolidated_metadata"}}
        attributes = content.get("attributes") or {}
        kind = content.get("node_type")
        if kind not in {"array", "group"} or not isinstance(attributes, Mapping):
            raise ImageError(f"{folder / 'zarr.json'} with node_type {kind!r}", "array or group", "Mend the file.")
        return Node(kind, 3, rest, attributes)
    kinds: tuple[tuple[str, Literal["array", "group"]], ...] = ((".zarray", "array"), (".zgroup", "group"))
    for name, kind in kinds:
        content = _read_json(folder / name)
        if content is not None:
            return Node(kind, 2, content, _read_json(folder / ".zattrs") or {})
    if folder.is_dir():
        raise ImageError(f"{folder} is a folder without zarr metadata", "an image", "Check the path.")
    raise ImageError(
        f"{folder} is a file of no format that is known here",
        "zarr, OME-Zarr, TIFF, NIfTI, HDF5, npy, or a slide that OpenSlide knows",
        "Convert it to one of these.",
    )
