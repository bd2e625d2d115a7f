"""Moments of a tensor within a network: sums over cells of the network's own grid, so that tiles do not matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tilewise.stats.exact import exact_sum
from tilewise.stats.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Sequence


def moments_of_cells(pixels: np.ndarray, cell: Sequence[int]) -> Moments:
    """Moments of one channel, by sums over cells that are each added in one fixed order and then together exactly.

    Cores begin and end at multiples of the network's M, so that every cell of M pixels lies in one core, however the
    image is cut: sums are the same bits for all tiles, blocks and orders.

    Args:
        pixels: Axes (space); the first pixel begins a cell.
        cell: Pixels of a cell, per axis; those at the far ends may be cut short.
    """
    wide = np.ascontiguousarray(pixels, np.float64)
    finite = np.isfinite(wide)
    nan = inf = 0
    if not finite.all():
        nan = int(np.isnan(wide).sum())
        inf = int(finite.size - np.count_nonzero(finite)) - nan
        if nan + inf == wide.size:
            return Moments(0, nan, inf)
        low, high = float(wide[finite].min()), float(wide[finite].max())
        wide = np.where(finite, wide, 0.0)
    else:
        low, high = float(wide.min()), float(wide.max())
    return Moments(
        wide.size - nan - inf,
        nan,
        inf,
        low + 0.0,
        high + 0.0,
        exact_sum(_add_cells(wide, cell)),
        exact_sum(_add_cells(wide * wide, cell)),
    )


def _add_cells(wide: np.ndarray, cell: Sequence[int]) -> np.ndarray:
    """One sum a cell, flat."""
    for axis in reversed(range(wide.ndim)):
        if cell[axis] > 1:
            # along one axis after the other: what is added to what depends on the cell alone
            wide = np.ascontiguousarray(np.add.reduceat(wide, range(0, wide.shape[axis], cell[axis]), axis=axis))
    return wide.ravel()
