"""The user's cache folder: inspections of models, and what was taken out of archives."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where what was found out is kept."""
    if place := os.environ.get("TILEWISE_CACHE"):
        return Path(place)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tilewise"
