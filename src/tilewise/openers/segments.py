"""Strips and tiles of TIFF pages: each is read at its place and decoded alone."""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tilewise.geometry import Box
from tilewise.openers.selection import read_selection
from tilewise.openers.spec import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from tilewise.openers.files import File
    from tilewise.openers.selection import Selection

LARGE = 1 << 20
"""Decoded bytes from which on a segment is kept for the next read: strips that several tiles share."""

KEPT = 64 << 20
"""Decoded bytes that are kept, if they are more than one segment."""

SLACK = 1 << 16
"""Encoded bytes that a segment may have beyond twice its pixels: more is no encoding, but a trap."""


@dataclass(frozen=True, slots=True)
class Page:
    """One image file directory."""

    file: File
    """Where it lies."""
    offsets: tuple[int, ...]
    """First byte of each segment; 0 if it is not stored."""
    counts: tuple[int, ...]
    """Bytes of each segment."""
    tables: bytes | None
    """JPEG tables that its segments share."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Large segments that were decoded last."""

    items: OrderedDict[tuple[int, int], np.ndarray | None] = field(default_factory=OrderedDict)
    """Pixels by page and segment."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while the items are looked at."""
    alone: threading.Lock = field(default_factory=threading.Lock)
    """Held while one of those is decoded that are larger than all that is kept."""


@dataclass(frozen=True, slots=True)
class Segments:
    """A series of pages of one shape as an array. Safe to use from many threads."""

    pages: tuple[Page | None, ...]
    """In C order over the axes before a page's own; None if one is not stored."""
    shape: tuple[int, ...]
    """Pixels per axis."""
    chunk: tuple[int, ...]
    """Pixels of a segment per axis; 1 on the axes before a page's own."""
    dtype: np.dtype
    """Of what is decoded."""
    keyframe: Any
    """tifffile.TiffPage, whose decoder all pages share."""
    kept: Kept = field(default_factory=Kept)
    """Large segments that were decoded last."""

    @property
    def lead(self) -> int:
        """How many axes lie before a page's own."""
        return len(self.shape) - len(self.keyframe.chunked)

    def read(self, selection: Selection) -> np.ndarray:
        """Pixels of a selection; what is not stored is 0."""
        return read_selection(selection, self.read_box)

    def read_box(self, box: Box) -> np.ndarray:
        """Pixels of a box; what is not stored is 0."""
        import numpy as np

        out = np.zeros(box.shape, self.dtype)
        for page, segment, place in self._touched(box):
            pixels = self._decode(page, segment)
            if pixels is None:
                continue
            start = tuple(map(max, place.start, box.start))
            stop = tuple(map(min, place.stop, box.stop))
            both = Box(start, stop)
            out[both.inside(box).slices] = pixels[both.inside(place).slices]
        return out

    def stored(self, box: Box) -> Iterator[tuple[str, Box, str | None]]:
        """Page and segment of each that a box touches, its place, and its fault."""
        for page, segment, place in self._touched(box):
            yield f"{page}.{segment}", place.clip(self.shape), self._find_fault(page, segment)

    def sample(self, count: int) -> dict[str, str]:
        """Digests of a few segments spread over the series, by page and segment."""
        each = math.prod(self.keyframe.chunked)
        total = each * len(self.pages)
        found = {}
        for number in range(max(total // count, 1) // 2, total, max(total // count, 1)):
            page, segment = divmod(number, each)
            place = self._locate(page, segment)
            if place is not None:
                found[f"{page}.{segment}"] = place[0].file.digest(place[1], place[2])
        return found

    def _touched(self, box: Box) -> Iterator[tuple[int, int, Box]]:
        """Page, segment and place of all segments that a box touches."""
        grid = (*self.shape[: self.lead], *self.keyframe.chunked)
        ranges = [range(a // n, -(-b // n)) for a, b, n in zip(box.start, box.stop, self.chunk, strict=True)]
        for index in itertools.product(*ranges):
            start = tuple(k * n for k, n in zip(index, self.chunk, strict=True))
            place = Box(start, tuple(a + n for a, n in zip(start, self.chunk, strict=True)))
            yield _ravel(index[: self.lead], grid[: self.lead]), _ravel(index[self.lead :], grid[self.lead :]), place

    def _locate(self, page: int, segment: int) -> tuple[Page, int, int] | None:
        """Where a segment lies: page, first byte, number of bytes; None if it is not stored."""
        found = self.pages[page] if page < len(self.pages) else None
        if found is None or segment >= min(len(found.offsets), len(found.counts)):
            return None
        offset, count = found.offsets[segment], found.counts[segment]
        return (found, offset, count) if offset and count else None

    def _find_fault(self, page: int, segment: int) -> str | None:
        place = self._locate(page, segment)
        if place is None:
            return MISSING
        found, offset, count = place
        size = found.file.size
        if offset + count > size:
            return f"the file ends at byte {size}, it would end at {offset + count}"
        decoded = math.prod(self.chunk) * self.dtype.itemsize
        if count > 2 * decoded + SLACK:
            return f"{count} bytes for {decoded} bytes of pixels"
        return None

    def _decode(self, page: int, segment: int) -> np.ndarray | None:
        """Pixels of a whole segment; large ones are kept for the next read."""
        size, key = math.prod(self.chunk) * self.dtype.itemsize, (page, segment)
        if size < LARGE:
            return self._decode_now(page, segment)
        # the largest wait for each other: not twice in memory, and not decoded by two threads
        with self.kept.alone if size > KEPT else contextlib.nullcontext():
            with self.kept.lock:
                if key in self.kept.items:
                    self.kept.items.move_to_end(key)
                    return self.kept.items[key]
            pixels = self._decode_now(page, segment)
            with self.kept.lock:
                while self.kept.items and (len(self.kept.items) + 1) * size > KEPT:
                    self.kept.items.popitem(last=False)
                self.kept.items[key] = pixels
            return pixels

    def _decode_now(self, page: int, segment: int) -> np.ndarray | None:
        place = self._locate(page, segment)
        if place is None:
            return None
        found, offset, count = place
        more = {} if found.tables is None else {"jpegtables": found.tables}
        if self.keyframe.jpegheader is not None:
            more["jpegheader"] = self.keyframe.jpegheader
        pixels = self.keyframe.decode(found.file.read(offset, count), segment, _fullsize=True, **more)[0]
        if pixels is None or pixels.size != math.prod(self.chunk):
            raise ValueError(f"decoded to {getattr(pixels, 'shape', None)} instead of {self.chunk}")
        decoded: np.ndarray = pixels.reshape(self.chunk)
        return decoded


def _ravel(index: tuple[int, ...], grid: tuple[int, ...]) -> int:
    number = 0
    for k, n in zip(index, grid, strict=True):
        number = number * n + k
    return number
