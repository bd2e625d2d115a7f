"""One run an output: a lock with its owner, and a heartbeat that others can see."""

from __future__ import annotations

from tilewise.lock.keeper import BEAT, PATIENCE, Lock, acquire, find_owner, refuse_held

__all__ = ["BEAT", "PATIENCE", "Lock", "acquire", "find_owner", "refuse_held"]
