"""Where the time goes: seconds per stage of one block."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Stage = Literal["read", "normalize", "infer", "finish", "write", "shrink"]


@dataclass(slots=True)
class Clock:
    """Adds up seconds a stage; one clock a block, so no lock."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Wall seconds by stage."""

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Count what happens inside to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
