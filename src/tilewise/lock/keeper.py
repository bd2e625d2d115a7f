"""Taking an output, holding it and giving it free.

Whoever waits for another machine's heartbeat measures with its own clock how long it has not moved, so clocks that
differ do no harm.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any, Self

from tilewise.errors import OutputError, StoreError
from tilewise.lock.file import FileSeat
from tilewise.lock.object import ObjectSeat
from tilewise.owner import Owner, identify
from tilewise.store import Bucket, Disk, open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tilewise.lock.seat import Seat

FOLDER = "tilewise"
"""Where the lock lies, below the output."""

BEAT = 5.0
"""Seconds between two heartbeats."""

PATIENCE = 30.0
"""Seconds without a heartbeat after which an owner on another machine counts as gone."""


def _seat(path: str) -> Seat:
    match open_store(path).below(FOLDER):
        case Disk() as disk:
            return FileSeat(disk.folder)
        case Bucket() as bucket:
            return ObjectSeat(bucket)
        case other:
            raise TypeError(other)


def find_owner(path: str) -> Owner | None:
    """Who holds an output; None if nobody does."""
    found = _seat(path).look()
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

    def __init__(self, path: str, owner: Owner, beat: float, seat: Seat) -> None:
        self.path = path
        self.owner = owner
        self._seat = seat
        self._stop = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._beat, args=(beat,), name="tilewise-lock", daemon=True)
        self._thread.start()

    @property
    def held(self) -> bool:
        """True as long as the lock is this run's; a look at it."""
        found = self._seat.look()
        return not self._lost and found is not None and found[0] == self.owner

    def release(self) -> None:
        """Give the output free, if it is still this run's; what the lock alone had made goes with it."""
        self._stop.set()
        self._thread.join()
        self._seat.leave(self.owner)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _beat(self, beat: float) -> None:
        while not self._stop.wait(beat):
            # a full or vanished disk, or a store that does not answer, is for the run to notice; the next beat tries
            with contextlib.suppress(OSError, StoreError):
                if not self._seat.beat(self.owner):
                    self._lost = True
                    return


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
    owner, seat = identify(run or uuid.uuid4().hex[:12]), _seat(path)
    seen: tuple[Owner, Any] | None = None
    since = time.monotonic()
    while True:
        with seat.turn():
            found = seat.look()
            left = 0.0
            if found is not None:
                left = _wait_for(path, found, seen, patience - (time.monotonic() - since), patience)
            if left <= 0 and seat.take(owner, found):
                return Lock(path, owner, beat, seat)
        if found is None or left <= 0:
            # another one was faster
            continue
        if seen is None or seen[0] != found[0]:
            seen, since = found, time.monotonic()
        if on_wait is not None:
            on_wait(found[0], left)
        time.sleep(min(1.0, left))


def _wait_for(
    path: str, found: tuple[Owner, Any], seen: tuple[Owner, Any] | None, left: float, patience: float
) -> float:
    """Seconds to wait until a lock may be taken over, 0 for now; refuses where its owner lives."""
    owner = found[0]
    moved = seen is not None and seen[0] == owner and seen[1] != found[1]
    if moved or (owner.here and owner.alive):
        raise _held(path, owner)
    if owner.here:
        return 0.0
    return left if seen is not None and seen[0] == owner else patience
