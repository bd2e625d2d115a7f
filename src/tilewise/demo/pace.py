"""Do the same to many boxes, a few at once, and tell how far it is."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from tilewise.events import Advanced, Ended, Started, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tilewise.events import Observer
    from tilewise.geometry import Box

Made = TypeVar("Made")

THREADS = min(4, os.cpu_count() or 1)
"""Boxes at once; each holds a few tens of megabytes."""


def each(
    work: Callable[[Box], Made],
    boxes: Sequence[Box],
    *,
    phase: str,
    done: int,
    pixels: int,
    observers: tuple[Observer, ...],
) -> list[Made]:
    """Results in the order of the boxes.

    Args:
        work: what to do with a box; called from several threads.
        boxes: all that is still to do.
        phase: its name for those who watch.
        done: boxes done before.
        pixels: pixels of a box, for those who watch.
        observers: those who watch.
    """
    total, begin, made = done + len(boxes), time.monotonic(), []
    tell(observers, Started(phase, total, done, pixels))
    with ThreadPoolExecutor(THREADS) as pool:
        for box, result in zip(boxes, pool.map(work, boxes), strict=True):
            made.append(result)
            tell(observers, Advanced(phase, done + len(made), 0, f"{phase} at {box.start}"))
    tell(observers, Ended(phase, time.monotonic() - begin))
    return made
