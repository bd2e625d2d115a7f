"""Who a process is, so that others can tell whether it still lives: host, number, start, boot and container."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that holds an output."""

    run: str
    """The run's id."""
    host: str
    """Name of the machine."""
    pid: int
    """Number of the process there."""
    started: float
    """When the process started, in the system's own count: a number alone is used again."""
    machine: str
    """The installation's own id, empty if it has none: names of machines are used twice."""
    boot: str
    """Which start of the machine: after another one nothing of this one lives."""
    space: str
    """Which container's numbering of processes the number belongs to."""

    @property
    def here(self) -> bool:
        """True if it is, or was, a process of this machine that could be seen from here."""
        if (self.host, self.machine) != (socket.gethostname(), _machine()):
            return False
        # another boot of a machine without an id may as well be another machine
        return self.space == _space() if self.boot == _boot() else bool(self.machine)

    @property
    def alive(self) -> bool:
        """True if the process still runs; asked for processes of this machine only."""
        return self.boot == _boot() and _started(self.pid) == self.started

    def __str__(self) -> str:
        return f"run {self.run}, process {self.pid} on {self.host}"


def identify(run: str) -> Owner:
    """This process as an owner."""
    pid = os.getpid()
    return Owner(run, socket.gethostname(), pid, _started(pid) or 0.0, _machine(), _boot(), _space())


def _started(pid: int) -> float | None:
    """When a process started; None if there is none, or only its remains."""
    try:
        # ticks since boot: not moved by a change of the clock, as psutil's time of day is
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return None if fields[0] in {"Z", "X"} else float(fields[19])
    except (OSError, IndexError, ValueError):
        return _started_elsewhere(pid)


def _started_elsewhere(pid: int) -> float | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time())
    except psutil.Error:
        return None


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        import psutil

        # to a minute: the system works it out from the clock
        return str(round(psutil.boot_time() / 60))


def _machine() -> str:
    try:
        return Path("/etc/machine-id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
