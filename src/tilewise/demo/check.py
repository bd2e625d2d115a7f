"""Hold the demo's result against what is known: the truth of the field, and untiled runs of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tilewise.demo.pace import each
from tilewise.geometry import Box, round_down, round_up
from tilewise.normalize import apply
from tilewise.postprocess import finish
from tilewise.record import folder_of, read_json
from tilewise.session import SessionOptions, open_session
from tilewise.source import Source, open_image
from tilewise.stats import Statistics

if TYPE_CHECKING:
    from pathlib import Path

    from tilewise.demo.field import Field
    from tilewise.events import Observer
    from tilewise.settings import Normalization, Results

Image = np.ndarray

BLOCK = 2048
"""Side of what is compared with the truth at once."""
CONTEXT = 64
"""Pixels around a region that an untiled run sees beside it; more than twice what the network needs."""
MULTIPLE = 4
"""Two poolings by two: an untiled run has to begin and end at a multiple of this."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well the result agrees with the truth, and both made small for a picture."""

    dice: float
    """Twice the pixels in both by the sum of the pixels in each: 1 is perfect."""
    whole: Image
    """Means of the image's pixels."""
    found: Image
    """The part of each small pixel that was found."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The image and the result that was made of it."""

    image: Path
    """What was read."""
    result: Path
    """Scores, one channel."""

    def pixels(self, box: Box) -> Image:
        """Of the image, (y, x)."""
        return _read(self.image, box)

    def scores(self, box: Box) -> Image:
        """Of the result, (y, x)."""
        return _read(self.result, box)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the image."""
        height, width = open_image(str(self.image)).shape
        return height, width


def _read(path: Path, box: Box) -> Image:
    source = Source(open_image(str(path)), "yx")
    pixels: Image = source.read(Box((), ()), (0,), box, missing="fill")[0]
    return pixels


def agree(pair: Pair, field: Field, *, step: int, observers: tuple[Observer, ...] = ()) -> Agreement:
    """Compare all of the result with the truth, block by block.

    Args:
        pair: image and result.
        field: which knows the truth.
        step: how many times smaller the small ones are.
        observers: told how far it is.
    """
    height, width = pair.shape
    side = round_up(BLOCK, step)
    boxes = [
        Box((y, x), (min(y + side, height), min(x + side, width)))
        for y in range(0, height, side)
        for x in range(0, width, side)
    ]

    def compare(box: Box) -> tuple[int, int, Image, Image]:
        found, truth = pair.scores(box) >= 0.5, field.truth(box)
        both, either = int((found & truth).sum()), int(found.sum()) + int(truth.sum())
        return both, either, _shrink(pair.pixels(box), step), _shrink(found, step)

    parts = each(compare, boxes, phase="check", done=0, pixels=side**2, observers=observers)
    small = (-(-height // step), -(-width // step))
    whole, found = np.zeros(small, np.float32), np.zeros(small, np.float32)
    for box, (_, _, pixels, share) in zip(boxes, parts, strict=True):
        y, x = (n // step for n in box.start)
        whole[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
        found[y : y + share.shape[0], x : x + share.shape[1]] = share
    either = sum(part[1] for part in parts)
    return Agreement(2 * sum(part[0] for part in parts) / either if either else 1.0, whole, found)


def _shrink(values: Image, step: int) -> Image:
    """Means of squares; those at the far edges may be smaller."""
    sums = values.astype(np.float32)
    counts = []
    for axis, n in enumerate(values.shape):
        starts = np.arange(0, n, step)
        sums = np.add.reduceat(sums, starts, axis=axis)
        counts.append(np.diff([*starts, n]))
    means: Image = sums / np.outer(*counts)
    return means


def differ(pair: Pair, box: Box, model: Path, *, normalization: Normalization, results: Results) -> float:
    """The largest difference of the result in a box to a run of the model on the box and its surroundings in one piece.

    The surroundings are wider than what the network can feel, and padded as the whole image is where it ends.
    """
    size = pair.shape
    start = tuple(max(round_down(a - CONTEXT, MULTIPLE), 0) for a in box.start)
    stop = tuple(
        min(round_up(b + CONTEXT, MULTIPLE), round_up(n, MULTIPLE)) for b, n in zip(box.stop, size, strict=True)
    )
    seen = Box(start, stop)
    inside = seen.clip(size)
    beyond = [(0, b - n) for b, n in zip(seen.stop, inside.stop, strict=True)]
    pixels = np.pad(pair.pixels(inside), beyond, mode="reflect")[None, None]
    statistics = Statistics.from_json(read_json(folder_of(str(pair.result)), "statistics.json"))
    session = open_session(model.read_bytes(), SessionOptions())
    given = apply(pixels, normalization, statistics, dtype="float32")
    untiled = finish(session.run({session.inputs[0][0]: given})[0], results)[0, 0]
    return float(np.abs(untiled[box.inside(seen).slices].astype(np.float64) - pair.scores(box)).max())
