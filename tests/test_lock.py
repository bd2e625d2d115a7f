import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import pytest

from tilewise import owner as owner_module
from tilewise.errors import OutputError
from tilewise.lock import acquire, file, find_owner
from tilewise.owner import identify

RACER = """
import sys, time
from tilewise.errors import OutputError
from tilewise.lock import acquire
out, go = sys.argv[1], float(sys.argv[2])
while time.time() < go:
    pass
try:
    lock = acquire(out, f"run{sys.argv[3]}")
except OutputError:
    print("refused")
else:
    print("won", flush=True)
    sys.stdin.readline()
    assert lock.held
    lock.release()
"""

HOLDER = """
import sys, time
from tilewise.lock import acquire
acquire(sys.argv[1], "dead")
print("up", flush=True)
time.sleep(60)
"""


def start(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def leave_lock(out, owner):
    folder = out / "tilewise"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lock.json").write_text(json.dumps(asdict(owner)))
    return folder / "lock.json"


def kill_holder(out):
    """A lock whose owner was killed and is gone."""
    process = start(HOLDER, out)
    assert process.stdout.readline() == "up\n"
    process.kill()
    process.communicate()
    assert find_owner(str(out)).run == "dead"


def test_an_output_is_held_and_given_free_without_a_trace(tmp_path):
    out = tmp_path / "out.zarr"
    with acquire(str(out), "one") as lock:
        assert lock.held
        assert find_owner(str(out)) == lock.owner == identify("one")
    assert find_owner(str(out)) is None
    assert not out.exists()


def test_release_leaves_what_others_put_there(tmp_path):
    with acquire(str(tmp_path)):
        (tmp_path / "tilewise" / "zarr.json").write_text("{}")
    assert (tmp_path / "tilewise" / "zarr.json").exists()
    assert find_owner(str(tmp_path)) is None


def test_a_living_holder_is_named(tmp_path):
    with acquire(str(tmp_path), "first"), pytest.raises(OutputError, match=f"run first, process {os.getpid()} on"):
        acquire(str(tmp_path), "second")


def test_a_lock_of_a_killed_process_is_taken_over_at_once(tmp_path):
    kill_holder(tmp_path)
    began = time.monotonic()
    with acquire(str(tmp_path), "next") as lock:
        assert time.monotonic() - began < 1
        assert lock.held


def test_a_process_number_used_again_is_not_the_owner(tmp_path):
    leave_lock(tmp_path, replace(identify("old"), started=1.0))
    with acquire(str(tmp_path)) as lock:
        assert lock.held


def test_after_another_boot_nobody_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(owner_module, "_machine", lambda: "0123456789abcdef")
    leave_lock(tmp_path, replace(identify("old"), boot="another"))
    with acquire(str(tmp_path)) as lock:
        assert lock.held


def test_a_machine_of_the_same_name_without_an_id_may_be_another(tmp_path, monkeypatch):
    monkeypatch.setattr(owner_module, "_machine", lambda: "")
    assert not replace(identify("old"), boot="another").here
    assert not replace(identify("old"), space="pid:[1]").here


def test_elsewhere_a_still_heartbeat_is_waited_for(tmp_path):
    leave_lock(tmp_path, replace(identify("far"), host="far"))
    told = []
    began = time.monotonic()
    with acquire(str(tmp_path), on_wait=lambda owner, left: told.append((owner.host, left)), patience=0.6) as lock:
        assert lock.held
    assert 0.5 < time.monotonic() - began < 3
    assert told[0] == ("far", 0.6)
    assert [left for _, left in told] == sorted((left for _, left in told), reverse=True)


def test_elsewhere_a_moving_heartbeat_is_a_living_holder(tmp_path):
    place = leave_lock(tmp_path, replace(identify("far"), host="far"))
    stop = threading.Event()

    def beat():
        while not stop.wait(0.2):
            os.utime(place)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(OutputError, match=r"run far, process \d+ on far"):
            acquire(str(tmp_path), patience=30)
    finally:
        stop.set()
        thread.join()


def test_the_heartbeat_moves_without_being_asked(tmp_path):
    with acquire(str(tmp_path), beat=0.05):
        place = tmp_path / "tilewise" / "lock.json"
        before = place.stat().st_mtime_ns
        time.sleep(0.3)
        assert place.stat().st_mtime_ns > before


def test_release_does_not_remove_the_lock_of_another(tmp_path):
    lock = acquire(str(tmp_path), "slow", beat=0.05)
    other = replace(identify("other"), host="far")
    place = leave_lock(tmp_path, other)
    before = place.stat().st_mtime_ns
    time.sleep(0.2)
    assert not lock.held
    lock.release()
    assert find_owner(str(tmp_path)) == other
    assert place.stat().st_mtime_ns == before


def test_a_broken_lock_is_a_refusal(tmp_path):
    leave_lock(tmp_path, identify("x")).write_text("{")
    with pytest.raises(OutputError, match="is broken"):
        acquire(str(tmp_path))


@pytest.mark.parametrize("stale", [False, True])
def test_of_racers_exactly_one_goes_on(tmp_path, stale):
    for race in range(5):
        out = tmp_path / f"{race}.zarr"
        if stale:
            leave_lock(out, replace(identify("old"), started=1.0))
        go = time.time() + 0.6
        racers = [start(RACER, out, go, k) for k in range(3)]
        words = [racer.stdout.readline().strip() for racer in racers]
        # the winner holds on until all have spoken, however late they started
        for racer in racers:
            racer.communicate("\n", timeout=30)
        assert sorted(words) == ["refused", "refused", "won"]
        assert find_owner(str(out)) is None


def test_threads_of_one_process_race_too(tmp_path):
    won, refused = [], []
    barrier = threading.Barrier(8)

    def race():
        barrier.wait()
        try:
            won.append(acquire(str(tmp_path)))
        except OutputError as error:
            refused.append(error)

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(refused)) == (1, 7)
    won[0].release()


def test_the_first_link_excludes_even_without_the_guard(tmp_path, monkeypatch):
    monkeypatch.setattr(file, "_lock_file", lambda number: None)
    folder = tmp_path / "tilewise"
    folder.mkdir()
    file._place(folder, identify("one"), replace=False)
    with pytest.raises(FileExistsError):
        file._place(folder, identify("two"), replace=False)
    assert [entry.name for entry in folder.iterdir()] == ["lock.json"]
