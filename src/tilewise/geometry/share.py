"""How chunks that only see their neighbours can share the cores of an axis."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilewise.geometry.grid import AnyAxis


@dataclass(frozen=True, slots=True)
class Share:
    """How Dask's chunks share the cores of one axis, so that a chunk and its neighbours show all that it needs."""

    axis: AnyAxis
    """The cut."""
    cores: tuple[range, ...]
    """Cores by chunk."""

    @property
    def chunks(self) -> tuple[int, ...]:
        """Lengths of the padded image's chunks."""
        edges = [self._edge(cores[0]) for cores in self.cores[1:]]
        whole = self.axis.padded + self.axis.lead + self.axis.trail
        return tuple(b - a for a, b in zip([0, *edges], [*edges, whole], strict=True))

    @property
    def placed(self) -> tuple[int, ...]:
        """Lengths of the output's chunks."""
        return tuple(self.axis.placed(cores[-1])[1] - self.axis.placed(cores[0])[0] for cores in self.cores)

    @property
    def depth(self) -> tuple[int, int]:
        """Pixels that a chunk needs of the one before and the one behind."""
        before = [self._edge(cores[0]) - self._window(cores)[0] for cores in self.cores[1:]]
        after = [self._window(c)[1] - self._edge(d[0]) for c, d in pairwise(self.cores)]
        # windows that do not touch need nothing of each other
        return max([0, *before]), max([0, *after])

    def first(self, k: int) -> int:
        """Where chunk k, with what it got of the one before, starts in the image."""
        if k == 0:
            return -self.axis.lead
        return self.axis.core(self.cores[k][0])[0] - self.depth[0]

    @property
    def feasible(self) -> bool:
        """True if no chunk needs more of a neighbour than it has."""
        return len(self.cores) == 1 or max(self.depth) <= min(self.chunks)

    def _edge(self, core: int) -> int:
        return self.axis.core(core)[0] + self.axis.lead

    def _window(self, cores: range) -> tuple[int, int]:
        lead = self.axis.lead
        return self.axis.window(cores[0])[0] + lead, self.axis.window(cores[-1])[1] + lead


def share_cores(axis: AnyAxis, cores: int) -> Share:
    """The finest sharing at or above a block's cores that is feasible; a short last chunk joins its neighbour."""
    for m in range(cores, axis.count):
        starts = list(range(0, axis.count, m))
        whole = Share(axis, _ranges(starts, axis.count))
        for share in (whole, Share(axis, _ranges(starts[:-1] or [0], axis.count))):
            if share.feasible:
                return share
    return Share(axis, (range(axis.count),))


def _ranges(starts: list[int], count: int) -> tuple[range, ...]:
    return tuple(range(a, b) for a, b in zip(starts, [*starts[1:], count], strict=True))
