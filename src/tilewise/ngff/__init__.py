"""OME-Zarr metadata (0.4 and 0.5) as plain dictionaries: read with suspicion, written by the book. No zarr here."""

from __future__ import annotations

from tilewise.ngff.reading import (
    AXES,
    TYPES,
    Kind,
    Level,
    Multiscale,
    find_kind,
    find_ome,
    is_safe,
    list_members,
    read_image,
)
from tilewise.ngff.writing import Channel, Version, Window, add_label, write_channels, write_image, write_labels

__all__ = [
    "AXES",
    "TYPES",
    "Channel",
    "Kind",
    "Level",
    "Multiscale",
    "Version",
    "Window",
    "add_label",
    "find_kind",
    "find_ome",
    "is_safe",
    "list_members",
    "read_image",
    "write_channels",
    "write_image",
    "write_labels",
]
