"""The machine: cores, memory, open files, places to write."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import tempfile
from typing import TYPE_CHECKING

from tilewise.cache import cache_folder
from tilewise.crew import cores, free_memory
from tilewise.doctor.finding import Finding
from tilewise.memory import show_bytes

if TYPE_CHECKING:
    from pathlib import Path

FILES = 1024
"""Open files below which many workers and stores run dry."""

MEMORY = 2 << 30
"""Bytes below which a run of more than a small model has no room."""

DISK = 1 << 30
"""Bytes that a place for temporary files should have."""


def examine_machine() -> list[Finding]:
    """All of it."""
    return [_python(), _cores(), _memory(), _files(), _place("cache", cache_folder()), _temporary()]


def _python() -> Finding:
    return Finding("python", "good", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _cores() -> Finding:
    usable = cores()
    total = os.cpu_count() or usable
    rest = f" of {total}, by this process's affinity" if usable < total else ""
    return Finding("cores", "good", f"{usable}{rest}")


def _memory() -> Finding:
    free = free_memory()
    if free < MEMORY:
        return Finding("memory", "weak", f"{show_bytes(free)} free", "Close other programs, or give --memory.")
    return Finding("memory", "good", f"{show_bytes(free)} free")


def _files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    words = "no limit" if soft == resource.RLIM_INFINITY else f"{soft}"
    if soft != resource.RLIM_INFINITY and soft < FILES:
        most = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
        return Finding("open files", "weak", words, f"Run: ulimit -n {most}")
    return Finding("open files", "good", words)


def _place(name: str, folder: Path) -> Finding:
    base = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(base, os.W_OK | os.X_OK):
        do = "Name another folder in TILEWISE_CACHE; models are inspected again at each start until then."
        return Finding(name, "weak", f"{folder} cannot be written", do)
    return Finding(name, "good", f"{folder}, {show_bytes(shutil.disk_usage(base).free)} free")


def _temporary() -> Finding:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    words = f"{folder}, {show_bytes(free)} free"
    if free < DISK:
        return Finding("temporary files", "weak", words, "Name another folder in TMPDIR.")
    return Finding("temporary files", "good", words)
