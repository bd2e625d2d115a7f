"""Workers: one inside this process, subprocesses that are watched and brought back, or those of a scheduler."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tilewise.errors import RuntimeMissingError, SettingError
from tilewise.process import environment, reuse_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client

LOOPBACK = "127.0.0.1"
START_SECONDS = 60.0
"""How long workers may take until the first of them is there."""

DEATHS = 10
"""Workers that may die while starting, one after the other, before we give up."""


@contextmanager
def connect(*, scheduler: str | None, workers: int, threads: int, memory: int) -> Iterator[Client]:
    """A client with workers: of the given scheduler, of the client already active, or of a cluster of our own.

    Args:
        scheduler: address of a running scheduler.
        workers: subprocesses to start; 0 is one worker inside this process.
        threads: blocks at once in each.
        memory: bytes for each.
    """
    _configure()
    active = _active_client()
    if scheduler is not None:
        yield from _remote(scheduler)
    elif active is not None:
        yield active
    elif workers == 0:
        yield from _inside(threads)
    else:
        yield from _subprocesses(workers, threads, memory)


def _configure() -> None:
    """Never hang: a run without workers ends with an error instead of waiting for ever (the default)."""
    import dask

    dask.config.set(
        {
            "distributed.scheduler.no-workers-timeout": f"{START_SECONDS:g}s",
            "distributed.scheduler.allowed-failures": 5,
            "distributed.comm.timeouts.connect": "20s",
            # our blocks keep nothing in the worker: spilling and pausing could only stall them
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.target": False,
            "distributed.worker.memory.pause": False,
            "distributed.admin.large-graph-warning-threshold": "1GB",
        }
    )


def _active_client() -> Client | None:
    """The Client that the caller has open in Python, if any."""
    if "distributed" not in sys.modules:
        return None
    from distributed import get_client

    try:
        return get_client()
    except ValueError:
        return None


def _remote(address: str) -> Iterator[Client]:
    from distributed import Client

    _knock(address)
    try:
        client = Client(address, timeout=20, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise _silent(address, error) from error
    try:
        _wait_for_workers(client)
        yield client
    finally:
        client.close()


def _knock(address: str) -> None:
    """Refuse at once where nothing listens: Dask would knock for as long as it may."""
    place = urlsplit(address if "://" in address else f"tcp://{address}")
    if place.scheme not in {"tcp", "tls"}:
        return
    try:
        with socket.create_connection((place.hostname, place.port or 8786), timeout=10):
            return
    except (OSError, ValueError) as error:
        raise _silent(address, error) from error


def _silent(address: str, error: Exception) -> SettingError:
    return SettingError(
        f"no scheduler answers at {address!r} ({error})",
        "the address of a running Dask scheduler, such as tcp://10.0.0.1:8786",
        "Start one with `dask scheduler`, or leave --scheduler out.",
    )


def _inside(threads: int) -> Iterator[Client]:
    """One worker inside this process: starts at once and copies nothing."""
    from distributed import Client, LocalCluster

    reuse_memory()
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=threads,
            processes=False,
            dashboard_address=f"{LOOPBACK}:0",
            worker_dashboard_address=f"{LOOPBACK}:0",
            memory_limit=0,
            silence_logs=50,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _subprocesses(workers: int, threads: int, memory: int) -> Iterator[Client]:
    """Workers as processes of their own, without a nanny: one that dies, at whatever moment, is started again.

    They are started as commands, not by multiprocessing, which would import the caller's script again.
    """
    from distributed import Client, LocalCluster

    with (
        tempfile.TemporaryDirectory(prefix="tilewise-workers-", ignore_cleanup_errors=True) as folder,
        LocalCluster(
            n_workers=0,
            processes=True,
            host=LOOPBACK,
            dashboard_address=f"{LOOPBACK}:0",
            silence_logs=50,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        crew = _Crew(cluster.scheduler_address, threads, memory, folder)
        try:
            crew.start(workers)
            _wait_for_workers(client, crew)
            yield client
        finally:
            crew.stop()


@dataclass(slots=True)
class _Crew:
    """Worker processes and the thread that watches them."""

    address: str
    threads: int
    memory: int
    folder: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    watcher: threading.Thread | None = None
    deaths: int = 0

    def start(self, workers: int) -> None:
        self.processes = [self._spawn() for _ in range(workers)]
        self.watcher = threading.Thread(target=self._watch, daemon=True, name="tilewise-watch-workers")
        self.watcher.start()

    def stop(self) -> None:
        self.stopping.set()
        if self.watcher is not None:
            self.watcher.join()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def lost(self) -> bool:
        """True if workers die as fast as they are started."""
        return self.deaths > DEATHS

    def _watch(self) -> None:
        while not self.stopping.wait(0.2):
            for k, process in enumerate(self.processes):
                if process.poll() is not None and not self.stopping.is_set():
                    self.deaths += 1
                    if self.lost:
                        return
                    self.processes[k] = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", self.address]
        # a worker's own pages would else be served to the whole network
        command += ["--host", LOOPBACK, "--dashboard-address", f"{LOOPBACK}:0"]
        command += ["--no-nanny", "--no-dashboard", "--nthreads", str(self.threads)]
        command += ["--memory-limit", str(self.memory), "--local-directory", self.folder, "--death-timeout", "60"]
        return subprocess.Popen(
            command,
            env={**os.environ, **environment(self.threads)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C at the terminal is for the client, which lets workers end
        )


def _wait_for_workers(client: Client, crew: _Crew | None = None) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not client.nthreads():
        if time.monotonic() > deadline or (crew is not None and crew.lost):
            raise RuntimeMissingError(
                f"no worker came up within {START_SECONDS:g} s",
                "at least one Dask worker",
                "Start one with `dask worker ADDRESS`, or see why workers die at start (`dask worker` in a terminal).",
            )
        time.sleep(0.05)


def dashboard(client: Client) -> str | None:
    """Address of the Dask dashboard, if it runs."""
    info: dict[str, Any] = client.scheduler_info()
    port = info.get("services", {}).get("dashboard")
    if port is None:
        return None
    address = str(info.get("address", ""))
    host = LOOPBACK if address.startswith("inproc") else address.rpartition("://")[2].rpartition(":")[0]
    return f"http://{host or LOOPBACK}:{port}/status"
