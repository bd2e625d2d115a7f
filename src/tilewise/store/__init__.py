"""Where bytes lie: a folder of this machine or of an object store, behind the same few verbs."""

from __future__ import annotations

from tilewise.store.address import absolute, is_url, join, local, parents, relate
from tilewise.store.bucket import Bucket
from tilewise.store.disk import Disk
from tilewise.store.door import open_store
from tilewise.store.look import watched
from tilewise.store.verbs import Store

__all__ = [
    "Bucket",
    "Disk",
    "Store",
    "absolute",
    "is_url",
    "join",
    "local",
    "open_store",
    "parents",
    "relate",
    "watched",
]
