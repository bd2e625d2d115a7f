"""The result against the original, on noise, at several sizes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tilewise.convert.records import Compared
from tilewise.errors import ModelError
from tilewise.proof.signature import ports

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from onnx import ModelProto

    from tilewise.convert.original import Original
    from tilewise.proof.signature import Port

Shapes = list[tuple[int, ...]]
"""Of all inputs."""

SIDES = {2: (64, 96, 128, 224, 256, 192, 320, 513, 572), 3: (32, 48, 64, 40, 96, 128), 1: (64, 96, 128, 256), 0: (1,)}
"""Lengths that are tried for free axes, by how many there are: most networks take the first."""
SEED = 7
"""Of the noise."""


def compare(original: Original, model: ModelProto, run: Callable[[Sequence[np.ndarray]], list[np.ndarray]]) -> Compared:
    """Run both on noise: at one size with batch 1, and at another, of unlike sides, with batch 2, where they are free.

    Raises:
        ModelError: the original takes none of the sizes, or the result fails where the original does not.
    """
    if original.run is None:
        return Compared(original.by, 0.0, ())
    inputs = ports(model)[0]
    shapes, worst = [], 0.0
    for values, expected in _trials(inputs, original):
        try:
            found = run(values)
        except Exception as error:
            raise ModelError(
                f"the converted model fails on an input of {list(values[0].shape)} ({first_line(error)})",
                "a model that runs where the original does",
                "Save the network with another exporter, or fix its input's size.",
            ) from error
        worst = max(worst, difference(expected, found))
        shapes.append(values[0].shape)
    return Compared(original.by, worst, tuple(shapes))


def difference(expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> float:
    """Largest absolute difference, as a part of the range of the output that it is in; infinite if shapes differ."""
    if len(expected) != len(found) or any(a.shape != b.shape for a, b in zip(expected, found, strict=False)):
        return math.inf
    return max((_relative(a, b) for a, b in zip(expected, found, strict=True)), default=0.0)


def _relative(expected: np.ndarray, found: np.ndarray) -> float:
    a, b = expected.astype(np.float64), found.astype(np.float64)
    # the same infinity, or nothing on both sides, is no difference
    apart = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    if not apart.any():
        return 0.0
    finite = a[np.isfinite(a)]
    span = float(np.ptp(finite)) if finite.size else 0.0
    worst = float(np.abs(a[apart] - b[apart]).max())
    return worst / (span or float(np.abs(finite).max(initial=0.0)) or 1.0) if math.isfinite(worst) else math.inf


def _trials(inputs: Sequence[Port], original: Original) -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
    """Inputs that the original takes, with what it gives: two if any length is free, else one."""
    cause = yield from _first_taken(inputs, original, _plain(inputs, original.shape))
    if cause:
        raise ModelError(
            f"the original runs at none of the sizes that were tried ({cause})",
            "a model that runs on noise",
            "Give the shape of an input that it takes: --shape 1,3,256,256.",
        )
    if any(not isinstance(length, int) for port in inputs for length in port.dims):
        yield from _first_taken(inputs, original, _uneven(inputs, original.shape))


def _first_taken(
    inputs: Sequence[Port], original: Original, shapes: Iterator[Shapes]
) -> Generator[tuple[list[np.ndarray], list[np.ndarray]], None, str]:
    """The first that the original takes; returns why it takes none, or nothing."""
    cause = "no size was tried"
    for found in shapes:
        values = noise(inputs, found)
        try:
            expected = original.run(values) if original.run else []
        except Exception as error:
            cause = first_line(error)
            continue
        yield values, expected
        return ""
    return cause


def _plain(inputs: Sequence[Port], known: tuple[int, ...] | None) -> Iterator[Shapes]:
    """Batch 1, equal sides; the known shape before all."""
    if known is not None:
        yield [known, *(_fill(port, known[0], known[1:]) for port in inputs[1:])]
    free = len(_free_axes(inputs[0]))
    for side in SIDES.get(free, SIDES[2]):
        yield [_fill(port, 1, (side,) * free) for port in inputs]


def _uneven(inputs: Sequence[Port], known: tuple[int, ...] | None) -> Iterator[Shapes]:
    """Batch 2, unlike sides: what is only right for squares, or for one image, shows."""
    axes, sides = _free_axes(inputs[0]), SIDES.get(len(_free_axes(inputs[0])), SIDES[2])
    if known is not None and len(known) == len(inputs[0].dims):
        batched = not isinstance(inputs[0].dims[0], int)
        first = axes[:1]
        grown = [2 * n if i in first or (i == 0 and batched) else n for i, n in enumerate(known)]
        yield [tuple(grown), *(_fill(port, grown[0], tuple(grown[1:])) for port in inputs[1:])]
    for one, other in zip((*sides[1:], sides[0]), sides, strict=True):
        yield [_fill(port, 2, (one, *(other,) * (len(axes) - 1))) for port in inputs]


def _free_axes(port: Port) -> list[int]:
    """Axes of any length, without the batch."""
    return [i for i, length in enumerate(port.dims) if i and not isinstance(length, int)]


def _fill(port: Port, batch: int, lengths: tuple[int, ...]) -> tuple[int, ...]:
    rest = iter(lengths)
    return tuple(
        length if isinstance(length, int) else batch if not i else next(rest, 1) for i, length in enumerate(port.dims)
    )


def noise(inputs: Sequence[Port], shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """Noise in the types of the inputs: normal, or over the whole range of eight bits."""
    rng = np.random.default_rng(SEED)
    made = []
    for port, shape in zip(inputs, shapes, strict=True):
        kind = np.dtype(port.dtype)
        if kind.kind == "f":
            made.append(rng.standard_normal(shape).astype(kind))
        elif kind.kind == "b":
            made.append(rng.integers(0, 2, shape).astype(kind))
        else:
            made.append(rng.integers(0, 100, shape).astype(kind))
    return made


def first_line(error: BaseException) -> str:
    """What a library says first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
