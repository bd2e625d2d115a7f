"""An open zarr array: read by selections, and looked through for what zarr would not notice."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilewise.errors import ImageError, StoreError
from tilewise.geometry import Box
from tilewise.openers.axes import check_pixels
from tilewise.openers.spec import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from tilewise.store import Store


SAMPLED_BYTES = 65536
"""Of a stored unit, when images are told apart."""

HEAD = 16
"""Bytes of Blosc's header."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """An open array. Safe to use from many threads."""

    folder: Store
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
        for key, place in self.list_units(box):
            yield key, place, self.find_fault(key)

    def list_units(self, box: Box) -> Iterator[tuple[str, Box]]:
        """Key and place of each stored unit that a box touches."""
        ranges = [range(a // n, -(-b // n)) for a, b, n in zip(box.start, box.stop, self.unit, strict=True)]
        for place in itertools.product(*ranges):
            start = tuple(k * n for k, n in zip(place, self.unit, strict=True))
            whole = Box(start, tuple(a + n for a, n in zip(start, self.unit, strict=True)))
            yield self.array.metadata.encode_chunk_key(place), whole.clip(self.array.shape)

    def sample(self, count: int) -> dict[str, str]:
        """Digests of a few stored units spread over the array, by key; of each its length and first bytes count."""
        found = ((key, self.digest(key)) for key in self.choose(count))
        return {key: digest for key, digest in found if digest is not None}

    def choose(self, count: int) -> Iterator[str]:
        """Keys of a few units spread over the array."""
        grid = [-(-n // unit) for n, unit in zip(self.array.shape, self.unit, strict=True)]
        total = math.prod(grid)
        step = max(total // count, 1)
        for number in range(step // 2, total, step):
            place, rest = [], number
            for n in reversed(grid):
                place.append(rest % n)
                rest //= n
            yield self.array.metadata.encode_chunk_key(tuple(reversed(place)))

    def digest(self, key: str) -> str | None:
        """Of a unit's length and first bytes; None if it is not stored or cannot be read."""
        with contextlib.suppress(OSError):
            found = self.folder.peek(key, SAMPLED_BYTES)
            if found is not None:
                return hashlib.sha256(str(found[1]).encode() + found[0]).hexdigest()[:16]
        return None

    def find_fault(self, key: str) -> str | None:
        """What zarr would not notice: it fills an empty shard, and Blosc reads on beyond a chunk that was cut short."""
        if self.blosc:
            found = self.folder.peek(key, HEAD)
            return MISSING if found is None else judge(found[0], found[1], blosc=True)
        size = self.folder.size(key)
        return MISSING if size is None else judge(b"", size, blosc=False)


def judge(head: bytes, size: int, *, blosc: bool) -> str | None:
    """The fault of a stored unit, told by its first bytes and its length."""
    if size == 0:
        return "it has no bytes"
    if not blosc:
        return None
    # bytes 12 to 16 of Blosc's header are the length of all, header included
    expected = int.from_bytes(head[12:16], "little") if len(head) == HEAD else HEAD
    return None if size == expected else f"it has {size} bytes, Blosc's header says {expected}"


def open_array(folder: Store, zarr_format: int) -> Any:
    """Open an array and refuse pixels that no model takes."""
    import zarr

    try:
        found = zarr.open_array(folder.nodes(), mode="r", zarr_format=zarr_format)
        dtype = found.dtype
    except StoreError:
        raise
    except Exception as error:
        raise ImageError(
            f"the array {folder.place} cannot be opened ({_first_line(error)})",
            "metadata and codecs that zarr-python knows",
            "Install the codec that it names, or write the image again.",
        ) from error
    check_pixels(dtype, tuple(found.shape), folder.place)
    return found


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__
