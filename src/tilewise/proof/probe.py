"""Probes of what a cut really does: noise on each side of it, and NaN through the linearised graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tilewise.geometry import round_up
from tilewise.proof.runner import RunError, Runner, space

if TYPE_CHECKING:
    from tilewise.proof.geometry import Frame


@dataclass(frozen=True, slots=True)
class Felt:
    """What one probe found along one axis."""

    axis: int
    """Spatial axis."""
    side: str
    """before or after: the side of the window on which the image was cut."""
    kind: str
    """noise or NaN."""
    need: int
    """Input pixels from the cut to the last output that felt it."""
    beyond: float
    """Largest difference farther away than the walk allows, as a fraction of the output's range; inf for NaN."""


def spatial_axes(output_layout: str) -> list[int]:
    """Numbers of the output's spatial axes, in spatial order."""
    return [output_layout.index(letter) for letter in space(output_layout)]


def cut_noise(runner: Runner, frame: Frame, output_layout: str) -> list[Felt]:
    """Cut noise at a multiple of M, on either side, and compare with the whole."""
    found = []
    for axis in range(len(frame.reaches)):
        reach, m = frame.reaches[axis], frame.multiple[axis]
        extra = frame.step(axis)
        length = frame.legal(axis, max(reach.before + reach.after + 2 * m, frame.small(axis)))
        sizes = [n + extra * (i == axis) for i, n in enumerate(frame.along(axis, length))]
        image = runner.noise(sizes, seed=axis)
        whole = runner.run(image)[0]
        for side, start in (("before", extra), ("after", 0)):
            window = take(image, axis + 1, start, start + length)
            made = runner.run(window)[0]
            found.append(_compare(frame, axis, side, start, length, made, whole, spatial_axes(output_layout)[axis]))
    return found


def take(array: np.ndarray, axis: int, start: int, stop: int) -> np.ndarray:
    """A stretch of one axis."""
    return array[(slice(None),) * axis + (slice(start, stop),)]


def _compare(
    frame: Frame, axis: int, side: str, start: int, length: int, made: np.ndarray, whole: np.ndarray, where: int
) -> Felt:
    offset = int(start * frame.scale(axis))
    same = take(whole, where, offset, offset + made.shape[where])
    if same.shape != made.shape:
        raise RunError(f"a window gave {made.shape}, the whole {whole.shape}")
    low, high = frame.clean(axis, start, start + length, before=side == "before", after=side == "after")
    different = _profile(difference(made, same), where)
    scope = max(value_range(whole), 1e-30)
    beyond = float(different[low:high].max(initial=0.0)) / scope
    return Felt(axis, side, "noise", _need(frame, axis, side, different > 0), beyond)


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Absolute, in double; NaN equals NaN, and is infinitely far from a number."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - b)
    apart[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0
    apart[np.isnan(apart)] = np.inf
    return apart


def value_range(array: np.ndarray) -> float:
    """Largest finite value less the smallest."""
    finite = array[np.isfinite(array)].astype(np.float64)
    return float(finite.max() - finite.min()) if finite.size else 0.0


def _profile(apart: np.ndarray, where: int) -> np.ndarray:
    """The largest along all axes but one."""
    found: np.ndarray = apart.max(axis=tuple(i for i in range(apart.ndim) if i != where))
    return found


def _need(frame: Frame, axis: int, side: str, felt: np.ndarray) -> int:
    """Input pixels from the cut to the farthest index that felt it."""
    reach, places = frame.reaches[axis], np.nonzero(felt)[0]
    if side == "before":
        return reach.lead + (int(np.ceil((places[-1] + 1) * float(reach.step))) if len(places) else 0)
    return reach.trail + (int(np.ceil((len(felt) - places[0]) * float(reach.step))) if len(places) else 0)


def spread_nan(runner: Runner, frame: Frame, output_layout: str) -> list[Felt]:
    """Fill everything beyond a cut with NaN, in the linearised graph."""
    found: list[Felt] = []
    for axis in range(len(frame.reaches)):
        reach, m = frame.reaches[axis], frame.multiple[axis]
        extra = round_up(max(m, 8), m)
        length = frame.legal(axis, reach.before + reach.after + 2 * m + extra)
        image = np.abs(runner.noise(frame.along(axis, length), seed=axis))
        where = spatial_axes(output_layout)[axis]
        if length <= extra:
            continue
        if not np.isfinite(runner.run(image)[0]).all():
            return []
        found += [_spread(runner, frame, axis, side, extra, image, where) for side in ("before", "after")]
    return found


def _spread(runner: Runner, frame: Frame, axis: int, side: str, extra: int, image: np.ndarray, where: int) -> Felt:
    length = image.shape[axis + 1]
    cut = extra if side == "before" else length - extra
    holed = image.copy()
    hole = slice(0, cut) if side == "before" else slice(cut, length)
    holed[(slice(None),) * (axis + 1) + (hole,)] = np.nan
    felt = np.isnan(_profile(runner.run(holed)[0].astype(np.float64), where))
    reach, places = frame.reaches[axis], np.nonzero(felt)[0]
    if not len(places):
        return Felt(axis, side, "NaN", 0, 0.0)
    # output index o lies at input pixel o * step + lead
    if side == "before":
        need, allowed = reach.lead + int(np.ceil((places[-1] + 1) * float(reach.step))) - cut, reach.before
    else:
        need, allowed = cut - int(np.floor(places[0] * float(reach.step))) - reach.lead, reach.after
    return Felt(axis, side, "NaN", need, np.inf if need > allowed else 0.0)
