"""A gzipped file read at any place: places from which unzipping can go on are noted on the first way through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilewise.openers.files import File

POINTS = 1024
"""Places of the index, at most; each keeps 32 KiB."""

APART = 1 << 20
"""Unzipped bytes between two of them, at least."""

WINDOW = 32768
"""Bytes that a place of the index keeps."""

RATIO = 1040
"""How many bytes gzip packs into one, at most."""


@dataclass(slots=True)
class GzipBytes:
    """The unzipped bytes of a file. Safe to use from many threads."""

    file: File
    """The gzipped file."""
    stop: int
    """One past the last byte that will be read."""
    inner: Any = field(init=False, repr=False)
    """indexed_gzip.IndexedGzipFile."""

    def __post_init__(self) -> None:
        import indexed_gzip

        self.inner = indexed_gzip.IndexedGzipFile(
            filename=str(self.file.path), spacing=max(APART, self.stop // POINTS), window_size=WINDOW
        )

    @staticmethod
    def held(count: int) -> int:
        """Bytes of memory that reading count bytes may take: the index, and buffers."""
        return WINDOW * min(POINTS, count // APART + 2) + (4 << 20)

    @property
    def size(self) -> int:
        """Bytes that it should have: only unzipping tells what it has."""
        return self.stop

    def read(self, start: int, count: int) -> bytes:
        """Bytes at a place.

        Raises:
            EOFError: they end before.
        """
        found: bytes = self.inner.pread(count, start)
        if len(found) != count:
            raise EOFError(f"it ends {count - len(found)} bytes early")
        return found

    def digest(self, start: int, count: int) -> str:
        """A digest of the zipped bytes at about the same place: no unzipping to find out."""
        size = self.file.size
        return self.file.digest(start * size // max(self.stop, 1), count)
