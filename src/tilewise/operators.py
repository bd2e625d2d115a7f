"""A graph without its format: operators by name, and what one run told of their tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np


@dataclass(frozen=True, slots=True)
class Op:
    """An operator of the graph."""

    kind: str
    """Its type; with ``domain::`` before it if it is no standard one."""
    name: str
    """Its name, or its first output's."""
    inputs: tuple[str, ...]
    """Names of tensors; empty for one that is left out."""
    outputs: tuple[str, ...]
    """Names of tensors."""
    attributes: Mapping[str, Any]
    """Plain Python values; tensors and subgraphs as they are."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One run of the graph at one size."""

    sizes: tuple[int, ...]
    """The image, in spatial order."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of every tensor."""
    values: Mapping[str, np.ndarray]
    """Of every tensor that does not depend on pixels."""
