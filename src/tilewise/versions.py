"""What an inspection's result depends on besides the model: versions and the processor."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Versions:
    """Bits may differ where one of these does."""

    tilewise: str
    """Version of tilewise."""
    onnx: str
    """Version of onnx."""
    onnxruntime: str
    """Version of the runtime, with its wheel."""
    processor: str
    """Model of the processor."""


@cache
def versions() -> Versions:
    """Of this machine, told from metadata: nothing is imported."""
    runtimes = [f"{name} {found}" for name in ("onnxruntime", "onnxruntime-gpu") if (found := _version(name))]
    return Versions(_version("tilewise"), _version("onnx"), " and ".join(runtimes), _processor())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """Model name: kernels are chosen by it."""
    try:
        with Path("/proc/cpuinfo").open() as lines:
            name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        name = ""
    return name or platform.processor() or platform.machine()
