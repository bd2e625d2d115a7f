"""Files that hold an image: found in a path, told by their first bytes, read at a place by many threads at once."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tilewise.errors import ImageError

SAMPLED_BYTES = 65536
"""Of a stored unit, when images are told apart."""


def locate(path: str) -> tuple[Path, str]:
    """The file that a path means, and the place within it that stands behind its name.

    ``data.h5/raw/volume`` is the file data.h5 and the place raw/volume. Where no part of the path is a file, the
    path itself is given back.
    """
    whole = Path(os.path.abspath(Path(path.removeprefix("file://")).expanduser()))  # noqa: PTH100  links stay
    for place in (whole, *whole.parents):
        try:
            if place.is_file():
                return place, whole.relative_to(place).as_posix().removeprefix(".")
        except OSError:
            continue
    return whole, ""


def read_head(path: str, count: int = 1024) -> bytes:
    """The first bytes of the file that a path means; none if there is no such file, or it cannot be read."""
    if "://" in path.removeprefix("file://"):
        return b""
    file, _ = locate(path)
    try:
        if not file.is_file():
            return b""
        with file.open("rb") as stream:
            return stream.read(count)
    except OSError:
        return b""


def refuse_broken(path: Path, why: str, kind: str) -> ImageError:
    """What to say of a file that cannot be opened."""
    return ImageError(f"{path} cannot be opened ({why})", f"a whole {kind} file", "Copy or write the image again.")


def require_extra(path: Path, kind: str, extra: str) -> ImageError:
    """What to say where an optional library is missing."""
    return ImageError(
        f"{path} is {kind}, and what reads it is not installed",
        f"the extra {extra}",
        f'Install it: pip install "tilewise[{extra}]"',
    )


@dataclass(slots=True)
class File:
    """An open file. Safe to use from many threads."""

    path: Path
    """Where it lies."""
    stream: BinaryIO = field(init=False, repr=False)
    """Unbuffered; closed with the last reference to it."""
    lock: threading.Lock = field(init=False, repr=False, default_factory=threading.Lock)
    """Held where the system has no reads at a place."""

    def __post_init__(self) -> None:
        self.stream = self.path.open("rb", buffering=0)

    @property
    def size(self) -> int:
        """Bytes that it has now."""
        return os.fstat(self.stream.fileno()).st_size

    def read(self, start: int, count: int) -> bytes:
        """Bytes at a place.

        Raises:
            EOFError: the file ends before.
        """
        found = self._read(start, count)
        if len(found) != count:
            raise EOFError(f"it ends at byte {self.size}, {start + count} are needed")
        return found

    def digest(self, start: int, count: int) -> str:
        """A digest of the first bytes at a place, and of their number."""
        content = self._read(start, min(count, SAMPLED_BYTES))
        return hashlib.sha256(str(count).encode() + content).hexdigest()[:16]

    def _read(self, start: int, count: int) -> bytes:
        parts = []
        # one read gives at most 2 GiB
        while count > 0:
            part = self._pread(start, min(count, 1 << 30))
            if not part:
                break
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _pread(self, start: int, count: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self.stream.fileno(), count, start)
        with self.lock:
            self.stream.seek(start)
            return self.stream.read(count) or b""
