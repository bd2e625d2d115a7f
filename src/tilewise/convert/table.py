"""The formats, a row each: who opens it, which libraries it needs, and which extra brings them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tilewise.convert import exported, graph, keras, kind, pickled, savedmodel, script
from tilewise.errors import RuntimeMissingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tilewise.convert.original import Original, Request


@dataclass(frozen=True, slots=True)
class Row:
    """One format."""

    kind: kind.Kind
    """Which."""
    open: Callable[[Request], Original]
    """What opens it, in the child."""
    libraries: tuple[str, ...]
    """What must be importable."""
    extra: str
    """The extra of tilewise that brings them."""


KERAS = ("tensorflow", "keras", "tf2onnx")
TORCH = ("torch", "onnxscript")

TABLE = {
    row.kind.name: row
    for row in (
        Row(kind.ONNX, graph.open_graph, (), ""),
        Row(kind.KERAS, keras.open_keras, KERAS, "keras"),
        Row(kind.HDF5, keras.open_keras, KERAS, "keras"),
        Row(kind.JSON, keras.open_keras, KERAS, "keras"),
        Row(kind.SAVED_MODEL, savedmodel.open_savedmodel, KERAS, "keras"),
        Row(kind.EXPORTED, exported.open_exported, TORCH, "torch"),
        Row(kind.SCRIPT, script.open_script, TORCH, "torch"),
        Row(kind.PICKLE, pickled.open_pickle, TORCH, "torch"),
    )
}


def require(row: Row) -> None:
    """Refuse a format whose libraries are not installed; imports nothing."""
    missing = [name for name in row.libraries if find_spec(name) is None]
    if missing:
        raise RuntimeMissingError(
            f"{row.kind.told} is opened by {' and '.join(missing)}, not installed here",
            f"the extra '{row.extra}'",
            f"Run: pip install 'tilewise[{row.extra}]'.",
        )
