"""Pixels that lie in a file one after the other: read by runs, without mapping the file.

A mapped file that is cut short kills the process; a read that comes up short is an error that can be named.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tilewise.geometry import Box
from tilewise.openers.files import SAMPLED_BYTES
from tilewise.openers.selection import read_selection

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from tilewise.openers.selection import Selection

WASTE = 4
"""Neighbouring runs are read in one go if that reads at most this many times what is wanted."""

ROW = 1024
"""Pixels of a row that are told as the unit read: where little lies between, rows are read whole."""

SPAN = 8 << 20
"""Bytes that are read in one go at most, unless a single run is longer."""


class Bytes(Protocol):
    """What pixels are read from; safe to use from many threads."""

    @property
    def size(self) -> int:
        """Bytes that it has."""

    def read(self, start: int, count: int) -> bytes:
        """Bytes at a place; an error if it ends before."""

    def digest(self, start: int, count: int) -> str:
        """A digest of what stands at a place."""


@dataclass(frozen=True, slots=True)
class RawPixels:
    """An array in a file, in C order. Safe to use from many threads."""

    file: Bytes
    """The open file."""
    offset: int
    """Where its first byte lies."""
    shape: tuple[int, ...]
    """Pixels per axis."""
    dtype: np.dtype
    """With the byte order of the file."""

    def read(self, selection: Selection) -> np.ndarray:
        """Pixels of a selection, in the byte order of the file."""
        return read_selection(selection, self.read_box)

    def read_box(self, box: Box) -> np.ndarray:
        """Pixels of a box."""
        import numpy as np

        out = np.empty(box.shape, self.dtype)
        inner = _find_inner(self.shape, box, self.dtype.itemsize)
        for place in itertools.product(*(range(n) for n in box.shape[:inner])):
            absolute = tuple(a + k for a, k in zip(box.start, place, strict=False))
            out[place] = self._read_span(absolute, Box(box.start[inner:], box.stop[inner:]))
        return out

    def stored(self, box: Box) -> Iterator[tuple[str, Box, str | None]]:
        """The bytes from a box's first pixel to its last, as one unit."""
        start, stop = self._span((), box)
        size = self.file.size
        fault = None if stop <= size else f"the file ends at byte {size}"
        yield f"bytes {start} to {stop}", box, fault

    def sample(self, count: int) -> dict[str, str]:
        """Digests of a few stretches spread over the array, by where they begin."""
        total = math.prod(self.shape) * self.dtype.itemsize
        step = max(total // count, 1)
        places = range(self.offset + step // 2, self.offset + total, step)
        return {str(place): self.file.digest(place, min(SAMPLED_BYTES, step)) for place in places}

    def _span(self, place: tuple[int, ...], box: Box) -> tuple[int, int]:
        """First byte, and the one behind the last, of a box over the axes behind a place."""
        first, last = 0, 0
        corners = (*zip(place, place, strict=True), *((a, b - 1) for a, b in zip(box.start, box.stop, strict=True)))
        for (a, b), n in zip(corners, self.shape, strict=True):
            first, last = first * n + a, last * n + b
        size = self.dtype.itemsize
        return self.offset + first * size, self.offset + (last + 1) * size

    def _read_span(self, place: tuple[int, ...], box: Box) -> np.ndarray:
        """The pixels of a box over the axes behind a place, cut out of all that lies between its ends."""
        import numpy as np

        start, stop = self._span(place, box)
        flat = np.frombuffer(self.file.read(start, stop - start), self.dtype)
        strides = [math.prod(self.shape[k + 1 :]) * self.dtype.itemsize for k in range(len(place), len(self.shape))]
        return np.lib.stride_tricks.as_strided(flat, box.shape, strides, writeable=False)


def _find_inner(shape: tuple[int, ...], box: Box, itemsize: int) -> int:
    """The first axis of those that are read in one go: neighbouring runs with little between them."""
    inner = len(shape) - 1
    for axis in reversed(range(len(shape) - 1)):
        wanted = math.prod(box.shape[axis:]) * itemsize
        between = box.shape[axis] * math.prod(shape[axis + 1 :]) * itemsize
        if between > WASTE * wanted or between > SPAN:
            break
        inner = axis
    return inner
