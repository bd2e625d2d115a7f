"""Run ONNX models over images too large to load: zarr in, overlapped tiles, Dask workers, zarr out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tilewise.accessor import attach

if TYPE_CHECKING:
    from tilewise.album import run_many
    from tilewise.engine import run
    from tilewise.lazy import predict
    from tilewise.model import Model
    from tilewise.planning import plan
    from tilewise.result import status
    from tilewise.settings import Behaviour, Cut, Graph, Machine, Normalization, Pixels, Results

_ROOMS = {
    "Behaviour": "settings",
    "Cut": "settings",
    "Graph": "settings",
    "Machine": "settings",
    "Model": "model",
    "Normalization": "settings",
    "Pixels": "settings",
    "Results": "settings",
    "plan": "planning",
    "predict": "lazy",
    "run": "engine",
    "run_many": "album",
    "status": "result",
}

__all__ = [
    "Behaviour",
    "Cut",
    "Graph",
    "Machine",
    "Model",
    "Normalization",
    "Pixels",
    "Results",
    "plan",
    "predict",
    "run",
    "run_many",
    "status",
]


attach()


def __getattr__(name: str) -> Any:
    """Import a room when it is first asked for: ``import tilewise`` stays light."""
    if name == "__version__":
        return import_module("tilewise.versions").versions().tilewise
    if name not in _ROOMS:
        raise AttributeError(f"module 'tilewise' has no attribute {name!r}")
    return getattr(import_module(f"tilewise.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
