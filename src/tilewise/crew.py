"""Workers: how many, with how many threads and how much memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
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
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = 0 if machine.workers == "auto" else machine.workers
    threads = max(1, cores // max(workers, 1)) if machine.threads == "auto" else machine.threads
    free = int(psutil.virtual_memory().available * SHARE) // max(workers, 1)
    return Crew(workers, threads, free if machine.memory == "auto" else machine.memory)
