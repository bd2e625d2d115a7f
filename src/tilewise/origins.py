"""Every option with its value and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilewise.precedence import options_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tilewise.settings import Asked


@dataclass(frozen=True, slots=True)
class Setting:
    """One decided value and where it came from."""

    name: str
    """The option's name without dashes."""
    value: Any
    """What is used."""
    origin: str
    """flag, contract and which, auto or default."""


GRAPH = ("layout", "output_layout", "output_name")
"""What is told from the graph where nobody says it."""
CHAINS = ("before", "after", "steps")
"""Steps that only a description asks for: shown where there are some."""


def trace(asked: Asked, settled: Mapping[str, Any]) -> tuple[Setting, ...]:
    """Settings of a plan.

    Args:
        asked: what the user asked for, completed by the model's contract.
        settled: what auto came to, by the option's name.
    """
    return tuple(
        _trace(asked, name, value, default, settled)
        for name, value, default in options_of(asked)
        if value or name not in CHAINS
    )


def _trace(asked: Asked, name: str, value: Any, default: Any, settled: Mapping[str, Any]) -> Setting:
    chosen = value in {"auto", "all"} or (name in GRAPH and value is None)
    guess = "flag" if value != default else "auto" if chosen else "default"
    return Setting(name, settled.get(name, _plain(value)), dict(asked.origins).get(name, guess))


def _plain(value: Any) -> Any:
    """A value as JSON holds it."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.to_json() if hasattr(value, "to_json") else value
