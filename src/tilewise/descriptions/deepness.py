"""Metadata as the QGIS plugin Deepness reads it: an entry each, JSON or Python's own notation.

Keys and meaning: https://qgis-plugin-deepness.readthedocs.io, "Adding metadata to ONNX model". Pixels are divided by
255 first, then standardized.
"""

from __future__ import annotations

import ast
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tilewise.descriptions.contract import SILENT, Contract, sign
from tilewise.steps import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

ORIGIN = "Deepness"
"""How values that come from it are signed."""
TYPES = ("segmentor", "detector", "regressor", "recognition", "superresolution")
"""Of models."""
MARKS = ("model_type", "tiles_overlap", "tiles_size", "standardization_mean", "seg_thresh", "reg_output_scaling")
"""Keys that tell its metadata from that of others."""
KEYS = (
    *MARKS,
    "class_names",
    "resolution",
    "tile_size",
    "standardization_std",
    "seg_small_segment",
)
"""All that are read."""
WHITE = 255.0
"""What pixels are divided by."""
LONGEST = 1 << 14
"""Characters of a value."""


def read(metadata: Mapping[str, str]) -> Contract:
    """What the metadata says; silent if it is not Deepness's."""
    if not any(mark in metadata for mark in MARKS):
        return SILENT
    kind = str(_value(metadata, "model_type") or "").lower()
    if kind and kind not in TYPES:
        return SILENT
    made = _geometry(metadata, _pixels(metadata, Contract(class_names=_names(metadata))))
    if kind == "segmentor":
        threshold = _number(metadata, "seg_thresh")
        made = replace(made, output="labels", threshold=0.5 if threshold is None else threshold)
    scaling = _number(metadata, "reg_output_scaling")
    if kind == "regressor" and scaling not in {None, 1.0}:
        made = replace(made, steps=(Step(kind="linear", a=(scaling or 0.0,), b=(0.0,)),))
    small = _number(metadata, "seg_small_segment")
    if kind == "segmentor" and small:
        made = replace(made, notes=(f"Deepness removes segments below {small:g} pixels; tilewise keeps them",))
    return sign(made, ORIGIN) if made.said() or made.notes else SILENT


def _pixels(metadata: Mapping[str, str], made: Contract) -> Contract:
    mean = _numbers(metadata, "standardization_mean") or (0.0,)
    std = _numbers(metadata, "standardization_std") or (1.0,)
    if min(std) <= 0:
        return made
    return replace(
        made, normalize="fixed", mean=tuple(WHITE * m for m in mean), std=tuple(WHITE * s for s in std), scope=None
    )


def _geometry(metadata: Mapping[str, str], made: Contract) -> Contract:
    """Tile in pixels, overlap as a percentage of it, resolution in centimetres a pixel."""
    size = _number(metadata, "tiles_size") or _number(metadata, "tile_size")
    overlap, resolution = _number(metadata, "tiles_overlap"), _number(metadata, "resolution")
    if size and size >= 1:
        made = replace(made, tile=(int(size),))
        if overlap and 0 < overlap < 100:
            made = replace(made, halo=(math.ceil(size * overlap / 200),))
    if resolution and resolution > 0:
        made = replace(made, pixel_size=(resolution * 1e4,))
    return made


def _names(metadata: Mapping[str, str]) -> tuple[str, ...] | None:
    """Names of classes 0, 1, ... of the first output."""
    found = _value(metadata, "class_names")
    first = found[0] if isinstance(found, list) and found else found
    if not isinstance(first, dict):
        return None
    try:
        named = {int(key): str(value) for key, value in first.items()}
    except (TypeError, ValueError):
        return None
    if sorted(named) != list(range(len(named))) or not named:
        return None
    return tuple(named[k] for k in range(len(named)))


def _value(metadata: Mapping[str, str], key: str) -> Any:
    """A value, None if it is not there or cannot be read."""
    text = metadata.get(key)
    if text is None or len(text) > LONGEST:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _number(metadata: Mapping[str, str], key: str) -> float | None:
    found = _value(metadata, key)
    try:
        number = float(found)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _numbers(metadata: Mapping[str, str], key: str) -> tuple[float, ...] | None:
    found = _value(metadata, key)
    try:
        numbers = tuple(float(n) for n in (found if isinstance(found, list | tuple) else [found]))
    except (TypeError, ValueError):
        return None
    return numbers if numbers and all(map(math.isfinite, numbers)) else None
