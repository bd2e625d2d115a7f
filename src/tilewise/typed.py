"""From what was typed behind a flag to a value, or a refusal that names the flag."""

from __future__ import annotations

import math
from typing import Any

from tilewise.errors import SettingError

WHOLE = "whole numbers of pixels, one or one an axis (64 or 64,256,256)"
"""What sizes are."""


def read_same(flag: str, text: Any) -> Any:  # noqa: ARG001 the face of all parsers
    """What was typed, as it is."""
    return text


def _numbers(flag: str, text: str, kind: type, expected: str) -> tuple[Any, ...]:
    try:
        found = tuple(kind(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(map(math.isfinite, found)):
        raise SettingError(f"{flag} {text}", expected, f"See tilewise run --help for {flag}.")
    return found


def _one(flag: str, text: str, kind: type, expected: str) -> Any:
    found = _numbers(flag, text, kind, expected)
    if len(found) > 1:
        raise SettingError(f"{flag} {text}", expected, f"Give {flag} once, with one number.")
    return found[0]


def read_sizes(flag: str, text: str) -> Any:
    """auto, or pixels."""
    return text if text == "auto" else read_pixels(flag, text, f"auto or {WHOLE}")


def read_pixels(flag: str, text: str, expected: str = WHOLE) -> Any:
    """Pixels: one number for all axes, or one an axis."""
    found = _numbers(flag, text, int, expected)
    return found[0] if len(found) == 1 else found


def read_halo(flag: str, text: str) -> Any:
    """auto, exact, pixels or a tolerance."""
    if text in {"auto", "exact"}:
        return text
    expected = f"auto, exact, or {WHOLE}"
    # a tolerance such as 1e-3 or 0.01; anything else with these letters is no number at all
    if any(mark in text for mark in ".e"):
        return _one(flag, text, float, expected)
    return read_pixels(flag, text, expected)


def read_count(flag: str, text: str) -> Any:
    """auto, or how many."""
    return text if text == "auto" else _one(flag, text, int, "auto or a whole number")


def read_channels(flag: str, text: str) -> Any:
    """all, or numbers of channels."""
    return text if text == "all" else _numbers(flag, text, int, "all, or channel numbers with commas between them")


def read_floats(flag: str, text: str) -> tuple[float, ...]:
    """Numbers."""
    return _numbers(flag, text, float, "numbers with commas between them")


def read_pair(flag: str, text: str) -> tuple[float, ...]:
    """Two numbers."""
    expected = "two numbers with a comma between them"
    found = _numbers(flag, text, float, expected)
    if len(found) != 2:
        raise SettingError(f"{flag} {text}", expected, f"See tilewise run --help for {flag}.")
    return found


def read_float(flag: str, text: str) -> float:
    """A number."""
    return float(_one(flag, text, float, "a number"))


def read_level(flag: str, text: str) -> int:
    """The number of a level."""
    return int(_one(flag, text, int, "the number of a level"))


def read_region(flag: str, text: str) -> tuple[tuple[str, int | None, int | None], ...]:
    """Ranges such as y=0:4096,x=:100; one number is one plane."""
    return tuple(_range(flag, part, text) for part in text.split(","))


def _range(flag: str, part: str, text: str) -> tuple[str, int | None, int | None]:
    axis, mark, ends = part.strip().partition("=")
    numbers = ends.split(":") if mark else []
    try:
        found = [int(n) if n.strip() else None for n in numbers]
    except ValueError:
        found = []
    if len(found) == 1 and found[0] is not None:
        return axis.strip(), found[0], found[0] + 1
    if len(found) != 2:
        raise SettingError(
            f"{flag} {text}", "axis=start:stop, with commas between them", f"For example {flag} y=0:4096,x=0:4096"
        )
    return axis.strip(), found[0], found[1]


def read_bytes(flag: str, text: str) -> Any:
    """auto, or a size such as 4GB."""
    from dask.utils import parse_bytes

    if text == "auto":
        return text
    try:
        size = int(parse_bytes(text))
    except (ValueError, OverflowError):
        size = 0
    if size < 1:
        raise SettingError(f"{flag} {text}", "auto, or a size such as 4GB", f"For example {flag} 4GB")
    return size


def read_inputs(flag: str, texts: list[str]) -> tuple[tuple[str, float], ...]:
    """Further inputs as (name, value) pairs."""
    made = []
    for text in texts:
        name, mark, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            mark = ""
        if not (mark and name):
            raise SettingError(
                f"{flag} {text}", "NAME=VALUE, where the value is a number", f"For example {flag} exposure=0.2"
            )
        made.append((name, number))
    return tuple(made)


def read_neighbours(flag: str, text: str) -> tuple[str, int]:
    """An axis and how many planes on each side."""
    axis, mark, planes = text.partition(":")
    if not (mark and axis and planes.isdecimal()):
        raise SettingError(f"{flag} {text}", "an axis and a number of planes", f"For example {flag} z:1")
    return axis, int(planes)
