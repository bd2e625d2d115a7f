"""What a model really does, by cutting images and comparing with the whole, over random weights: no walk, no probe.

Only onnx and onnxruntime are used here, so that a mistake of the analysis is not made twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx
import onnxruntime as ort

WEIGHTS = 4
"""Seeds."""
ROUNDING = 1e-5
"""Of the range: what is no difference, for weights that are no integers."""


@dataclass(frozen=True)
class Brute:
    """What cutting tells along one axis, in input pixels."""

    before: int
    """From a cut behind which the image goes on, to the last output that changed."""
    after: int
    smaller: frozenset[int]
    """Divisors of M that would do as well."""


def open_free(model: onnx.ModelProto, layout: str, *, freed: bool = True) -> ort.InferenceSession:
    """The file's own graph with one thread; its spatial sizes symbolic if they are to be freed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if freed:
        image = next(value for value in copy.graph.input if value.name == "image")
        for dim, letter in zip(image.type.tensor_type.shape.dim, layout, strict=True):
            if letter in "DHW":
                dim.dim_param = letter
        del copy.graph.value_info[:]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(copy.SerializeToString(), options)


def lay(array: np.ndarray, given: str, wanted: str) -> np.ndarray:
    """Axes in another order; missing ones are added, those of length 1 that are not wanted dropped."""
    for letter in wanted:
        if letter not in given:
            array, given = array[np.newaxis], letter + given
    kept = "".join(letter for letter in given if letter in wanted)
    array = array.reshape([n for n, letter in zip(array.shape, given, strict=True) if letter in wanted])
    return array.transpose([kept.index(letter) for letter in wanted])


@dataclass(frozen=True)
class Runner:
    """A graph on images (channels, space)."""

    session: ort.InferenceSession
    layout: str
    output_layout: str
    constants: tuple[tuple[str, float], ...] = ()
    batch: int = 1
    output: int = 0
    image: str = "image"
    """Name of the input."""

    def run(self, image: np.ndarray) -> np.ndarray:
        """(channels, space), or (channels,) for a vector."""
        letters = "".join(letter for letter in "DHW" if letter in self.layout)
        batch = np.stack([image] * self.batch)
        feeds = {self.image: np.ascontiguousarray(lay(batch, f"NC{letters}", self.layout))}
        for port in self.session.get_inputs():
            for name, value in self.constants:
                if port.name == name:
                    feeds[name] = np.full([n if isinstance(n, int) else 1 for n in port.shape], value, np.float32)
        made = self.session.run(None, feeds)[self.output]
        if self.output_layout == "NC":
            return made.reshape(self.batch, -1)[0] if "N" in self.layout else made.ravel()
        return lay(made, self.output_layout, f"NC{letters}")[0]


def pixels(shape, dtype: str, seed: int) -> np.ndarray:
    """Small whole numbers: sums of them with whole weights are exact."""
    kind = np.dtype(dtype)
    low, high = (0, 9) if kind.kind == "u" else (-4, 4)
    return np.random.default_rng(seed).integers(low, high, shape, endpoint=True).astype(kind)


def unlike(a: np.ndarray, b: np.ndarray, *, rounding: bool) -> np.ndarray:
    """Where two outputs differ."""
    if a.dtype == bool:
        return a != b
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.abs(a - b) > (ROUNDING * max(np.ptp(b), 1e-30) if rounding else 0)


def cut(specimen, axis: int) -> Brute:
    """All outputs together."""
    found = [_cut(specimen, axis, i, Fraction(q)) for i, q in enumerate(specimen.scales or (specimen.scale,))]
    smaller = frozenset.intersection(*(one.smaller for one in found))
    return Brute(max(one.before for one in found), max(one.after for one in found), smaller)


def _cut(specimen, axis: int, output: int, q: Fraction) -> Brute:
    """Cut at a multiple of the claimed M on either side, and slide by every divisor of it."""
    m = specimen.axes(specimen.multiple)[axis]
    claimed = specimen.axes(specimen.radius)[axis]
    rounding = specimen.verdict == "exact to rounding" or specimen.rounding
    margin = -(-(max(7, 2 * m)) // m) * m
    lost = specimen.lead + specimen.trail
    others = [4 * specimen.axes(specimen.multiple)[i] + lost + 8 for i in range(specimen.ndim)]
    others = [-(-(n - lost) // k) * k + lost for n, k in zip(others, specimen.axes(specimen.multiple), strict=True)]
    length = -(-(2 * claimed + 6 * m + 8) // m) * m + lost
    before = after = 0
    # a step that is no whole number of output pixels cannot be a multiple of the grid
    smaller = {d for d in range(1, m) if m % d == 0 and (d * q).denominator == 1}
    for seed in range(WEIGHTS):
        session = open_free(specimen.build(seed), specimen.layout)
        runner = Runner(
            session, specimen.layout, specimen.output_layout or specimen.layout, specimen.graph.inputs, output=output
        )
        sizes = [length + margin if i == axis else n for i, n in enumerate(others)]
        image = pixels((specimen.channels, *sizes), specimen.dtype, seed)

        def piece(start, stop, image=image, runner=runner):
            return runner.run(image[(slice(None),) * (axis + 1) + (slice(start, stop),)])

        def along(made, start, stop):
            return made[(slice(None),) * (axis + 1) + (slice(start, stop),)]

        whole = piece(0, None)
        tail, head = piece(margin, None), piece(0, length)
        n = tail.shape[axis + 1]
        differ = _lines(unlike(tail, along(whole, int(margin * q), int(margin * q) + n), rounding=rounding), axis)
        before = max(before, specimen.lead + _last(differ, q))
        n = head.shape[axis + 1]
        differ = _lines(unlike(head, along(whole, 0, n), rounding=rounding), axis)[::-1]
        after = max(after, specimen.trail + _last(differ, q))
        for d in sorted(smaller):
            moved = piece(d, d + length)
            low = math.ceil((claimed + m) * q)
            high = moved.shape[axis + 1] - low
            same = along(whole, low + int(d * q), high + int(d * q))
            if unlike(along(moved, low, high), same, rounding=rounding).any():
                smaller.discard(d)
    return Brute(before, after, frozenset(smaller))


def _lines(differ: np.ndarray, axis: int) -> np.ndarray:
    return differ.any(axis=tuple(i for i in range(differ.ndim) if i != axis + 1))


def _last(differ: np.ndarray, q: Fraction) -> int:
    return math.ceil((int(np.nonzero(differ)[0][-1]) + 1) / q) if differ.any() else 0
