"""The seat of a lock on an object store: an object that is put there on condition.

The store itself decides: the lock is created only if there is none, and replaced only in the state in which it was
seen. A heartbeat is such a replacement by content that counts on, so that a beat of one that was taken over fails.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tilewise.errors import StoreError
from tilewise.lock.seat import KEY, broken, read_owner

if TYPE_CHECKING:
    from tilewise.owner import Owner
    from tilewise.store import Bucket


class ObjectSeat:
    """A lock as an object."""

    def __init__(self, folder: Bucket) -> None:
        self._folder = folder
        self._mark: Any = None
        self._beats = 0

    def look(self) -> tuple[Owner, Any] | None:
        """Its owner, and the mark of its state; None if it is free."""
        found = self._folder.read_marked(KEY)
        if found is None:
            return None
        place = f"{self._folder.place}/{KEY}"
        try:
            return read_owner(json.loads(found[0]), place), found[1]
        except ValueError as error:
            raise broken(place) from error

    def turn(self) -> contextlib.nullcontext[None]:
        """Nothing to wait for: the store decides."""
        return contextlib.nullcontext()

    def take(self, owner: Owner, found: tuple[Owner, Any] | None) -> bool:
        """Take it as it was found, free or left behind; False if it is no longer so."""
        content = self._content(owner)
        if found is None:
            return self._settle(owner, self._folder.create(KEY, content))
        return self._settle(owner, self._folder.replace(KEY, content, found[1]))

    def beat(self, owner: Owner) -> bool:
        """Give a sign of life; False if it is no longer the owner's."""
        return self._settle(owner, self._folder.replace(KEY, self._content(owner), self._mark))

    def leave(self, owner: Owner) -> None:
        """Give it free, if it still is the owner's."""
        # there is no removal on condition, but after a beat nobody takes it over for a while
        # where the store does not answer the lock stays: the next run finds its owner gone
        with contextlib.suppress(StoreError):
            if self.beat(owner):
                self._folder.remove(KEY)

    def _content(self, owner: Owner) -> bytes:
        self._beats += 1
        return json.dumps({**asdict(owner), "beat": self._beats}).encode()

    def _settle(self, owner: Owner, mark: Any) -> bool:
        """What became of a change that was asked for: a yes may have been lost on its way, and a second try refused."""
        if mark is None:
            found = self.look()
            if found is None or found[0] != owner:
                return False
            mark = found[1]
        self._mark = mark
        return True
