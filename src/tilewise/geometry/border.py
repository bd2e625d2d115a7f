"""What stands beyond the edges of an image: mirrored, edge or no pixels."""

from __future__ import annotations

from tilewise.geometry.box import Box, Index, box_of


def reflect_index(index: int, size: int) -> int:
    """The pixel within [0, size) that stands at an index beyond the edges; edge pixels are not repeated."""
    if size == 1:
        return 0
    period = 2 * (size - 1)
    index %= period
    return period - index if index >= size else index


def source_indices(start: int, stop: int, size: int, pad: str) -> list[int]:
    """For each index of [start, stop) the pixel of [0, size) that it shows; -1 where ``pad`` is constant."""
    if pad == "reflect":
        return [reflect_index(i, size) for i in range(start, stop)]
    if pad == "edge":
        return [min(max(i, 0), size - 1) for i in range(start, stop)]
    return [i if 0 <= i < size else -1 for i in range(start, stop)]


def source_box(window: Box, shape: Index, pad: str) -> Box:
    """The pixels of the image that a window shows, mirrored ones included: what has to be read for it."""
    ranges = []
    for start, stop, size in zip(window.start, window.stop, shape, strict=True):
        if start >= 0 and stop <= size:
            ranges.append((start, stop))
            continue
        shown = [i for i in source_indices(start, stop, size, pad) if i >= 0]
        # one pixel where it shows none: nothing cannot be read
        ranges.append((min(shown), max(shown) + 1) if shown else (0, 1))
    return box_of(ranges)
