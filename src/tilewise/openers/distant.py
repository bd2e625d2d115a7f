"""An open zarr array on an object store: the reads themselves tell what is missing or cut short.

A look at each chunk before it is read, as on a disk, would double the requests. Only what no read has met is asked for.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tilewise.openers.pixels import HEAD, Pixels, judge
from tilewise.openers.spec import MISSING
from tilewise.store import watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from tilewise.geometry import Box

TOGETHER = 16
"""Requests at once where many objects are asked for."""

KNOWN = 100_000
"""Chunks that are remembered."""


@dataclass(frozen=True, slots=True)
class DistantPixels:
    """An open array. Safe to use from many threads."""

    pixels: Pixels
    """The array, as it would be on a disk."""
    faults: dict[str, str | None] = field(default_factory=dict)
    """What reads have met, by key: no fault is None."""
    lock: Any = field(default_factory=threading.Lock)
    """Held while something is forgotten."""

    def read(self, selection: tuple[slice | list[int], ...]) -> np.ndarray:
        """Pixels of a selection in one read; what is missing is fill, and known from then on.

        Raises:
            ValueError: a chunk without bytes, or one that Blosc would read beyond.
        """
        with watched(self._note):
            return self.pixels.read(selection)

    def stored(self, box: Box) -> Iterator[tuple[str, Box, str | None]]:
        """What a box touches: key, place and fault of each stored unit; no fault is None."""
        units = list(self.pixels.list_units(box))
        unknown = [key for key, _ in units if key not in self.faults]
        with ThreadPoolExecutor(TOGETHER) as pool:
            asked = dict(zip(unknown, pool.map(self.pixels.find_fault, unknown), strict=True)) if unknown else {}
        for key, place in units:
            yield key, place, asked.get(key, self.faults.get(key))

    def sample(self, count: int) -> dict[str, str]:
        """Digests of a few stored units spread over the array, by key; of each its length and first bytes count."""
        keys = list(self.pixels.choose(count))
        with ThreadPoolExecutor(TOGETHER) as pool:
            found = zip(keys, pool.map(self.pixels.digest, keys), strict=True)
            return {key: digest for key, digest in found if digest is not None}

    def _note(self, key: str, content: Any, whole: bool) -> None:
        """A look at what zarr has got, before it is decoded."""
        fault: str | None = MISSING
        if content is not None:
            blosc = self.pixels.blosc and whole
            fault = judge(content[:HEAD].to_bytes() if blosc else b"", len(content), blosc=blosc)
        with self.lock:
            while len(self.faults) >= KNOWN:
                del self.faults[next(iter(self.faults))]
            self.faults[key] = fault
        if fault not in {None, MISSING}:
            raise ValueError(fault)
