"""onnxruntime: which wheel is installed, and which devices a session really starts and computes on."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

from tilewise.child import child_environment
from tilewise.doctor.finding import Finding
from tilewise.session import BOTH, INSTALL, offers_cuda, shipped_wheel

SECONDS = 120.0
"""How long a session may take to start: cuDNN's first one on a cold disk is slow."""


def examine_runtime(device: str) -> list[Finding]:
    """The wheel, and a trial on each device; ``device`` is one that must work, or auto."""
    wheel = examine_wheel()
    if wheel.state == "bad":
        return [wheel]
    found = [wheel, try_device("cpu", wanted=True)]
    if device.startswith("cuda") or offers_cuda():
        found.append(try_device("cuda" if device in {"auto", "cpu"} else device, wanted=device.startswith("cuda")))
    return found


def examine_wheel() -> Finding:
    """Which wheel is installed; two share a folder, and what is imported is the one that came last."""
    found = []
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    words = " and ".join(f"{name} {number}" for name, number in found)
    if not found:
        return Finding("runtime", "bad", "no onnxruntime is installed", INSTALL)
    if len(found) > 1:
        return Finding("runtime", "bad", f"{words} are both installed: they share a folder", BOTH)
    shipped = shipped_wheel()
    if shipped not in {found[0][0], ""}:
        return Finding("runtime", "bad", f"{words} is installed, and the files are those of {shipped or 'none'}", BOTH)
    return Finding("runtime", "good", words)


def try_device(device: str, *, wanted: bool) -> Finding:
    """Start a session in a process of its own and compute: a driver that crashes takes nothing else along."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "tilewise.doctor", device],
            capture_output=True,
            timeout=SECONDS,
            env=child_environment(),
            check=False,
        )
        answer = json.loads(done.stdout.decode().strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        answer = {"error": f"no session within {SECONDS:.0f} s"}
    except (ValueError, IndexError):
        answer = {"error": f"the process ended with {done.returncode} and said nothing"}
    if "error" not in answer:
        words = f"{answer['provider']}: a session started in {answer['start']:.2f} s and computed what was expected"
        return Finding(f"device {device}", "good", words)
    cure = "Install 'tilewise[gpu]' and an NVIDIA driver for CUDA 13." if device != "cpu" else INSTALL
    return Finding(f"device {device}", "bad" if wanted else "weak", answer["error"], cure)
