"""How many cores make a block: the unit of work, of resume and of writing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewise.geometry import Blocks, Grid, Index, round_down, round_up
from tilewise.tiling import spread

if TYPE_CHECKING:
    from tilewise.settings import Cut

SIDES = {2: 2048, 3: 256}
"""Pixels a side that ``auto`` aims at: large enough that reading halos and handling tasks cost little."""

TOGETHER = 4
"""Planes of a block for each neighbour on one side: at most half as many again are read."""

PER_THREAD = 4
"""Blocks that ``auto`` leaves for each thread where the image is large enough, so that all stay busy to the end."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What a pixel of a block costs in memory."""

    read: float
    """Bytes per input pixel with halo."""
    write: float
    """Bytes per input pixel of the cores."""


def choose_blocks(grid: Grid, lead: int, cut: Cut, *, threads: int, budget: int, weights: Weights) -> Blocks:
    """Gather cores into blocks.

    Args:
        grid: the cut of all axes.
        lead: how many of them the model does not see; a block holds one plane of each, or several where each is
            read for its neighbours, too.
        cut: what the user asked for.
        threads: blocks at once over all workers.
        budget: bytes that one block may take for reading and writing.
        weights: what a pixel costs.
    """
    ndim = len(grid.axes) - lead
    planes = tuple(min(axis.count, TOGETHER * axis.lead) if axis.lead else 1 for axis in grid.axes[:lead])
    if cut.block != "auto":
        asked = spread("--block", cut.block, ndim)
        cores = tuple(_cores(side, axis.step, axis.count) for side, axis in zip(asked, grid.axes[lead:], strict=True))
        return Blocks(grid, planes + cores)
    side = SIDES[ndim]
    cores = tuple(_cores(round_down(side, a.step) or a.step, a.step, a.count) for a in grid.axes[lead:])
    while max(cores) > 1 and not _suits(Blocks(grid, planes + cores), threads, budget, weights):
        cores = _halve(cores)
    return Blocks(grid, planes + cores)


def block_bytes(blocks: Blocks, weights: Weights) -> tuple[int, int]:
    """Bytes read and written for a whole block."""
    kept = math.prod(min(n, size) for n, size in zip(blocks.shape, blocks.grid.shape, strict=True))
    return int(math.prod(blocks.largest_window) * weights.read), int(kept * weights.write)


def decoded_pixels(blocks: Blocks, chunks: Index, phase: Index) -> int:
    """Pixels that all blocks decode together, each rounded out to whole chunks of the source.

    Args:
        blocks: the cut.
        chunks: the unit read, per axis.
        phase: where the image's first pixel lies in its chunk, per axis.
    """
    total = 1
    for k, (chunk, shift) in enumerate(zip(chunks, phase, strict=True)):
        size = blocks.grid.axes[k].size + shift
        ends = (_ends(blocks, k, n) for n in range(blocks.counts[k]))
        total *= sum(_decoded(size, chunk, start + shift, stop + shift) for start, stop in ends)
    return total


def _ends(blocks: Blocks, axis: int, number: int) -> tuple[int, int]:
    cut, m = blocks.grid.axes[axis], blocks.cores[axis]
    last = min((number + 1) * m, cut.count) - 1
    return max(cut.window(number * m)[0], 0), min(cut.window(last)[1], cut.size)


def _decoded(size: int, chunk: int, start: int, stop: int) -> int:
    return min(round_up(stop, chunk), size) - round_down(start, chunk)


def _cores(side: int, step: int, count: int) -> int:
    return max(1, min(-(-side // step), count))


def _suits(blocks: Blocks, threads: int, budget: int, weights: Weights) -> bool:
    read, write = block_bytes(blocks, weights)
    return 2 * (read + write) <= budget and (blocks.total >= PER_THREAD * threads or blocks.grid.tiles < threads)


def _halve(cores: Index) -> Index:
    """Fewer cores along the longest axis."""
    longest = cores.index(max(cores))
    return tuple(-(-m // 2) if k == longest else m for k, m in enumerate(cores))
