"""How a process that computes blocks is set up: memory that is used again, no more threads than were asked for.

A Python program that imports tilewise is left as it is; one that runs blocks in itself gets glibc's thresholds alone.
"""

from __future__ import annotations

import os
import sys

MAPPED = 32 << 20
"""Bytes from which glibc maps memory anew for each request; below, freed memory is used again. Tiles lie below."""

KEPT = 128 << 20
"""Free bytes that glibc keeps at the end of its heap."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def environment(threads: int) -> dict[str, str]:
    """For a worker that is started as a command."""
    return {
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        **_zarr_threads(threads),
        "MALLOC_MMAP_THRESHOLD_": str(MAPPED),
        "MALLOC_TRIM_THRESHOLD_": str(KEPT),
        "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical",
    }


def settle() -> None:
    """For a process that is tilewise's own, before anything heavy is imported."""
    for name, value in _zarr_threads(os.cpu_count() or 1).items():
        os.environ.setdefault(name, value)
    reuse_memory()


def _zarr_threads(threads: int) -> dict[str, str]:
    """Zarr takes some more threads than there are cores, beside those that read at once."""
    return {"ZARR_THREADING__MAX_WORKERS": str(threads)}


def reuse_memory() -> None:
    """What a worker's environment tells glibc; without it 3-D blocks wait for pages. Elsewhere nothing happens."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_THRESHOLD, MAPPED)
    mallopt(M_TRIM_THRESHOLD, KEPT)
