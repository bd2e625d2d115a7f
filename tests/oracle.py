"""The untiled run, written without tilewise's own geometry: the image padded to the model's grid, in one piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

if TYPE_CHECKING:
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


def standardize(image: np.ndarray) -> np.ndarray:
    """(x - mean) / std over all pixels, in double, rounded once to float32."""
    wide = image.astype(np.float64)
    return ((wide - wide.mean()) / wide.std()).astype(np.float32)
