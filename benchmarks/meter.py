"""What a process and all that it starts use: wall seconds, CPU seconds, memory."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY = 0.1
"""Seconds between looks at the tree of processes."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a command, from its start to its end, start-up included."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds, user and system, of the command and all its descendants."""
    peak: int
    """Bytes: the largest sum of resident sizes over the tree; pages that are shared count in each."""
    peaks: dict[str, int]
    """Bytes: the largest resident size of any one process, by the name that ``label`` gave it."""
    output: str
    """What it printed."""
    errors: str
    """What it printed on standard error."""


def measure(
    command: list[str],
    *,
    environment: dict[str, str] | None = None,
    timeout: float = 3600,
    label: Callable[[list[str]], str] = lambda _: "all",
) -> Usage:
    """Run a command and watch it.

    Args:
        command: what to run.
        environment: added to this process's own.
        timeout: seconds after which it is killed and the benchmark fails.
        label: a process's name in ``peaks``, told from its command line.

    Raises:
        RuntimeError: the command failed.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env={**os.environ, **(environment or {})}
        )
        watch = _Watch(process.pid, label)
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            watch.look()
            if time.perf_counter() - begin > timeout:
                process.kill()
            time.sleep(EVERY)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output, errors = out.read(), err.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{errors[-3000:]}")
    # wait4 counts descendants that were waited for, which every contender does with its workers
    return Usage(wall, used.ru_utime + used.ru_stime, watch.peak, watch.peaks, output, errors)


class _Watch:
    """Looks at the resident sizes of a tree of processes."""

    def __init__(self, pid: int, label: Callable[[list[str]], str]) -> None:
        self.root = psutil.Process(pid)
        self.label = label
        self.peak = 0
        self.peaks: dict[str, int] = {}

    def look(self) -> None:
        total = 0
        with suppress(psutil.Error):
            for process in [self.root, *self.root.children(recursive=True)]:
                with suppress(psutil.Error, OSError):
                    now, most = resident(process.pid)
                    total += now
                    name = self.label(process.cmdline())
                    self.peaks[name] = max(self.peaks.get(name, 0), most)
        self.peak = max(self.peak, total, *self.peaks.values(), 0)


def resident(pid: int) -> tuple[int, int]:
    """Bytes resident now and at most so far.

    Not ru_maxrss: a child inherits in it what its parent had when it was started.
    """
    try:
        with open(f"/proc/{pid}/status") as lines:
            found = dict(line.split(":", 1) for line in lines if line.startswith(("VmRSS", "VmHWM")))
        return int(found["VmRSS"].split()[0]) * 1024, int(found["VmHWM"].split()[0]) * 1024
    except (FileNotFoundError, KeyError):
        now = psutil.Process(pid).memory_info().rss
        return now, now


class Span:
    """Wall and CPU seconds between two moments, of this process and its living descendants."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), tree_cpu()

    def end(self) -> dict[str, float]:
        """What was used since."""
        return {"wall": time.perf_counter() - self.wall, "cpu": tree_cpu() - self.cpu}


def tree_cpu() -> float:
    """CPU seconds so far of this process, its descendants, and those of them that have ended."""
    me = psutil.Process()
    total = 0.0
    for process in [me, *me.children(recursive=True)]:
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total
