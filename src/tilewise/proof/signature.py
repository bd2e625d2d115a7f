"""Inputs and outputs of a model: which one is the image, and how its axes may be laid out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tilewise.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import ModelProto, ValueInfoProto

Dims = tuple[int | str | None, ...]
"""Declared lengths: a number, a name, or nothing."""

CHANNELS = 4
"""The most that a channel axis has where nothing else tells it from space."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output as declared."""

    name: str
    """Its name."""
    dtype: str
    """numpy's name of its type."""
    dims: Dims
    """Its shape; empty also if none is declared."""


def ports(model: ModelProto) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Inputs (those that have no default) and outputs."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = tuple(_port(value) for value in model.graph.input if value.name not in constants)
    return inputs, tuple(_port(value) for value in model.graph.output)


def _port(value: ValueInfoProto) -> Port:
    from onnx import helper

    tensor = value.type.tensor_type
    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name
    except (KeyError, TypeError, ValueError):
        dtype = "unknown"
    dims = [
        int(dim.dim_value) if dim.HasField("dim_value") and dim.dim_value > 0 else dim.dim_param or None
        for dim in tensor.shape.dim
    ]
    return Port(value.name, dtype, tuple(dims))


def pick_image(inputs: Sequence[Port], constants: Sequence[tuple[str, float]]) -> Port:
    """The one input that is the image; all others must be given."""
    names = [port.name for port in inputs]
    unknown = [name for name, _ in constants if name not in names]
    if unknown:
        raise ModelError(
            f"--input {unknown[0]}=...", f"one of the model's inputs ({', '.join(names)})", "Correct the name."
        )
    given = {name for name, _ in constants}
    left = [port for port in inputs if port.name not in given]
    images = sorted((p for p in left if len(p.dims) >= 2 and _numeric(p)), key=lambda p: len(p.dims) < 4)
    if not images:
        raise ModelError(
            f"no input is an image (inputs: {_list(inputs) or 'none'})",
            "an input of 2 to 5 axes of numbers",
            "Give tilewise the model that takes the image itself.",
        )
    others = [port.name for port in left if port is not images[0]]
    if others:
        raise ModelError(
            f"the model has further inputs: {', '.join(others)}",
            f"one image ('{images[0].name}') and constants",
            f"Give each a value: {' '.join(f'--input {name}=VALUE' for name in others)}.",
        )
    if len(images[0].dims) > 5:
        raise ModelError(
            f"the input '{images[0].name}' has {len(images[0].dims)} axes", "2 to 5", "Export it otherwise."
        )
    return images[0]


def _numeric(port: Port) -> bool:
    return port.dtype != "unknown" and np.dtype(port.dtype).kind in "fiu"


def _list(values: Sequence[Port]) -> str:
    return ", ".join(f"'{port.name}' {port.dtype} {list(port.dims)}" for port in values)


def constant_values(inputs: Sequence[Port], constants: Sequence[tuple[str, float]]) -> dict[str, np.ndarray]:
    """Arrays for the inputs that are given: declared lengths, 1 where none is declared."""
    known = {port.name: port for port in inputs}
    return {
        name: np.full([n if isinstance(n, int) else 1 for n in known[name].dims], value, known[name].dtype)
        for name, value in constants
    }


def layouts(image: Port, asked: str | None, *, volume: bool = False) -> tuple[str, ...]:
    """Layouts to try, the likeliest first.

    Args:
        image: the input.
        asked: what the user says.
        volume: the graph slides over three spatial axes.
    """
    rank = len(image.dims)
    if asked is not None:
        if (
            len(asked) != rank
            or not set("HW") <= set(asked)
            or not set(asked) <= set("NCDHW")
            or len(set(asked)) < rank
        ):
            raise ModelError(
                f"--layout {asked} for an input of shape {list(image.dims)}",
                f"{rank} different letters of N, C, D, H, W",
                "For example NCHW or NHWC.",
            )
        return (asked,)
    first, last = image.dims[0], image.dims[-1]
    small_last = isinstance(last, int) and last <= CHANNELS
    if volume and rank < 5:
        return _volumes(image.dims)
    if rank == 3:
        if small_last:
            return "HWC", "CHW", "NHW"
        return ("CHW", "NHW", "HWC") if isinstance(first, int) else ("NHW", "CHW", "HWC")
    if rank == 2:
        return ("HW",)
    channels_first, channels_last = ("NCHW", "NHWC") if rank == 4 else ("NCDHW", "NDHWC")
    second = image.dims[1]
    small_second = isinstance(second, int) and second <= CHANNELS
    return (channels_last, channels_first) if small_last and not small_second else (channels_first, channels_last)


def _volumes(dims: Dims) -> tuple[str, ...]:
    """Layouts of a volume without batch or channels."""
    if len(dims) < 4:
        return ("DHW",)
    first, last = dims[0], dims[-1]
    if isinstance(last, int) and last <= CHANNELS:
        return "DHWC", "CDHW", "NDHW"
    return ("CDHW", "NDHW", "DHWC") if isinstance(first, int) else ("NDHW", "CDHW", "DHWC")


def declared_size(image: Port, layout: str) -> tuple[int, ...] | None:
    """Spatial lengths, if all are declared."""
    found = [n for n, letter in zip(image.dims, layout, strict=True) if letter in "DHW"]
    numbers = tuple(n for n in found if isinstance(n, int))
    return numbers if len(numbers) == len(found) else None


def declared(image: Port, layout: str, letter: str) -> int | None:
    """Declared length of the batch or channel axis."""
    found = image.dims[layout.index(letter)] if letter in layout else 1
    return found if isinstance(found, int) else None
