"""Which store a place lies on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewise.store.address import is_url, local, parse
from tilewise.store.bucket import Bucket
from tilewise.store.disk import Disk

if TYPE_CHECKING:
    from pathlib import Path

    from tilewise.store.verbs import Store


def open_store(place: str | Path) -> Store:
    """The folder at a path or URL; nothing is read or made.

    Raises:
        StoreError: an address of a kind that is not known.
    """
    place = str(place)
    if not is_url(place):
        return Disk(local(place))
    return Bucket(parse(place))
