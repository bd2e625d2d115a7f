"""The lock of an output on an object store, against a real S3 server: the store decides who has it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from servers import BUCKET, KEYS, serve_faults, serve_s3
from tilewise.errors import OutputError
from tilewise.lock import acquire, find_owner, refuse_held
from tilewise.owner import identify
from tilewise.store import open_store

HOLD = """
import sys, time
from tilewise.errors import OutputError
from tilewise.lock import acquire
while time.time() < float(sys.argv[2]):
    pass
try:
    with acquire(sys.argv[1]) as lock:
        time.sleep(0.7)
        print("held" if lock.held else "lost")
except OutputError as error:
    print("refused" if "is being written by" in str(error) else error)
"""


@pytest.fixture(scope="module")
def s3():
    with serve_s3() as url:
        yield url


@pytest.fixture
def out(monkeypatch, s3, request):
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": s3, "TILEWISE_STORE_SECONDS": "5"}.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{request.node.name}"


def leave_lock(out, owner):
    open_store(out).write("tilewise/lock.json", json.dumps({**asdict(owner), "beat": 3}).encode())


def test_a_second_run_is_refused_and_the_output_is_free_again_after(out):
    with acquire(out, "one") as lock:
        assert lock.held
        assert find_owner(out) == lock.owner == identify("one")
        with pytest.raises(OutputError, match="is being written by run one, process"):
            acquire(out, "two")
        with pytest.raises(OutputError, match="is being written by run one, process"):
            refuse_held(out)
    assert find_owner(out) is None
    assert open_store(out).kind() == "nothing"


def test_a_lock_of_a_process_that_is_gone_is_taken_over_at_once(out):
    leave_lock(out, replace(identify("old"), started=1.0))
    with acquire(out, "new") as lock:
        assert lock.held
        assert find_owner(out).run == "new"


def test_a_lock_of_another_machine_is_taken_over_once_it_has_not_beaten(out):
    leave_lock(out, replace(identify("far"), host="far"))
    told = []
    begun = time.monotonic()
    with acquire(out, on_wait=lambda owner, left: told.append((owner.host, left)), patience=0.6) as lock:
        assert lock.held
    assert time.monotonic() - begun >= 0.6
    assert told[0] == ("far", 0.6)


def test_a_lock_of_another_machine_that_beats_is_a_refusal(out):
    owner = replace(identify("far"), host="far")
    leave_lock(out, owner)

    def beat(*_):
        open_store(out).write("tilewise/lock.json", json.dumps({**asdict(owner), "beat": 4}).encode())

    with pytest.raises(OutputError, match="is being written by run far"):
        acquire(out, on_wait=beat, patience=5)


def test_the_heartbeat_moves_and_stops_when_another_has_taken_over(out):
    lock = acquire(out, "slow", beat=0.05)
    first = open_store(out).read("tilewise/lock.json")
    time.sleep(0.3)
    assert open_store(out).read("tilewise/lock.json") != first
    assert lock.held
    leave_lock(out, identify("other"))
    time.sleep(0.3)
    assert not lock.held
    lock.release()
    assert find_owner(out) == identify("other")


def test_a_broken_lock_is_named(out):
    for content in (b"{", b"[]", b'{"run": 1}'):
        open_store(out).write("tilewise/lock.json", content)
        with pytest.raises(OutputError, match=r"lock\.json is broken"):
            acquire(out)


def test_a_yes_that_was_lost_on_its_way_still_counts(out, monkeypatch, s3):
    """Each second answer is lost after the server has done what was asked: the second try of a put is refused by it."""
    with serve_faults(s3) as faults:
        monkeypatch.setenv("AWS_ENDPOINT_URL", faults.url)
        faults.late = 2
        for _ in range(4):
            with acquire(out, beat=0.05) as lock:
                time.sleep(0.3)
                assert lock.held
        assert find_owner(out) is None


@pytest.mark.parametrize("race", range(5))
def test_of_two_runs_exactly_one_has_the_output(out, race):
    code = [sys.executable, "-c", HOLD, f"{out}{race}", str(time.time() + 1.5)]
    both = [subprocess.Popen(code, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sorted(process.communicate()[0].strip() for process in both) == ["held", "refused"]
