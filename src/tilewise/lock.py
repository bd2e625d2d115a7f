"""One run an output: a lock file with its owner, and a heartbeat that others can see.

The file is ``OUT/tilewise/lock.json``. It appears with its content, by a link that fails where there is one already,
and every look followed by a change happens behind a file lock of the operating system, which a killed process cannot
leave behind. The heartbeat is the file's time of change: it needs no space on a full disk. Who waits for another
machine's heartbeat measures with its own clock how long it has not moved, so clocks that differ do no harm.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tilewise.errors import OutputError
from tilewise.owner import Owner, identify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

FOLDER = "tilewise"
"""Where the lock lies, below the output."""

BEAT = 5.0
"""Seconds between two heartbeats."""

PATIENCE = 30.0
"""Seconds without a heartbeat after which an owner on another machine counts as gone."""


def find_owner(path: str) -> Owner | None:
    """Who holds an output; None if nobody does."""
    found = _read(Path(path) / FOLDER / "lock.json")
    return found[0] if found is not None else None


def refuse_held(path: str) -> None:
    """Refuse early, before workers start, an output that a living run of this machine holds; ``acquire`` decides.

    Raises:
        OutputError: a living run holds it.
    """
    owner = find_owner(path)
    if owner is not None and owner.here and owner.alive:
        raise _held(path, owner)


def _held(path: str, owner: Owner) -> OutputError:
    return OutputError(
        f"output {path} is being written by {owner}",
        "one run an output",
        "Wait for it, stop it, or choose another output.",
    )


class Lock:
    """A held output. ``held`` turns false if another run has taken it over. Leave it with ``release``."""

    def __init__(self, path: str, owner: Owner, beat: float) -> None:
        self.path = path
        self.owner = owner
        self._file = Path(path) / FOLDER / "lock.json"
        self._stop = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._beat, args=(beat,), name="tilewise-lock", daemon=True)
        self._thread.start()

    @property
    def held(self) -> bool:
        """True as long as the lock is this run's; a look at the file."""
        found = _read(self._file)
        return not self._lost and found is not None and found[0] == self.owner

    def release(self) -> None:
        """Give the output free, if it is still this run's; what the lock alone had made goes with it."""
        self._stop.set()
        self._thread.join()
        if not self._file.parent.is_dir():
            return
        with _guard(self._file.parent):
            found = _read(self._file)
            if found is not None and found[0] == self.owner:
                self._file.unlink()
            _tidy(self._file.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _beat(self, beat: float) -> None:
        while not self._stop.wait(beat):
            # a full or vanished disk is for the run to notice; the next beat tries again
            with contextlib.suppress(OSError):
                if not self._file.parent.is_dir():
                    continue
                with _guard(self._file.parent):
                    found = _read(self._file)
                    if found is None or found[0] != self.owner:
                        self._lost = True
                        return
                    os.utime(self._file)


def acquire(
    path: str,
    run: str | None = None,
    *,
    on_wait: Callable[[Owner, float], None] | None = None,
    beat: float = BEAT,
    patience: float = PATIENCE,
) -> Lock:
    """Take an output for this run.

    A lock left by a process of this machine that is gone is taken over at once. For one of another machine it takes
    as long as its heartbeat must stand still; ``on_wait`` is told for how many seconds more, about once a second.

    Raises:
        OutputError: a living run holds it.
    """
    owner = identify(run or uuid.uuid4().hex[:12])
    folder = Path(path) / FOLDER
    seen: tuple[Owner, int] | None = None
    since = time.monotonic()
    while True:
        with _guard(folder):
            found = _read(folder / "lock.json")
            if found is None:
                _place(folder, owner, replace=False)
                return Lock(path, owner, beat)
            left = _wait_for(path, found, seen, patience - (time.monotonic() - since), patience)
            if left <= 0:
                _place(folder, owner, replace=True)
                return Lock(path, owner, beat)
        if seen is None or seen[0] != found[0]:
            seen, since = found, time.monotonic()
        if on_wait is not None:
            on_wait(found[0], left)
        time.sleep(min(1.0, left))


def _wait_for(
    path: str, found: tuple[Owner, int], seen: tuple[Owner, int] | None, left: float, patience: float
) -> float:
    """Seconds to wait until a lock may be taken over, 0 for now; refuses where its owner lives."""
    owner = found[0]
    moved = seen is not None and seen[0] == owner and seen[1] != found[1]
    if moved or (owner.here and owner.alive):
        raise _held(path, owner)
    if owner.here:
        return 0.0
    return left if seen is not None and seen[0] == owner else patience


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
    place = folder / "lock.json"
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
        return Owner(**content), beat
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError) as error:
        raise OutputError(
            f"the lock {place} is broken", "a lock as tilewise writes it", "If no run is writing there, remove it."
        ) from error
