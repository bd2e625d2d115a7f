"""Every option with its value and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

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
    """flag, auto or default."""


def trace(asked: Asked, settled: Mapping[str, Any]) -> tuple[Setting, ...]:
    """Settings of a plan.

    Args:
        asked: what the user asked for.
        settled: what auto came to, by the option's name.
    """
    records = (asked.cut, asked.pixels, asked.pixels.normalization, asked.results, asked.machine, asked.behaviour)
    return tuple(
        _trace(record, field.name, settled)
        for record in records
        for field in fields(record)
        if field.name != "normalization"
    )


def _trace(record: Any, field: str, settled: Mapping[str, Any]) -> Setting:
    value, default = getattr(record, field), getattr(type(record)(), field)
    name = "normalize" if field == "kind" else field
    origin = "flag" if value != default else "auto" if value in {"auto", "all"} else "default"
    plain = list(value) if isinstance(value, tuple) else value
    return Setting(name, settled.get(name, plain), origin)
