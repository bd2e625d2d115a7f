"""A specimen run from zarr to zarr in tiles, against the model on the whole image in one piece."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort
import zarr

from brute import Runner, pixels
from tilewise import Cut, Machine, Model, Results, run
from tilewise.products import name_folders

if TYPE_CHECKING:
    from pathlib import Path

    from specimens import Specimen


@dataclass(frozen=True)
class Compared:
    """What one run gave."""

    model: Model
    tile: tuple[int, ...]
    size: tuple[int, ...]
    difference: float
    """The largest, as a fraction of the output's range."""


def tile_of(specimen: Specimen) -> tuple[int, ...]:
    """Small, with a core of four M."""
    if specimen.fixed:
        return specimen.fixed
    if specimen.output_layout == "NC":
        return (40,) * specimen.ndim
    if specimen.whole:
        return (48, 64)
    made = []
    for m, reach in zip(specimen.axes(specimen.multiple), specimen.axes(specimen.radius or 0), strict=True):
        made.append(2 * -(-reach // m) * m + 4 * m + specimen.lead + specimen.trail)
    return tuple(made)


def compare(specimen: Specimen, folder: Path) -> Compared:
    """Write a model and an image, run, and compare every output."""
    path = folder / "model.onnx"
    path.write_bytes(specimen.build(0).SerializeToString())
    model = Model(path, specimen.graph)
    tile = tile_of(specimen)
    # one tile only where cutting would change the result, or where nothing larger could be run whole
    one = specimen.whole or (specimen.fixed is not None and specimen.output_layout != "NC")
    size = tile if one else tuple(3 * n + 1 for n in tile)
    kind = specimen.dtype if specimen.dtype in {"int8", "int16", "uint16"} else "uint8"
    image = pixels((specimen.channels, *size), kind, 3)
    axes = "c" + "zyx"[-specimen.ndim :]
    place = folder / "image.zarr"
    array = zarr.create_array(place, shape=image.shape, dtype=image.dtype, chunks=image.shape, dimension_names=axes)
    array[...] = image
    run(
        place, model, folder / "out.zarr", cut=Cut(tile=tile, halo="auto" if specimen.whole else "exact")
        if specimen.output_layout != "NC" else Cut(tile=tile),
        results=Results(output="raw"), machine=Machine(device="cpu", workers="auto"),
    )  # fmt: skip
    worst = 0.0
    for k, inside in enumerate(name_folders([port.name for port in model.spec.written])):
        found = zarr.open_array(folder / "out.zarr" / (inside or "") / "0", mode="r")[:]
        wanted = untiled(model, image.astype(specimen.dtype), tile, k)
        if found.size != wanted.size or found.dtype != wanted.dtype:
            raise AssertionError(f"{found.shape} {found.dtype} for {wanted.shape} {wanted.dtype}")
        apart = np.abs(found.reshape(wanted.shape).astype(np.float64) - wanted.astype(np.float64))
        worst = max(worst, float(apart.max()) / max(float(np.ptp(wanted.astype(np.float64))), 1e-30))
    return Compared(model, tile, size, worst)


def untiled(model: Model, image: np.ndarray, tile: tuple[int, ...], output: int = 0) -> np.ndarray:
    """The prepared graph on the padded image, in one piece; for vectors, on every window.

    The image (channels, space...) has the model's type, and its pixels are what the model takes.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.prepared(), options)
    name, layout = model.spec.input_name, model.spec.written[output].layout
    runner = Runner(session, model.spec.layout, layout, batch=model.spec.fixed_batch or 1, output=output, image=name)
    if layout == "NC":
        return _windows(runner, image, tile)
    scale, lead, trail = (getattr(model.spec.written[output], name) for name in ("scale", "lead", "trail"))
    pads = [(a, -n % m + b) for n, m, a, b in zip(image.shape[1:], model.spec.multiple, lead, trail, strict=True)]
    whole = runner.run(np.pad(image, [(0, 0), *pads], mode="reflect"))
    kept = tuple(slice(math.ceil(n * q)) for n, q in zip(image.shape[1:], scale, strict=True))
    return whole[(slice(None), *kept)]


def _windows(runner: Runner, image: np.ndarray, tile: tuple[int, ...]) -> np.ndarray:
    counts = [max(1, -(-(n - t) // t) + 1) for n, t in zip(image.shape[1:], tile, strict=True)]
    pads = [(0, k * t - n) for n, t, k in zip(image.shape[1:], tile, counts, strict=True)]
    padded = np.pad(image, [(0, 0), *pads], mode="reflect")
    made = []
    for place in np.ndindex(*counts):
        window = tuple(slice(k * t, (k + 1) * t) for k, t in zip(place, tile, strict=True))
        made.append(runner.run(padded[(slice(None), *window)]))
    return np.stack(made, axis=-1).reshape(-1, *counts)
