"""A folder of this machine."""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewise.errors import OutputError
from tilewise.store.address import check_key

if TYPE_CHECKING:
    from tilewise.store.verbs import Kind


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder of a file system; it need not be there yet."""

    folder: Path
    """Where."""

    @property
    def place(self) -> str:
        """The folder's path."""
        return str(self.folder)

    def below(self, key: str) -> Disk:
        """A folder further down."""
        return Disk(self._path(key))

    def kind(self) -> Kind:
        """What stands at the place itself."""
        if not os.path.lexists(self.folder):
            return "nothing"
        return "folder" if self.folder.is_dir() else "other"

    def linked(self, key: str) -> bool:
        """True if a key is a link to somewhere else."""
        return self._path(key).is_symlink()

    def read(self, key: str) -> bytes | None:
        """All bytes of a file; None if there is none."""
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def peek(self, key: str, count: int) -> tuple[bytes, int] | None:
        """The first bytes of a file, and how many it has in all; None if there is none."""
        try:
            with self._path(key).open("rb", buffering=0) as file:
                return file.read(count), os.fstat(file.fileno()).st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def size(self, key: str) -> int | None:
        """How many bytes a file has; None if there is none."""
        try:
            return os.stat(self._path(key)).st_size  # noqa: PTH116  half the time of Path.stat
        except (FileNotFoundError, NotADirectoryError):
            return None

    def holds(self, *keys: str) -> bool:
        """True if at least one of some files is there."""
        return any(self._path(key).is_file() for key in keys)

    def names(self, key: str = "") -> list[str]:
        """What lies directly below, sorted; nothing if there is no such folder."""
        try:
            return sorted(os.listdir(self._path(key)))  # noqa: PTH208  names are wanted, not paths
        except (FileNotFoundError, NotADirectoryError):
            return []

    def write(self, key: str, content: bytes) -> None:
        """Put a file there as a whole: a file beside it takes its name."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
        try:
            part.write_bytes(content)
            os.replace(part, path)  # noqa: PTH105  Path.replace says the same
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def remove(self, key: str) -> None:
        """Remove a file, or a folder and all below it; a link is removed, never followed."""
        path = self._path(key)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def sweep(self) -> int:
        """Remove what writers that were killed left half written; says how many."""
        count = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                if name.endswith(".partial"):
                    Path(folder, name).unlink(missing_ok=True)
                    count += 1
        return count

    def check_writable(self) -> None:
        """Refuse a folder that cannot be made or written, as far as can be told without writing."""
        out = self.folder.resolve()
        base = next(p for p in (out, *out.parents) if os.path.lexists(p))
        if not base.is_dir():
            raise OutputError(
                f"output {self.folder} lies below {base}, a file", "a folder to be", "Choose another place."
            )
        if not os.access(base, os.W_OK | os.X_OK):
            raise OutputError(
                f"output {self.folder}: {base} cannot be written",
                "a folder with the right to write",
                "Choose another place.",
            )

    def nodes(self, key: str = "", *, writable: bool = False) -> Any:
        """The folder as zarr takes it."""
        from zarr.storage import LocalStore

        return LocalStore(self._path(key), read_only=not writable)

    def _path(self, key: str) -> Path:
        return self.folder / check_key(key, str(self.folder)) if key else self.folder
