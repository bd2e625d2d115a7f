"""An opened source: its graph, and the means to run it as its own library does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewise.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from onnx import ModelProto


@dataclass(frozen=True, slots=True)
class Request:
    """What an opener is told."""

    path: Path
    """The source."""
    kind: str
    """Its format, a key of the table."""
    weights: Path | None
    """Weights that lie apart."""
    shape: tuple[int, ...] | None
    """Of an example input."""
    opset: int
    """The most that the result may have; an exporter that knows only older ones takes its newest."""
    trust: bool
    """May run code of the source."""
    scratch: Path
    """A folder for the result, removed afterwards."""
    data: str
    """Name of the file of weights, should there be one."""


@dataclass(frozen=True, slots=True)
class Original:
    """A source that was opened and exported."""

    model: ModelProto
    """The graph."""
    run: Callable[[Sequence[np.ndarray]], list[np.ndarray]] | None
    """The original, inputs to outputs in the order of the graph; None if only version numbers change."""
    by: str
    """What runs it, for people."""
    versions: Mapping[str, str]
    """Versions of its libraries."""
    shape: tuple[int, ...] | None = None
    """An example of its first input's shape, if it is known."""
    pinned: bool = False
    """Lengths declared free were not proved free by the exporter: they are fixed where other sizes go wrong."""
    external: bool = False
    """Its weights lie in a file of their own, and shall."""


def unopened(request: Request, what: str, error: BaseException, do: str) -> ModelError:
    """A source that its own library refuses."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = " ".join(lines)[:300] if lines else type(error).__name__
    return ModelError(f"{request.path} cannot be opened as {what} ({cause})", "a file that its own library opens", do)


def unexported(request: Request, library: str, error: BaseException) -> ModelError:
    """A source that the exporter cannot express in ONNX."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = " ".join(lines)[:300] if lines else type(error).__name__
    return ModelError(
        f"{library} cannot express {request.path} in ONNX ({cause})",
        "operators that the exporter knows",
        "Replace that operation in the network, and save it again.",
    )
