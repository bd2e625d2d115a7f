"""An open zarr array: read by selections, and looked through for what zarr would not notice."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilewise.errors import ImageError
from tilewise.geometry import Box
from tilewise.openers.axes import check_pixels
from tilewise.openers.spec import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np


SAMPLED_BYTES = 65536
"""Of a stored unit, when images are told apart."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """An open array. Safe to use from many threads."""

    folder: Path
    """The array's folder."""
    array: Any
    """zarr.Array."""
    unit: tuple[int, ...]
    """What is stored as one file, per axis: a shard, or a chunk where there are none."""
    blosc: bool
    """True if each such file is one Blosc buffer."""

    def read(self, selection: tuple[slice | list[int], ...]) -> np.ndarray:
        """Pixels of a selection in one read, in the array's own axis order and byte order."""
        import numpy as np

        if all(isinstance(part, slice) for part in selection):
            return np.asarray(self.array[selection])
        return np.asarray(self.array.get_orthogonal_selection(selection))

    def stored(self, box: Box) -> Iterator[tuple[str, Box, str | None]]:
        """What a box touches: key, place and fault of each stored unit; no fault is None."""
        ranges = [range(a // n, -(-b // n)) for a, b, n in zip(box.start, box.stop, self.unit, strict=True)]
        for place in itertools.product(*ranges):
            key = self.array.metadata.encode_chunk_key(place)
            start = tuple(k * n for k, n in zip(place, self.unit, strict=True))
            whole = Box(start, tuple(a + n for a, n in zip(start, self.unit, strict=True)))
            yield key, whole.clip(self.array.shape), self._find_fault(key)

    def sample(self, count: int) -> dict[str, str]:
        """Digests of a few stored units spread over the array, by key; of each its length and first bytes count."""
        grid = [-(-n // unit) for n, unit in zip(self.array.shape, self.unit, strict=True)]
        total = math.prod(grid)
        step = max(total // count, 1)
        found = {}
        for number in range(step // 2, total, step):
            place, rest = [], number
            for n in reversed(grid):
                place.append(rest % n)
                rest //= n
            key = self.array.metadata.encode_chunk_key(tuple(reversed(place)))
            with contextlib.suppress(OSError), (self.folder / key).open("rb") as file:
                content = str(os.fstat(file.fileno()).st_size).encode() + file.read(SAMPLED_BYTES)
                found[key] = hashlib.sha256(content).hexdigest()[:16]
        return found

    def _find_fault(self, key: str) -> str | None:
        """What zarr would not notice: it fills an empty shard, and Blosc reads on beyond a chunk that was cut short."""
        path = self.folder / key
        try:
            size = os.stat(path).st_size  # noqa: PTH116  half the time of Path.stat, once a chunk
        except (FileNotFoundError, NotADirectoryError):
            return MISSING
        if size == 0:
            return "it has no bytes"
        if not self.blosc:
            return None
        with path.open("rb", buffering=0) as file:
            head = file.read(16)
        # bytes 12 to 16 of Blosc's header are the length of all, header included
        expected = int.from_bytes(head[12:16], "little") if len(head) == 16 else 16
        return None if size == expected else f"it has {size} bytes, Blosc's header says {expected}"


def open_array(folder: Path, zarr_format: int) -> Any:
    """Open an array and refuse pixels that no model takes."""
    import zarr
    from zarr.storage import LocalStore

    try:
        found = zarr.open_array(LocalStore(folder, read_only=True), mode="r", zarr_format=zarr_format)
        dtype = found.dtype
    except Exception as error:
        raise ImageError(
            f"the array {folder} cannot be opened ({_first_line(error)})",
            "metadata and codecs that zarr-python knows",
            "Install the codec that it names, or write the image again.",
        ) from error
    check_pixels(dtype, tuple(found.shape), folder)
    return found


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__
