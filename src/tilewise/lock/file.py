"""The seat of a lock on a file system: a file that appears with its content, by a link.

The link fails where there is one already, and every look followed by a change happens behind a file lock of the
operating system, which a killed process cannot leave behind. The heartbeat is the file's time of change: it needs no
space on a full disk.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tilewise.errors import OutputError
from tilewise.lock.seat import KEY, broken, read_owner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tilewise.owner import Owner


@dataclass(frozen=True, slots=True)
class FileSeat:
    """A lock as a file."""

    folder: Path
    """The ledger's folder."""

    def look(self) -> tuple[Owner, int] | None:
        """Its owner, and when it last beat; None if it is free."""
        return _read(self.folder / KEY)

    def turn(self) -> contextlib.AbstractContextManager[None]:
        """Let one process at a time look and change."""
        return _guard(self.folder)

    def take(self, owner: Owner, found: tuple[Owner, int] | None) -> bool:
        """Take it as it was found, in this one's turn."""
        _place(self.folder, owner, replace=found is not None)
        return True

    def beat(self, owner: Owner) -> bool:
        """Give a sign of life; False if it is no longer the owner's."""
        if not self.folder.is_dir():
            return True
        with self.turn():
            found = self.look()
            if found is None or found[0] != owner:
                return False
            os.utime(self.folder / KEY)
        return True

    def leave(self, owner: Owner) -> None:
        """Give it free, if it still is the owner's; what the lock alone had made goes with it."""
        if not self.folder.is_dir():
            return
        with self.turn():
            found = self.look()
            if found is not None and found[0] == owner:
                (self.folder / KEY).unlink()
            _tidy(self.folder)


@contextlib.contextmanager
def _guard(folder: Path) -> Iterator[None]:
    """Let one process at a time look and change; the system opens it when a process dies."""
    place = folder / "lock.guard"
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(folder, error) from error
        try:
            file = place.open("a")
        except FileNotFoundError:
            # the last holder tidied the folder away in between
            continue
        except OSError as error:
            raise _refused(folder, error) from error
        with file:
            _lock_file(file.fileno())
            with contextlib.suppress(FileNotFoundError):
                # it may have been tidied away while this process waited: then another one guards now
                if place.stat().st_ino == os.fstat(file.fileno()).st_ino:
                    yield
                    return


def _refused(folder: Path, error: OSError) -> OutputError:
    return OutputError(
        f"output {folder.parent} cannot be written ({error.strerror})",
        "a folder with the right to write",
        "Choose another place, or mend its rights.",
    )


def _lock_file(number: int) -> None:
    try:
        import fcntl
    except ImportError:
        # without it the exclusive link still lets only one first owner in
        return
    fcntl.flock(number, fcntl.LOCK_EX)


def _tidy(folder: Path) -> None:
    """Remove the folder and the output where they hold nothing but the guard."""
    if {entry.name for entry in folder.iterdir()} <= {"lock.guard"}:
        (folder / "lock.guard").unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()
            folder.parent.rmdir()


def _place(folder: Path, owner: Owner, *, replace: bool) -> None:
    """Put a lock there with its content in one step."""
    part = folder / f"lock.{uuid.uuid4().hex}.partial"
    place = folder / KEY
    try:
        part.write_text(json.dumps(asdict(owner)), encoding="utf-8")
        if replace:
            part.replace(place)
        else:
            place.hardlink_to(part)
    finally:
        part.unlink(missing_ok=True)


def _read(place: Path) -> tuple[Owner, int] | None:
    """Owner and heartbeat of a lock file."""
    try:
        # opening it makes a network file system look at the server again, which a mere stat does not
        with place.open("rb") as file:
            content, beat = json.load(file), os.fstat(file.fileno()).st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise broken(str(place)) from error
    return read_owner(content, str(place)), beat
