"""NVIDIA GPUs: what the driver says of them, and the libraries that the GPU wheel loads."""

from __future__ import annotations

import ctypes
import shutil
import subprocess

from tilewise.doctor.finding import Finding

QUERY = ("name", "driver_version", "memory.total")
"""What nvidia-smi is asked."""

LIBRARIES = {"CUDA": "libcudart.so.13", "cuBLAS": "libcublas.so.13", "cuDNN": "libcudnn.so.9"}
"""What onnxruntime-gpu loads, under the names that it asks the loader for."""


def examine_gpus(*, wanted: bool) -> list[Finding]:
    """The driver's GPUs and, if a GPU is wanted or there, the libraries.

    Args:
        wanted: a GPU must work.
    """
    listed = _ask_driver()
    if isinstance(listed, str):
        return [Finding("gpu", "bad" if wanted else "absent", listed, "Install an NVIDIA driver." if wanted else "")]
    cards = [Finding(f"gpu {number}", "good", line) for number, line in enumerate(listed)]
    return [*cards, *(_library(name, file, wanted=wanted) for name, file in LIBRARIES.items())]


def _ask_driver() -> list[str] | str:
    """A line for each GPU, or why there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "no NVIDIA driver (nvidia-smi is not there)"
    command = [program, f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nvidia-smi does not answer ({type(error).__name__})"
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode != 0 or not lines:
        return f"the NVIDIA driver finds no GPU ({(lines or ['nothing said'])[0]})"
    return lines


def _library(name: str, file: str, *, wanted: bool) -> Finding:
    try:
        ctypes.CDLL(file)
    except OSError:
        # the wheels of 'tilewise[gpu]' bring their own, which onnxruntime finds by itself
        do = "If no session starts on cuda: pip install 'tilewise[gpu]' in a fresh environment."
        return Finding(name, "weak" if wanted else "absent", f"{file} is not on the loader's path", do)
    return Finding(name, "good", file)
