"""The untiled run, written without tilewise's own geometry: the image padded to the model's grid, in one piece."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction
    from pathlib import Path


def infer_whole(model: bytes | Path | str, image: np.ndarray, multiple: int | tuple[int, ...]) -> np.ndarray:
    """The model on an image [c, space...] padded by reflection at the far edges, batch 1, one thread; cropped.

    ``model`` is what tilewise prepares, or the file itself where its sizes are free.
    """
    multiples = (multiple,) * (image.ndim - 1) if isinstance(multiple, int) else multiple
    pads = [(0, 0)] + [(0, -n % m) for n, m in zip(image.shape[1:], multiples, strict=True)]
    padded = np.pad(image, pads, mode="reflect")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(model if isinstance(model, bytes) else str(model), options)
    output = session.run(None, {session.get_inputs()[0].name: padded[np.newaxis]})[0][0]
    return output[(slice(None), *(slice(n) for n in image.shape[1:]))]


def infer_all(
    model: bytes | Path | str,
    image: np.ndarray,
    multiple: int | tuple[int, ...],
    scales: dict[str, Fraction],
) -> dict[str, np.ndarray]:
    """Every output of a model on the whole image [c, space...], each of ceil(N q) pixels an axis for its scale q."""
    multiples = (multiple,) * (image.ndim - 1) if isinstance(multiple, int) else multiple
    pads = [(0, 0)] + [(0, -n % m) for n, m in zip(image.shape[1:], multiples, strict=True)]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model if isinstance(model, bytes) else str(model), options)
    feeds = {session.get_inputs()[0].name: np.pad(image, pads, mode="reflect")[np.newaxis]}
    found = session.run(list(scales), feeds)
    sizes = {name: [math.ceil(n * q) for n in image.shape[1:]] for name, q in scales.items()}
    return {name: array[0][(slice(None), *map(slice, sizes[name]))] for name, array in zip(scales, found, strict=True)}


def infer_laid(
    model: bytes | Path | str,
    image: np.ndarray,
    *,
    layouts: tuple[str, str],
    pads: Sequence[tuple[int, int]],
    sizes: Sequence[int],
) -> np.ndarray:
    """The model on the whole image [c, space...], whatever its axes, as [c, space...].

    Args:
        model: the graph.
        image: in the model's type.
        layouts: of its input and of its output, such as NHWC and HW.
        pads: mirrored pixels in front and behind, per axis of space.
        sizes: what is kept of the output, per axis of space.
    """
    space = "DHW"[-len(sizes) :]
    padded = np.pad(image, [(0, 0), *pads], mode="reflect")[np.newaxis]
    wanted, given = layouts
    fed = _lay(padded, "NC" + space, wanted)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model if isinstance(model, bytes) else str(model), options)
    (found,) = session.run(None, {session.get_inputs()[0].name: fed})
    return _lay(found, given, "NC" + space)[(0, slice(None), *map(slice, sizes))]


def _lay(array: np.ndarray, have: str, want: str) -> np.ndarray:
    """Other axes: those that are not wanted have length 1 and go, those that are missing come with length 1."""
    for letter in [letter for letter in have if letter not in want]:
        array, have = array[(slice(None),) * have.index(letter) + (0,)], have.replace(letter, "")
    missing = "".join(letter for letter in want if letter not in have)
    array = array[(np.newaxis,) * len(missing)]
    return np.ascontiguousarray(np.transpose(array, [(missing + have).index(letter) for letter in want]))


def infer_each(
    model: bytes | Path | str,
    image: np.ndarray,
    tile: tuple[int, ...],
    stride: tuple[int, ...],
    *,
    pad: str = "reflect",
    layout: str | None = None,
) -> list[np.ndarray]:
    """One vector a tile, by brute force: every output as [c, tile places...] for an image [c, space...].

    Tile k starts at k times the stride; the image is padded at the far edge as far as the last tile reaches.
    """
    counts = [max(1, math.ceil((n - t) / s) + 1) for n, t, s in zip(image.shape[1:], tile, stride, strict=True)]
    ends = [(c - 1) * s + t for c, t, s in zip(counts, tile, stride, strict=True)]
    pads = [(0, 0)] + [(0, max(0, e - n)) for n, e in zip(image.shape[1:], ends, strict=True)]
    padded = np.pad(image, pads, mode=pad)  # type: ignore[call-overload]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model if isinstance(model, bytes) else str(model), options)
    found: list[np.ndarray] = []
    whole_layout = "NC" + "DHW"[-len(tile) :]
    for place in np.ndindex(*counts):
        seen = padded[(slice(None), *(slice(k * s, k * s + t) for k, s, t in zip(place, stride, tile, strict=True)))]
        fed = _lay(seen[np.newaxis], whole_layout, layout or whole_layout)
        given = session.run(None, {session.get_inputs()[0].name: fed})
        found = found or [np.full((g.size, *counts), np.nan, g.dtype) for g in given]
        for whole, one in zip(found, given, strict=True):
            whole[(slice(None), *place)] = one.ravel()
    return found


def standardize(image: np.ndarray) -> np.ndarray:
    """(x - mean) / std over all pixels, in double, rounded once to float32."""
    wide = image.astype(np.float64)
    return ((wide - wide.mean()) / wide.std()).astype(np.float32)
