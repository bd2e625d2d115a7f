"""Asking the child that converts: steps as they come, a deadline, and words for what goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, Any

from tilewise import errors
from tilewise.child import address_space, child_environment
from tilewise.errors import ModelError, TilewiseError
from tilewise.session import check_runtime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tilewise.convert.records import Wanted

SECONDS = 1800.0
"""Deadline of a conversion: frameworks take ten seconds to start, and large networks minutes to export."""
LEAST = 32 << 30
"""Address space that a child gets at least: frameworks reserve far more than they use."""
QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "KERAS_BACKEND": "tensorflow",
    "CUDA_VISIBLE_DEVICES": "",
    "TQDM_DISABLE": "1",
}
"""Frameworks compute as the CPU does, by the plainest kernels, and keep their notices to themselves."""


def ask(
    path: Path,
    kind: str,
    weights: Path | None,
    wanted: Wanted,
    *,
    result: Path,
    data: str,
    say: Callable[[str], None],
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """Convert in a child process.

    Args:
        path: the source, absolute.
        kind: its format, a key of the table.
        weights: of an architecture that has none, absolute.
        wanted: how.
        result: an existing empty folder for the result, and for what frameworks leave behind.
        data: name of the file of weights, should there be one.
        say: is told each step.
        seconds: after which the child is ended.

    Raises:
        ModelError: the child refused, did not end, or died.
    """
    check_runtime()
    request = {
        "path": str(path),
        "kind": kind,
        "weights": str(weights) if weights else None,
        "shape": wanted.shape,
        "opset": wanted.opset,
        "ir": wanted.ir,
        "tolerance": wanted.tolerance,
        "trust": wanted.trust,
        "scratch": str(result),
        "data": data,
        "memory": max(address_space(), LEAST),
    }
    # a library's temporary files go with the folder; without trust, torch must not fall back to unpickling code
    more = {**QUIET, "TMPDIR": str(result)} | ({} if wanted.trust else {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1"})
    with tempfile.TemporaryFile() as noise:
        code, answer, late = _converse(json.dumps(request), {**child_environment(), **more}, noise, say, seconds)
        noise.seek(0)
        said = noise.read().decode(errors="replace").strip().splitlines()
    if late:
        raise ModelError(
            f"the conversion of {path} did not end within {seconds:g} s",
            "a model that can be exported within that time",
            "Try a smaller --shape, or a quieter machine.",
        )
    return _answer(path, code, answer, said)


def _converse(
    request: str, variables: dict[str, str], noise: Any, say: Callable[[str], None], seconds: float
) -> tuple[int, dict[str, Any] | None, bool]:
    """Exit code, answer, and whether the child was ended for its deadline."""
    late = threading.Event()
    # -P: a file of the working directory must not pass for a module
    command = [sys.executable, "-P", "-m", "tilewise.convert"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=noise, text=True, env=variables
    ) as child:

        def end() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            answer = _listen(child, request, say)
            return child.wait(), answer, late.is_set()
        finally:
            timer.cancel()
            child.kill()


def _listen(child: subprocess.Popen[str], request: str, say: Callable[[str], None]) -> dict[str, Any] | None:
    assert child.stdin is not None  # noqa: S101 both are pipes
    assert child.stdout is not None  # noqa: S101
    try:
        child.stdin.write(request)
        child.stdin.close()
    except BrokenPipeError:
        return None
    answer = None
    for line in child.stdout:
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if "step" in told:
            say(told["step"])
        else:
            answer = dict(told)
    return answer


def _answer(path: Path, code: int, answer: dict[str, Any] | None, said: list[str]) -> dict[str, Any]:
    cause = said[-1][:200] if said else f"exit status {code}"
    short = "MemoryError" in cause or "bad_alloc" in cause
    if (answer is not None and answer.get("memory")) or (answer is None and short):
        raise ModelError(
            f"the conversion of {path} ran out of memory",
            "a model that fits this machine",
            "Give a smaller --shape, or convert on a machine with more memory.",
        )
    if answer is None:
        raise ModelError(
            f"the conversion of {path} ended without an answer ({cause})",
            "a model that its own library opens",
            "Try to open it with that library, or report it.",
        )
    if "error" in answer:
        found = answer["error"]
        kind = getattr(errors, found["kind"], ModelError)
        refusal: TilewiseError = kind(found["got"], found["expected"], found["do"])
        raise refusal
    return answer
