"""Workers that we start: all on loopback, and brought back when they die."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from tilewise.cluster import connect, dashboard


def listeners():
    """Addresses on which this process and its children listen."""
    me = psutil.Process()
    found = [c for p in (me, *me.children(recursive=True)) for c in p.net_connections("inet")]
    return {c.laddr.ip for c in found if c.status == psutil.CONN_LISTEN}


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_listens_off_loopback(workers):
    with connect(scheduler=None, workers=workers, threads=1, memory=10**9) as client:
        assert client.submit(sum, [1, 2]).result() == 3
        assert listeners() == {"127.0.0.1"}
        assert dashboard(client).startswith("http://127.0.0.1:")


def test_a_worker_that_is_killed_comes_back():
    with connect(scheduler=None, workers=1, threads=1, memory=10**9) as client:
        first = client.submit(os.getpid, pure=False).result()
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not client.nthreads():
            time.sleep(0.1)
        assert client.submit(os.getpid, pure=False).result(timeout=60) != first
