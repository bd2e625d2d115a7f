"""Many images: one cluster with warm sessions, an output each in one folder; none that fails stops the others."""

from __future__ import annotations

from tilewise.album.entry import Album, Entry
from tilewise.album.listing import holds_many, look
from tilewise.album.run import run_many

__all__ = ["Album", "Entry", "holds_many", "look", "run_many"]
