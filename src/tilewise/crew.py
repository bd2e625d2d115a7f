"""Workers: how many, with how many threads and how much memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilewise.settings import Machine

SHARE = 0.7
"""Part of the free memory that workers may use together."""


@dataclass(frozen=True, slots=True)
class Crew:
    """Workers and what each may use."""

    workers: int
    """Subprocesses; 0 is one worker inside this process."""
    threads: int
    """Blocks at once in each."""
    memory: int
    """Bytes for each."""

    @property
    def blocks(self) -> int:
        """Blocks at once over all of them."""
        return max(self.workers, 1) * self.threads


def hire(machine: Machine) -> Crew:
    """How many workers, threads and bytes, where the user leaves it to us."""
    workers = 0 if machine.workers == "auto" else machine.workers
    threads = max(1, cores() // max(workers, 1)) if machine.threads == "auto" else machine.threads
    free = int(free_memory() * SHARE) // max(workers, 1)
    return Crew(workers, threads, free if machine.memory == "auto" else machine.memory)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int:
    """Bytes that are free on this machine, or in its container."""
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        # a container's limit is not the machine's; what it uses itself counts against it
        most = int(Path("/sys/fs/cgroup/memory.max").read_text())
        return min(free, most - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    except (OSError, ValueError):
        return free
