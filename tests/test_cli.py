"""The command line as it is used: outputs, exit codes, resuming, signals, killed processes, terminals."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import textwrap
import time
from importlib.metadata import version

import numpy as np
import psutil
import pytest
import zarr

import tilewise
from images import make_pixels, write_array, write_image
from networks import one_layer, save, tiny_unet
from shell import call, digests, start, tree, until_done

CUT = ("--tile", "64", "--block", "40", "--halo", "exact")
INSPECT = """
inputs outputs layout output_layout spatial_ndim in_channels out_channels scale multiple radius halo verdict exact
reason fixed_size fixed_batch sha256
"""
PLAN = """
tile halo multiple tiles blocks block redundancy bytes_read bytes_written read_amplification memory_per_worker verdict
settings
"""
RESULT = "output state blocks done skipped failed executions seconds providers peak_memory nan inf failures"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli folder with späces")
    write_array(folder / "image.zarr", make_pixels((200, 180)), chunks=(64, 64))
    write_array(folder / "twin.zarr", make_pixels((200, 180), seed=1), chunks=(64, 64))
    write_array(folder / "large.zarr", make_pixels((560, 480)), chunks=(128, 128))
    save(tiny_unet(), folder, "unet")
    save(one_layer(), folder, "one")
    save(tiny_unet(width=24), folder, "slow")
    return folder


@pytest.fixture(scope="module")
def whole(place):
    """The undisturbed run that the disturbed ones are held against."""
    said = call("run", place / "large.zarr", place / "slow.onnx", place / "whole", *CUT, "--json")
    assert said.code == 0
    assert said.json["done"] == said.json["executions"] == said.json["blocks"] == 168
    return digests(place / "whole")


def over(place, out, *words):
    """Slow enough to be disturbed: a block takes one thread some 20 ms."""
    return ("run", place / "large.zarr", place / "slow.onnx", out, *CUT, "--threads", "1", *words)


def locks(out):
    return [path.name for path in (out / "tilewise").glob("lock*.json")]


def test_json_has_the_promised_keys_and_nothing_else_is_on_standard_output(place, tmp_path):
    image, model, out = place / "image.zarr", place / "unet.onnx", tmp_path / "out"
    inspected = call("inspect", model, "--json")
    planned = call("plan", image, model, out, *CUT, "--json")
    assert not out.exists()
    ran = call("run", image, model, out, *CUT, "--json")
    told = call("status", out, "--json")
    for said, keys in ((inspected, INSPECT), (planned, PLAN), (ran, RESULT), (told, RESULT)):
        assert said.code == 0
        assert set(keys.split()) <= set(said.json)
    assert inspected.err == planned.err == told.err == ""
    assert "blocks" in ran.err
    assert ran.json == told.json
    assert ran.json["state"] == "done"
    assert ran.json["blocks"] == planned.json["blocks"] == 25
    assert (planned.json["tile"], planned.json["halo"], planned.json["multiple"]) == ([64, 64], [12, 12], [4, 4])
    assert inspected.json["exact"] is True
    assert inspected.json["halo"] == [12, 12]


def test_text_says_the_same_to_people(place, tmp_path):
    image, model, out = place / "image.zarr", place / "unet.onnx", tmp_path / "out"
    assert "verdict" in call("inspect", model).out
    assert "25 in 25 blocks of 40 x 40" in call("plan", image, model, *CUT).out
    said = call("run", image, model, out, *CUT, "--verbose")
    assert said.err.count(" on CPU at ") == 25
    assert "25 of 25 blocks done" in said.out
    quiet = call("run", image, model, tmp_path / "quiet", *CUT, "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


@pytest.mark.parametrize("command", ["", "run", "plan", "inspect", "status", "demo"])
def test_help_is_clean(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    said = call(*filter(None, [command, "--help"]))
    assert said.code == 0
    for stray in ("[/", "[[", "[bold", "``", "<bound", "TODO"):
        assert stray not in said.out
    assert max(map(len, said.out.splitlines())) <= 100


def test_help_loads_nothing_heavy():
    code = (
        "import sys, contextlib, io\nfrom tilewise.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main(['run', '--help'])\n"
        "heavy = {'numpy', 'zarr', 'dask', 'distributed', 'onnx', 'onnxruntime', 'xarray', 'PIL', 'psutil'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_second_run_does_nothing(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = (place / "image.zarr", place / "unet.onnx")
    assert call("run", *words, "out", *CUT).code == 0
    before = tree("out")
    for out in ("out", "out/", tmp_path / "out", "./x/../out"):
        said = call("run", *words, out, *CUT, "--json")
        assert (said.code, said.json["executions"]) == (0, 25)
        assert tree("out") == before


def test_a_run_with_other_settings_is_refused_with_what_differs(place, tmp_path):
    out = tmp_path / "out"
    image, model = place / "image.zarr", place / "unet.onnx"
    pyramid = write_image(tmp_path / "pyramid.zarr", make_pixels((2, 80, 80)), "cyx", levels=2)
    assert call("run", image, model, out, *CUT).code == 0
    assert call("run", pyramid, model, tmp_path / "channel", "--channels", "0").code == 0
    before = tree(tmp_path)
    changes = {
        ("--tile", "72"): "tile",
        ("--halo", "16"): "halo",
        ("--block", "80"): "block",
        ("--pad", "edge"): "pad",
        ("--normalize", "minmax"): "normalize.kind: none -> minmax",
        ("--activation", "sigmoid"): "activation",
        ("--output", "labels", "--threshold", "0.4"): "threshold: 0.5 -> 0.4",
    }
    for words, differs in changes.items():
        refused = call("run", image, model, out, *CUT, *words)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert differs in refused.err
    assert "another file" in call("run", image, place / "one.onnx", out, *CUT).err
    assert "other pixels" in call("run", place / "twin.zarr", model, out, *CUT).err
    assert "channels: [0] -> [1]" in call("run", pyramid, model, tmp_path / "channel", "--channels", "1").err
    assert "level: 0 -> 1" in call("run", pyramid, model, tmp_path / "channel", "--channels", "0", "--level", "1").err
    assert tree(tmp_path) == before
    assert call("run", place / "twin.zarr", model, out, *CUT, "--overwrite").code == 0
    assert call("run", place / "twin.zarr", model, tmp_path / "fresh", *CUT).code == 0
    assert digests(out) == digests(tmp_path / "fresh")


def test_another_image_at_the_same_path_is_refused(place, tmp_path):
    image = write_array(tmp_path / "image.zarr", make_pixels((200, 180)), chunks=(64, 64))
    assert call("run", image, place / "one.onnx", tmp_path / "out", *CUT).code == 0
    zarr.open_array(image)[...] = make_pixels((200, 180), seed=2)
    said = call("run", image, place / "one.onnx", tmp_path / "out", *CUT)
    assert said.code == 2
    assert "other pixels" in said.err


def test_odd_pixels_fail_their_blocks_or_are_counted(place, tmp_path):
    pixels = make_pixels((200, 180), "float32")
    pixels[10, 10:13], pixels[150, 150] = np.nan, -np.inf
    image = write_array(tmp_path / "odd.zarr", pixels)
    failed = call("run", image, place / "unet.onnx", tmp_path / "failed", *CUT, "--nan", "error", "--json")
    assert failed.code == 3
    assert [f["block"] for f in failed.json["failures"]] == [0, 18]
    assert "3 NaN" in failed.json["failures"][0]["cause"]
    assert (failed.json["done"], failed.json["failed"], failed.json["state"]) == (23, 2, "failed")
    assert "2 of 25 blocks failed" in failed.err
    kept = call("run", image, place / "unet.onnx", tmp_path / "kept", *CUT, "--json")
    assert (kept.code, kept.json["nan"], kept.json["inf"]) == (0, 3, 1)
    for key, digest in digests(tmp_path / "failed/0").items():
        assert digests(tmp_path / "kept/0")[key] == digest


def test_failed_blocks_are_tried_again_once_the_image_is_mended(place, tmp_path):
    image = write_array(tmp_path / "image.zarr", make_pixels((200, 180)), chunks=(64, 64))
    chunk = image / "c/1/1"
    good = chunk.read_bytes()
    chunk.write_bytes(good[: len(good) // 2])
    words = ("run", image, place / "unet.onnx", tmp_path / "out", *CUT, "--json")
    first = call(*words)
    assert first.code == 3
    assert all("c/1/1" in failure["cause"] for failure in first.json["failures"])
    assert 0 < first.json["failed"] < 25
    chunk.write_bytes(good)
    second = call(*words)
    assert (second.code, second.json["done"], second.json["failures"]) == (0, 25, [])
    assert call("run", image, place / "unet.onnx", tmp_path / "fresh", *CUT).code == 0
    assert digests(tmp_path / "out") == digests(tmp_path / "fresh")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_resumes_to_the_same_bytes(place, tmp_path, whole, number):
    out = tmp_path / "out"
    process = start(*over(place, out))
    until_done(out, 5, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert err.endswith("tilewise: interrupted; the same command resumes\n")
        assert locks(out) == []
    left = call("status", out, "--json").json
    assert left["state"] == "stopped"
    assert 5 <= left["done"] < left["blocks"]
    said = call(*over(place, out, "--json"))
    assert (said.code, said.json["done"], said.json["failed"]) == (0, said.json["blocks"], 0)
    # a block that was under way when the ledger was last stored may be done again, one that it called done never
    assert said.json["executions"] == said.json["blocks"]
    assert digests(out) == whole


def test_one_run_at_a_time_has_an_output(place, tmp_path, whole):
    out = tmp_path / "out"
    first = start(*over(place, out))
    until_done(out, 1, first)
    second = call(*over(place, out, "--json"))
    assert second.code == 2
    assert f"process {first.pid}" in second.json["error"]["got"]
    assert call("status", out, "--json").json["state"] == "running"
    first.communicate(timeout=60)
    assert first.returncode == 0
    assert digests(out) == whole


def test_a_killed_worker_changes_nothing(place, tmp_path, whole):
    out = tmp_path / "out"
    process = start(*over(place, out, "--workers", "2", "--json"))
    until_done(out, 5, process)
    below = psutil.Process(process.pid).children(recursive=True)
    workers = [child for child in below if "dask_worker" in " ".join(child.cmdline())]
    assert len(workers) == 2
    workers[0].kill()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(said)["failed"] == 0
    assert digests(out) == whole
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in workers)


@pytest.mark.parametrize("workers", ['"auto"', "1"])
def test_a_plain_script_without_a_guard_runs(place, tmp_path, workers):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        import tilewise
        print("once")
        print(tilewise.run(*sys.argv[1:], machine=tilewise.Machine(workers={workers})).state)
        """)
    )
    words = [sys.executable, script, place / "image.zarr", place / "one.onnx", tmp_path / "out"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["once", "done"]


def test_an_active_client_is_used(place, tmp_path):
    from distributed import Client

    import tilewise

    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as client:
        tilewise.run(place / "image.zarr", place / "one.onnx", tmp_path / "out", cut=tilewise.Cut(tile=64))
        log = client.run(lambda dask_worker: [str(event[0]) for event in dask_worker.state.log])
    assert any("predict-" in key for keys in log.values() for key in keys)


def test_every_plane_of_a_stack_at_a_level_and_a_channel(place, tmp_path):
    pixels = make_pixels((2, 3, 2, 70, 60))
    image = write_image(tmp_path / "image.zarr", pixels, "tczyx", levels=2, chunks=(1, 1, 1, 32, 32))
    words = (place / "unet.onnx", tmp_path / "out", "--channels", "2", "--level", "1", "--tile", "32", "--halo", "8")
    assert call("run", image, *words).code == 0
    found = zarr.open_array(tmp_path / "out/0", mode="r")
    assert found.shape == (2, 1, 2, 35, 30)
    for t, z in np.ndindex(2, 2):
        plane = write_array(tmp_path / f"plane{t}{z}.zarr", np.ascontiguousarray(pixels[t, 2, z, ::2, ::2]))
        alone = tmp_path / f"out{t}{z}"
        assert call("run", plane, place / "unet.onnx", alone, "--tile", "32", "--halo", "8").code == 0
        np.testing.assert_array_equal(found[t, :, z], zarr.open_array(alone / "0", mode="r")[...])
    by_array = (image / "1", place / "unet.onnx", tmp_path / "by_array", *words[2:4], *words[6:])
    assert call("run", *by_array).code == 0
    assert digests(tmp_path / "by_array/0") == digests(tmp_path / "out/0")


def test_a_terminal_gets_a_bar_and_its_cursor_back(place, tmp_path):
    leader, follower = pty.openpty()
    words = [sys.executable, "-m", "tilewise", *map(str, over(place, tmp_path / "out"))]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=follower, env=environment)
    os.close(follower)
    until_done(tmp_path / "out", 5, process)
    process.send_signal(signal.SIGINT)
    seen = b""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and select.select([leader], [], [], 30)[0]:
        try:
            seen += os.read(leader, 65536)
        except OSError:
            # the other end is closed
            break
    assert process.wait(30) == 130
    process.stdout.close()
    os.close(leader)
    text = seen.decode()
    assert "━" in text
    assert "Mpx/s" in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")


def test_who_reads_our_output_may_leave(place):
    command = f"{sys.executable} -m tilewise plan '{place}/image.zarr' '{place}/unet.onnx' --json | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("{", "")


def test_the_version_is_told_to_people_and_to_python():
    said = call("--version")
    assert (said.code, said.out, said.err) == (0, f"tilewise {version('tilewise')}\n", "")
    assert tilewise.__version__ == version("tilewise")


def test_a_model_in_the_place_of_the_image_is_told_from_it(tmp_path):
    refused = call("run", "model.onnx", tmp_path / "image.zarr", tmp_path / "out.zarr")
    assert refused.code == 2
    assert "the model model.onnx where an image is named; expected IMAGE MODEL OUT, in this order" in refused.err
    assert not (tmp_path / "out.zarr").exists()
