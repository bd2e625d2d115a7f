"""The only door to onnxruntime: sessions that keep bits in place and say truly which device they run on."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilewise.errors import ModelError, RuntimeMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np

Port = tuple[str, str, tuple[int | str | None, ...]]
"""Name, onnxruntime's type string such as ``tensor(float)``, and shape of an input or output."""

INSTALL = "Run: pip install 'tilewise[cpu]' (or 'tilewise[gpu]' for NVIDIA)."
BOTH = "Run: pip uninstall -y onnxruntime onnxruntime-gpu, then pip install 'tilewise[cpu]' or 'tilewise[gpu]'."


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How a session is opened; part of the cache key."""

    device: str = "cpu"
    """cpu, cuda or cuda:N."""
    intra_threads: int = 1
    """Threads within one operator; 1 keeps results independent of the size of the map (DESIGN.md, proof 4)."""
    optimize: bool = True
    """Full graph optimisation."""


@dataclass(frozen=True, slots=True)
class Session:
    """An open model. ``run`` may be called from many threads at once and gives the same bits from each."""

    inner: Any
    """onnxruntime.InferenceSession."""
    inputs: tuple[Port, ...]
    """What it takes."""
    outputs: tuple[Port, ...]
    """What it gives."""
    provider: str
    """The execution provider that really runs, in onnxruntime's words without 'ExecutionProvider'."""

    def run(
        self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None, *, seconds: float | None = None
    ) -> list[np.ndarray]:
        """Run the model once, for at most so many seconds if a limit is given.

        Raises:
            TimeoutError: the limit passed and the run was ended.
        """
        if seconds is None:
            return list(self.inner.run(outputs, dict(feeds)))
        return self._run_within(feeds, outputs, seconds)

    def _run_within(
        self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None, seconds: float
    ) -> list[np.ndarray]:
        import onnxruntime as ort

        options = ort.RunOptions()
        expired = threading.Event()

        def end() -> None:
            expired.set()
            options.terminate = True

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            return list(self.inner.run(outputs, dict(feeds), options))
        except Exception as error:
            if expired.is_set():
                raise TimeoutError(f"the model did not end within {seconds:g} s") from error
            raise
        finally:
            timer.cancel()


