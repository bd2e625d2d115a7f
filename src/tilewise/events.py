"""What happens during a run, as frozen values; bars, logs and notebooks subscribe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that the user should know."""

    text: str
    """One line."""


@dataclass(frozen=True, slots=True)
class Started:
    """A phase begins."""

    phase: str
    """statistics or blocks."""
    total: int
    """Units of work in all."""
    done: int
    """Units that an earlier run has done."""
    pixels: int
    """Pixels of the image that a unit stands for, on average."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """A unit of work is done."""

    phase: str
    """statistics or blocks."""
    done: int
    """Units done so far."""
    failed: int
    """Units that failed for good so far."""
    detail: str
    """What --verbose prints: place, provider, seconds."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A phase is over."""

    phase: str
    """statistics or blocks."""
    seconds: float
    """Wall time of the phase."""


Event = Noted | Started | Advanced | Ended

if TYPE_CHECKING:
    Observer = Callable[[Event], None]


def tell(observers: tuple[Observer, ...], event: Event) -> None:
    """Give an event to all who listen."""
    for observer in observers:
        observer(event)
