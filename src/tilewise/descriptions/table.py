"""Which descriptions there are: those beside a model, and those within its metadata, the strongest first."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tilewise.descriptions import deepness, own
from tilewise.descriptions.bioimage import read_package
from tilewise.descriptions.contract import SILENT, Contract, merge
from tilewise.descriptions.package import find_package
from tilewise.errors import ModelError
from tilewise.store import is_url

if TYPE_CHECKING:
    from collections.abc import Mapping

WITHIN = (own.read, deepness.read)
"""Readers of a model's metadata."""
KEPT = (own.KEY, *deepness.KEYS)
"""Entries of the metadata that one of them reads."""
LONGEST = 1 << 17
"""Characters of an entry that is kept."""


def find_model(path: str | Path, number: int | None = None) -> tuple[Path, Contract]:
    """The ONNX file that a path means, and what a description beside it says: silent for a plain ONNX file.

    Args:
        path: the file, folder or archive.
        number: of the output that is wanted, if one is.

    Raises:
        ModelError: a description that cannot be followed.
    """
    if is_url(str(path)):
        raise ModelError(f"{path}, a model on a network", "a file on this machine", "Download it, and give the path.")
    # resolve() would follow a link away from the data beside it
    place = Path(os.path.abspath(path))  # noqa: PTH100
    package = find_package(place)
    return (place, SILENT) if package is None else read_package(package, number)


def read_within(metadata: Mapping[str, str]) -> Contract:
    """What a model's metadata says.

    Raises:
        ModelError: an entry of ours that cannot be understood.
    """
    found = SILENT
    for reader in WITHIN:
        found = merge(found, reader(metadata))
    return found


def keep(metadata: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The entries that a reader knows, as they travel with a model's spec."""
    return tuple((key, metadata[key]) for key in KEPT if len(metadata.get(key, "")) in range(1, LONGEST))