def check_runtime() -> None:
    """Make sure that exactly one onnxruntime wheel is installed (two share a folder and break each other)."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for wheel in ("onnxruntime", "onnxruntime-gpu"):
        try:
            found.append(f"{wheel} {version(wheel)}")
        except PackageNotFoundError:
            continue
    if not found:
        raise RuntimeMissingError("no onnxruntime is installed", "exactly one of its wheels", INSTALL)
    if len(found) > 1:
        raise RuntimeMissingError(
            f"{' and '.join(found)} are both installed",
            "exactly one (they share a folder, the last installed wins)",
            BOTH,
        )


def runtime_version() -> str:
    """Version of the installed onnxruntime."""
    check_runtime()
    import onnxruntime as ort

    return str(ort.__version__)


def shipped_wheel() -> str:
    """Name of the wheel whose files are really there; empty if they do not say."""
    try:
        from onnxruntime.capi.build_and_package_info import package_name
    except Exception:
        return ""
    return str(package_name)


def offers_cuda() -> bool:
    """True if the installed wheel was built for CUDA; whether a session starts there is another question."""
    check_runtime()
    import onnxruntime as ort

    return "CUDAExecutionProvider" in ort.get_available_providers()


def check_device(device: str) -> None:
    """Refuse a GPU that the installed wheel cannot know; that a session starts there is seen when it is opened."""
    if device.startswith("cuda") and not offers_cuda():
        raise _no_device(SessionOptions(device=device), "this onnxruntime was built for the CPU")


def open_session(model: bytes | Path, options: SessionOptions) -> Session:
    """Open a model on exactly the device asked for.

    Raises:
        ModelError: the runtime cannot load the model.
        RuntimeMissingError: no runtime, or the GPU that was asked for does not start.
    """
    check_runtime()
    import onnxruntime as ort

    ort.set_default_logger_severity(4)
    if options.device != "cpu" and not offers_cuda():
        raise _no_device(options, "the installed onnxruntime was built without CUDA")
    try:
        inner = ort.InferenceSession(
            model if isinstance(model, bytes) else str(model), _session_options(options), providers=_providers(options)
        )
    except Exception as error:
        if options.device != "cpu":
            raise _no_device(options, str(error)) from error
        raise _unloadable(str(error)) from error
    provider = inner.get_providers()[0].removesuffix("ExecutionProvider")
    if options.device != "cpu" and provider == "CPU":
        # the GPU wheel without CUDA lists the provider as available and silently runs on the CPU
        raise _no_device(options, "the session fell back to the CPU")
    return Session(
        inner,
        tuple((port.name, port.type, tuple(port.shape)) for port in inner.get_inputs()),
        tuple((port.name, port.type, tuple(port.shape)) for port in inner.get_outputs()),
        provider,
    )


def _session_options(options: SessionOptions) -> Any:
    import onnxruntime as ort

    made = ort.SessionOptions()
    made.intra_op_num_threads = options.intra_threads
    made.inter_op_num_threads = 1
    made.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    made.log_severity_level = 4
    # without the arena every tensor is mapped anew: twice the CPU time on a small U-Net. All tiles have one shape, so
    # it stops growing after the first; patterns would keep a second copy of its plan for each concurrent run
    made.enable_cpu_mem_arena = True
    made.enable_mem_pattern = False
    made.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not options.optimize:
        made.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if options.device != "cpu":
        made.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return made


def _providers(options: SessionOptions) -> list[Any]:
    if options.device == "cpu":
        return ["CPUExecutionProvider"]
    _, _, index = options.device.partition(":")
    return [("CUDAExecutionProvider", {"device_id": int(index or 0)})]


def _no_device(options: SessionOptions, cause: str) -> RuntimeMissingError:
    return RuntimeMissingError(
        f"no session starts on {options.device} ({first_line(cause)})",
        "a GPU that onnxruntime can use",
        "Install 'tilewise[gpu]' and an NVIDIA driver, or use --device cpu.",
    )


def _unloadable(cause: str) -> ModelError:
    line = first_line(cause)
    opset = re.search(r"Opset (\d+) .* is till opset (\d+)", cause, re.DOTALL)
    if opset is not None:
        line = f"its opset is {opset[1]}, and this onnxruntime takes up to {opset[2]}"
    if "Unsupported model IR version" in cause or "opset" in cause.lower():
        return ModelError(
            f"the model is too new for onnxruntime: {line}",
            "an IR and opset version that this onnxruntime takes",
            "Convert it: tilewise convert MODEL OUT.onnx (or upgrade onnxruntime, or export with an older opset).",
        )
    if "is not a registered function/op" in cause or "No Op registered" in cause or "No opset import" in cause:
        return ModelError(
            f"the model has an operator that onnxruntime does not know: {line}",
            "standard ONNX operators",
            "Export the model without custom operators.",
        )
    return ModelError(f"onnxruntime cannot load the model: {line}", "a valid ONNX model", "Export it again.")


def first_line(text: str) -> str:
    """What onnxruntime says, without its own error number, source file and function signature in front."""
    lines = text.strip().splitlines()
    if not lines:
        return "no reason given"
    line = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", lines[0])
    line = re.sub(r"^/\S+:\d+ .*?\) (?=[A-Z])", "", line)
    return line[:300]


_cache: dict[tuple[str, SessionOptions], Session] = {}
_lock = threading.Lock()


def cached_session(sha256: str, load: Callable[[], bytes | Path], options: SessionOptions) -> Session:
    """The session of this process for a model and options, opened at the first call."""
    key = (sha256, options)
    with _lock:
        if key not in _cache:
            _cache[key] = open_session(load(), options)
        return _cache[key]
