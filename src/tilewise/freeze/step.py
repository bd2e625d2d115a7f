"""One step: what is known goes into the graph; what comes next is cut out of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from tilewise import splice
from tilewise.errors import ModelError
from tilewise.freeze.find import depends_on, find_sites, tensors_of_interest
from tilewise.freeze.graft import graft
from tilewise.session import SessionOptions, open_session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnx import ModelProto

    from tilewise.freeze.site import Site
    from tilewise.norms import Row


def take_step(
    content: bytes, image: str, shapes: Sequence[Sequence[int]], known: Mapping[str, Row]
) -> tuple[dict[str, Any], bytes]:
    """Freeze what is known.

    Args:
        content: the prepared graph.
        image: its input.
        shapes: two shapes of the input that differ on every spatial axis.
        known: statistics by tensor.

    Returns:
        What is told, and a graph: the one up to the next tensor, or the whole one with nothing left to freeze.
    """
    from onnx import ModelProto

    model = ModelProto()
    model.ParseFromString(content)
    seen = _look(model, image, shapes)
    dtypes = {name: value[0].dtype for name, value in seen.items()}
    traced = ({n: a.shape for n, (a, _) in seen.items()}, {n: b.shape for n, (_, b) in seen.items()})
    sites = find_sites(model, traced)
    for site in sites:
        if site.tensor in known:
            graft(model, site, known[site.tensor], dtypes[site.tensor])
    left = [site for site in sites if site.tensor not in known]
    told: dict[str, Any] = {"sites": [asdict(site) for site in sites], "tensor": None}
    names = [value.name for value in model.graph.output]
    if left:
        # the first in the graph's order waits for none of the others
        names = [left[0].tensor]
        told |= {"tensor": names[0], "layout": _letters(left[0], len(traced[0][names[0]]))}
        told["before"] = sorted(s.name for s in sites if s.name in depends_on(model, names[0]))
        _expose(model, names[0], dtypes[names[0]])
    splice.prune(model, names)
    splice.declare_outputs(model)
    return told, bytes(model.SerializeToString())


def _look(model: ModelProto, image: str, shapes: Sequence[Sequence[int]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Tensors of interest at two sizes of a random image."""
    from onnx import ModelProto

    copy = ModelProto()
    copy.CopyFrom(model)
    names = tensors_of_interest(model)
    if not names:
        return {}
    declared = {value.name for value in copy.graph.output}
    copy.graph.output.extend(type(copy.graph.output[0])(name=name) for name in names if name not in declared)
    wanted = [name for name in names if name != image]
    session = open_session(bytes(copy.SerializeToString()), SessionOptions(optimize=False))
    dtype = np.dtype(next(_NUMPY[kind] for name, kind, _ in session.inputs if name == image))
    rng = np.random.default_rng(0)
    found: list[dict[str, np.ndarray]] = []
    for shape in shapes:
        pixels = rng.random(tuple(shape)).astype(dtype)
        found.append({image: pixels, **dict(zip(wanted, session.run({image: pixels}, wanted), strict=True))})
    return {name: (found[0][name], found[1][name]) for name in names}


_NUMPY = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
}
"""Types of images."""


def _letters(site: Site, rank: int) -> str:
    """The tensor's axes as a layout; only those of an image of one batch and one channel axis have one."""
    letters = ["N"] + ["C"] * (rank - 1)
    for axis, letter in zip(site.spatial, "DHW"[-len(site.spatial) :], strict=True):
        letters[axis] = letter
    if letters.count("C") > 1:
        raise ModelError(
            f"{site.operator} looks at a tensor of {rank} axes", "batch, channels and space", "Run without freezing."
        )
    return "".join(letters)


def _expose(model: ModelProto, name: str, dtype: np.dtype) -> None:
    from onnx import helper

    if name not in {value.name for value in model.graph.output}:
        kind = helper.np_dtype_to_tensor_dtype(dtype)
        model.graph.output.append(helper.make_tensor_value_info(name, kind, None))
