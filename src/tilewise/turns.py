"""Test-time augmentation: each tile is computed in several positions, and the results are averaged."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tilewise.layout import arrange, restore
from tilewise.postprocess import activate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tilewise.settings import Results


@dataclass(frozen=True, slots=True)
class Turn:
    """One position of a tile [n, c, space...]."""

    flipped: tuple[int, ...]
    """Array axes that are reversed, after the quarter turns."""
    quarters: int = 0
    """Quarter turns from y to x."""

    def there(self, tiles: np.ndarray) -> np.ndarray:
        """Tiles in this position."""
        return np.flip(np.rot90(tiles, self.quarters, (-2, -1)), self.flipped)

    def back(self, tiles: np.ndarray) -> np.ndarray:
        """What was made of them, as if they had not been turned."""
        if tiles.ndim == 2:
            return tiles
        return np.rot90(np.flip(tiles, self.flipped), -self.quarters, (-2, -1))


def list_turns(results: Results, spatial: str) -> tuple[Turn, ...]:
    """All positions that are asked for, each once, the tile as it is first.

    Args:
        results: with the axes to flip.
        spatial: the axes that the model sees, yx or zyx.
    """
    axes = [2 + spatial.index(letter) for letter in spatial if letter in results.flip]
    flips = [some for count in range(len(axes) + 1) for some in itertools.combinations(axes, count)]
    if not results.rotate:
        return tuple(Turn(some) for some in flips)
    # half a turn is both flips: with them only whole and quarter turns are new
    quarters = range(2) if {"y", "x"} <= set(results.flip) else range(4)
    found: dict[bytes, Turn] = {}
    probe = np.arange(2 ** len(spatial)).reshape((1, 1) + (2,) * len(spatial))
    for count, some in itertools.product(quarters, flips):
        turn = Turn(some, count)
        found.setdefault(np.ascontiguousarray(turn.there(probe)).tobytes(), turn)
    return tuple(found.values())


def infer_turned(
    batch: np.ndarray,
    infer: Callable[[np.ndarray], Sequence[np.ndarray]],
    layouts: tuple[str, Sequence[str]],
    results: Results,
) -> list[np.ndarray]:
    """The mean over all positions of a batch, added in one fixed order in double precision.

    Args:
        batch: Axes (n, c, space).
        infer: the model, in its own layouts.
        layouts: of its input and of its outputs.
        results: positions, and whether the mean is taken before or after the activation.

    Returns:
        For each output its mean, with axes (n, c, space), or (n, c) for vectors.
    """
    rank = batch.ndim - 2
    turns = list_turns(results, "zyx"[-rank:])
    sums: list[np.ndarray] = []
    for turn in turns:
        given = infer(arrange(turn.there(batch), layouts[0]))
        made = [turn.back(restore(one, layout, rank)) for one, layout in zip(given, layouts[1], strict=True)]
        if len(turns) == 1:
            return made
        if results.average == "scores":
            made = [activate(np.array(one, np.float32, order="C"), results.activation) for one in made]
        wide = [np.asarray(one, np.float64) for one in made]
        sums = wide if not sums else [a + b for a, b in zip(sums, wide, strict=True)]
    return [(total / len(turns)).astype(np.float32) for total in sums]
