"""The certificate: tiled against untiled, on noise, on this machine, with the graph that workers run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewise.geometry import Axis, round_up
from tilewise.proof.probe import difference, spatial_axes, take, value_range

if TYPE_CHECKING:
    import numpy as np

    from tilewise.proof.geometry import Frame
    from tilewise.proof.runner import Runner


@dataclass(frozen=True, slots=True)
class Certified:
    """What was run, and how far it was off."""

    tile: tuple[int, ...]
    """Longest tile per axis."""
    difference: float
    """Largest difference, as a fraction of the output's range."""


def plan_axis(frame: Frame, axis: int) -> Axis:
    """At least four windows along one axis, at the least context that the walk claims to be enough."""
    reach, m = frame.reaches[axis], frame.multiple[axis]
    before = reach.lead + round_up(reach.before - reach.lead, m)
    tile = frame.legal(axis, max(before + reach.after + frame.step(axis), frame.small(axis)))
    step = (tile - before - reach.after) // m * m
    size = tile - reach.lead - reach.trail + 3 * step
    return Axis(size, tile, m, before, reach.after, reach.lead, reach.trail, frame.scale(axis))


def pixels(frame: Frame) -> float:
    """Pixels that the certificate will run."""
    total = 0.0
    for axis in range(len(frame.reaches)):
        cut = plan_axis(frame, axis)
        windows = len({cut.window(k)[0] for k in range(cut.count)})
        tile = math.prod(frame.along(axis, cut.tile))
        total += tile * (windows + (cut.size + cut.lead + cut.trail) / cut.tile)
    return total


def certify(runner: Runner, frame: Frame, output_layout: str) -> Certified:
    """Run whole and in tiles, axis by axis."""
    tiles, worst = [], 0.0
    for axis in range(len(frame.reaches)):
        cut = plan_axis(frame, axis)
        sizes = list(frame.along(axis, cut.tile))
        sizes[axis] = cut.size + cut.lead + cut.trail
        image = runner.noise(sizes, seed=100 + axis)
        whole = runner.run(image)[0]
        where = spatial_axes(output_layout)[axis]
        worst = max(worst, _tiled_difference(runner, cut, axis, image, whole, where) / max(value_range(whole), 1e-30))
        tiles.append(cut.tile)
    return Certified(tuple(tiles), worst)


def _tiled_difference(runner: Runner, cut: Axis, axis: int, image: np.ndarray, whole: np.ndarray, where: int) -> float:
    worst, made, last = 0.0, whole, None
    for k in range(cut.count):
        start, stop = cut.window(k)
        if start != last:
            made, last = runner.run(take(image, axis + 1, start + cut.lead, stop + cut.lead))[0], start
        kept = take(made, where, *cut.taken(k))
        worst = max(worst, float(difference(kept, take(whole, where, *cut.placed(k))).max(initial=0.0)))
    return worst


def shift(runner: Runner, frame: Frame, output_layout: str) -> Certified | None:
    """For a graph of one fixed size: four windows against each other where both feel no cut.

    Returns:
        None if a window has no such place.
    """
    worst, some = 0.0, False
    for axis in range(len(frame.reaches)):
        tile, m = frame.small(axis), frame.multiple[axis]
        image = runner.noise([n + 5 * m * (i == axis) for i, n in enumerate(frame.along(axis, tile))], seed=200 + axis)
        where = spatial_axes(output_layout)[axis]
        low, high = frame.clean(axis, 0, tile, before=True, after=True)
        windows = [(n, runner.run(take(image, axis + 1, n * m, n * m + tile))[0]) for n in (0, 1, 3, 5)]
        reference = windows[0][1]
        for n, made in windows[1:]:
            offset = int(n * m * frame.scale(axis))
            if low + offset >= high:
                continue
            some = True
            apart = difference(take(made, where, low, high - offset), take(reference, where, low + offset, high))
            worst = max(worst, float(apart.max(initial=0.0)) / max(value_range(reference), 1e-30))
    return Certified(tuple(frame.small(i) for i in range(len(frame.reaches))), worst) if some else None
