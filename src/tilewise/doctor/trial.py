"""A session on one device, started and compared with what the model is known to give."""

from __future__ import annotations

import json
import time
from importlib.resources import files

import numpy as np

from tilewise.errors import TilewiseError
from tilewise.session import SessionOptions, open_session

SIDE = 64
"""Pixels a side of what is computed."""

TOLERANCE = 1e-2
"""TF32 and other kernels round otherwise; a broken device is farther off."""


def run_trial(device: str) -> str:
    """What became of it, as one line of JSON."""
    model = files("tilewise.demo").joinpath("cells.onnx").read_bytes()
    pixels = np.linspace(0, 1, SIDE * SIDE, dtype="float32").reshape(1, 1, SIDE, SIDE)
    try:
        begin = time.perf_counter()
        session = open_session(model, SessionOptions(device=device))
        start = time.perf_counter() - begin
        found = session.run({session.inputs[0][0]: pixels})[0]
        if device != "cpu":
            truth = open_session(model, SessionOptions()).run({session.inputs[0][0]: pixels})[0]
            off = float(np.abs(found - truth).max() / np.abs(truth).max())
            if not off <= TOLERANCE:
                words = f"{session.provider} computes something else: off by {off:.1e} of the range"
                return json.dumps({"error": words})
    except TilewiseError as error:
        return json.dumps({"error": error.got})
    return json.dumps({"provider": session.provider, "start": start})
