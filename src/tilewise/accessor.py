"""``array.tilewise`` on xarray's DataArrays, there as soon as both are imported, in either order.

Importing xarray takes seconds, and most who import tilewise do not need it: where it is not there yet, a finder waits
for its import, lets it go on as always, and registers the accessor behind it.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

from tilewise.settings import Cut, Graph, Machine, Pixels, Results

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from pathlib import Path
    from types import ModuleType

    import xarray as xr

    from tilewise.model import Model

NAME = "tilewise"
"""Of the accessor."""


class Accessor:
    """What ``array.tilewise`` offers."""

    def __init__(self, array: xr.DataArray) -> None:
        self._array = array

    def predict(
        self,
        model: str | Path | Model,
        *,
        cut: Cut = Cut(),
        pixels: Pixels = Pixels(),
        results: Results = Results(),
        graph: Graph = Graph(),
        machine: Machine = Machine(),
    ) -> xr.DataArray | dict[str, xr.DataArray]:
        """Run a model over the array, lazily: ``tilewise.predict(array, model, ...)``."""
        from tilewise.lazy import predict

        return predict(self._array, model, cut=cut, pixels=pixels, results=results, graph=graph, machine=machine)


def attach() -> None:
    """Register the accessor, now or when xarray is imported."""
    if "xarray" in sys.modules:
        _register()
    elif not any(isinstance(finder, _Waiter) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Waiter())


def _register() -> None:
    import xarray as xr

    if not hasattr(xr.DataArray, NAME):
        xr.register_dataarray_accessor(NAME)(Accessor)


class _Waiter:
    """Finds xarray as Python itself does, and has the accessor registered once it is loaded."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,  # noqa: ARG002 the protocol of finders
    ) -> ModuleSpec | None:
        """Called for every import that is not loaded yet; minds only xarray's."""
        spec = PathFinder.find_spec(name, path) if name == "xarray" else None
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_register(module: ModuleType) -> None:
            load(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            _register()

        # this loader is xarray's alone: only how it runs the module is replaced
        spec.loader.exec_module = load_and_register  # type: ignore[method-assign]
        return spec
