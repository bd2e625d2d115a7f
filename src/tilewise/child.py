"""Asking the child process that inspects models: a deadline, a memory limit, and words for what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewise import errors
from tilewise.errors import ModelError, TilewiseError
from tilewise.session import check_runtime

if TYPE_CHECKING:
    from tilewise.settings import Graph

SECONDS = 120.0
"""Deadline of an inspection."""
SPARE = 10.0
"""Seconds that the child gets beyond its own deadline to say so itself."""
SHARE = 0.75
"""Part of the machine's memory that the child's address space may take."""


def ask(
    path: Path, graph: Graph, prepared: Path, *, seconds: float = SECONDS, memory: int | None = None
) -> dict[str, Any]:
    """Inspect a model in a child process.

    Returns:
        Its answer: the spec as JSON, the names of data files, the digest of the prepared graph.

    Raises:
        ModelError: the child refused the model, did not end, or died.
    """
    request = {
        "path": str(path),
        "graph": asdict(graph),
        "prepared": str(prepared),
        "seconds": seconds,
        "memory": memory or address_space(),
    }
    return call("tilewise.proof", path, request, seconds=seconds)


def call(module: str, path: Path, request: dict[str, Any], *, seconds: float = SECONDS) -> dict[str, Any]:
    """One request to a child that reads model bytes, and its answer, both JSON.

    Args:
        module: what the child runs.
        path: the model, for messages.
        request: what it is asked.
        seconds: its deadline.

    Raises:
        ModelError: the child refused the model, did not end, or died.
    """
    check_runtime()
    try:
        done = subprocess.run(
            # -P: a file of the working directory must not pass for a module
            [sys.executable, "-P", "-m", module],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=seconds + SPARE,
            env=child_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _late(path, seconds) from error
    return _answer(path, done)


def address_space() -> int:
    """Bytes that a child may reserve: part of the machine's memory."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        total = 8 << 30
    with suppress(OSError, ValueError):
        # a container's limit is not the machine's
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    # address space, not memory: libraries alone reserve more than a gigabyte
    return max(int(total * SHARE), 6 << 30)


def child_environment() -> dict[str, str]:
    """For a child: this process's own, with our package first and no threads behind our back."""
    home = str(Path(__file__).parent.parent)
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **quiet}


def _answer(path: Path, done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    try:
        answer = json.loads(lines[-1]) if done.returncode == 0 and lines else None
    except ValueError:
        answer = None
    if answer is None:
        raise _died(path, done)
    if answer.get("memory"):
        raise _short(path)
    if "error" in answer:
        found = answer["error"]
        kind = getattr(errors, found["kind"], ModelError)
        refusal: TilewiseError = kind(found["got"], found["expected"], found["do"])
        raise refusal
    return dict(answer)


def _late(path: Path, seconds: float) -> ModelError:
    return ModelError(
        f"the inspection of {path} did not end within {seconds:g} s",
        "a model that runs on a small image within that time",
        "Check that the model ends, or try again on a quieter machine.",
    )


def _short(path: Path) -> ModelError:
    return ModelError(
        f"the inspection of {path} ran out of memory",
        "a model whose small probe images fit this machine",
        "Inspect it on a machine with more memory.",
    )


def _died(path: Path, done: subprocess.CompletedProcess[bytes]) -> ModelError:
    said = done.stderr.decode(errors="replace").strip().splitlines()
    cause = said[-1][:200] if said else f"exit status {done.returncode}"
    # killed from outside, without a word: by the system, for memory
    killed = done.returncode == -signal.SIGKILL if hasattr(signal, "SIGKILL") else False
    if killed or "MemoryError" in cause or "bad_alloc" in cause:
        return _short(path)
    return ModelError(
        f"the inspection of {path} ended without an answer ({cause})",
        "a valid ONNX model",
        "Check the model with onnx.checker, or report it.",
    )
