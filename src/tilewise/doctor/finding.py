"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["good", "absent", "weak", "bad"]
"""Works; is not there and need not be; works, but will bite; keeps a run from starting."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    """What."""
    state: State
    """How it is."""
    found: str
    """What was found, in words."""
    do: str = ""
    """What to type or to do, if it is not good."""

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return asdict(self)
