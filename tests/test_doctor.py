"""What the doctor finds, on this machine as it is and as it could be broken."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from shell import call
from tilewise.doctor import examine
from tilewise.doctor.finding import Finding
from tilewise.doctor.gpu import examine_gpus
from tilewise.doctor.machine import examine_machine
from tilewise.doctor.packages import examine_packages
from tilewise.doctor.runtime import examine_wheel, try_device
from tilewise.doctor.scheduler import examine_scheduler

no_gpu = pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="a GPU is there")


def states(findings):
    return {finding.name: finding.state for finding in findings}


def test_this_machine_runs_a_model_on_its_cpu():
    health = examine()
    assert health.works
    found = states(health.findings)
    assert found["runtime"] == found["device cpu"] == found["codec sharding"] == "good"
    assert " ok  device cpu" in repr(health)
    assert health.to_json()["works"] is True


def test_the_command_prints_one_object():
    said = call("doctor", "--json")
    assert said.code == 0
    found = {entry["name"]: entry for entry in said.json["findings"]}
    assert found["device cpu"]["state"] == "good"
    assert "CPU" in found["device cpu"]["found"]


@no_gpu
def test_a_gpu_that_is_asked_for_and_absent_ends_with_2():
    said = call("doctor", "--device", "cuda")
    assert said.code == 2
    assert "BAD  device cuda" in said.out
    assert "tilewise[gpu]" in said.out


def test_a_device_that_is_none_is_refused():
    said = call("doctor", "--device", "tpu")
    assert said.code == 2
    assert "cuda:N" in said.err


def pretend(folder, name, number):
    """Metadata of an installed wheel."""
    place = folder / f"{name.replace('-', '_')}-{number}.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")


def test_two_wheels_are_found(tmp_path, monkeypatch):
    pretend(tmp_path, "onnxruntime", "1.30")
    pretend(tmp_path, "onnxruntime-gpu", "1.31")
    monkeypatch.syspath_prepend(tmp_path)
    found = examine_wheel()
    assert found.state == "bad"
    assert "onnxruntime 1.30 and onnxruntime-gpu 1.31 are both installed" in found.found
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in found.do


def test_files_of_another_wheel_than_the_one_installed_are_found(tmp_path):
    # by its metadata the only wheel is the one for GPUs, while the files are the CPU's
    pretend(tmp_path, "onnxruntime-gpu", "1.31")
    code = (
        "import importlib.metadata as m; real = m.version\n"
        "def version(name):\n"
        "    if name == 'onnxruntime': raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version\n"
        "from tilewise.doctor.runtime import examine_wheel; print(examine_wheel())"
    )
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert "the files are those of onnxruntime'" in done.stdout or "the files are those of onnxruntime," in done.stdout


def test_few_open_files_are_weak():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        found = next(f for f in examine_machine() if f.name == "open files")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (found.state, found.found) == ("weak", "512")
    assert "ulimit -n" in found.do


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_made_is_weak(monkeypatch):
    monkeypatch.setenv("TILEWISE_CACHE", "/proc/nowhere")
    found = next(f for f in examine_machine() if f.name == "cache")
    assert found.state == "weak"


@no_gpu
def test_no_driver_is_only_bad_if_a_gpu_is_wanted():
    assert states(examine_gpus(wanted=False))["gpu"] == "absent"
    assert states(examine_gpus(wanted=True))["gpu"] == "bad"


def test_a_driver_is_asked_for_its_gpus(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA T4, 580.1, 15360 MiB'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert Finding("gpu 0", "good", "NVIDIA T4, 580.1, 15360 MiB") in examine_gpus(wanted=False)


def test_a_trial_that_says_nothing_is_told(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    found = try_device("cpu", wanted=True)
    assert found.state == "bad"
    assert "said nothing" in found.found


def test_each_codec_is_tried():
    found = states(examine_packages())
    assert [found[f"codec {name}"] for name in ("zstd", "blosc", "gzip", "sharding")] == ["good"] * 4


def test_a_scheduler_and_its_workers_are_compared():
    from distributed import LocalCluster

    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(host="127.0.0.1", **options) as cluster:
        found = examine_scheduler(cluster.scheduler_address)
    assert states(found) == {"scheduler": "good", "workers": "good"}


def test_a_scheduler_that_is_not_there_is_bad():
    assert states(examine_scheduler("tcp://127.0.0.1:9")) == {"scheduler": "bad"}
