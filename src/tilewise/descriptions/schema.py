"""The schema of our own entry, and as much of JSON Schema as it uses: the file is the one place that knows keys."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from tilewise.errors import ModelError

PLACE = Path(__file__).with_name("contract.schema.json")
"""Part of the package, for whoever writes such entries."""


@cache
def properties() -> dict[str, dict[str, Any]]:
    """What each key may hold, in JSON Schema's words."""
    found: dict[str, dict[str, Any]] = json.loads(PLACE.read_text())["properties"]
    return found


def keys() -> tuple[str, ...]:
    """What can be said."""
    return tuple(key for key in properties() if key != "version")


def check(entry: Any) -> dict[str, Any]:
    """An entry that keeps the schema, its version left out.

    Raises:
        ModelError: it does not; the key and what it may hold are named.
    """
    if not isinstance(entry, dict):
        raise _wrong("the entry", entry, "an object")
    known = properties()
    if not fits(entry.get("version"), known["version"]):
        raise ModelError(
            f"a tilewise entry of version {_short(entry.get('version'))} in the model's metadata",
            f"version {known['version']['enum'][-1]}",
            "Update tilewise, or remove the entry with: tilewise contract MODEL --clear",
        )
    for key, value in entry.items():
        if key not in known:
            raise _wrong(key, value, f"one of the keys {', '.join(keys())}")
        if not fits(value, known[key]):
            raise _wrong(key, value, tell(known[key]))
    return {key: value for key, value in entry.items() if key != "version"}


def fits(value: Any, rule: dict[str, Any]) -> bool:
    """True if a value keeps a rule."""
    if "enum" in rule:
        return any(value == one and type(value) is type(one) for one in rule["enum"])
    kind = rule["type"]
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "string":
        return (
            isinstance(value, str)
            and len(value) >= rule.get("minLength", 0)
            and re.search(rule.get("pattern", ""), value) is not None
        )
    if kind == "array":
        least, most = rule.get("minItems", 0), rule.get("maxItems", float("inf"))
        return isinstance(value, list) and least <= len(value) <= most and all(fits(v, rule["items"]) for v in value)
    return _is_number(value, kind) and _is_within(value, rule)


def _is_number(value: Any, kind: str) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # what is infinite or no number cannot be written as JSON
    return value - value == 0 and (kind == "number" or value == int(value))


def _is_within(value: float, rule: dict[str, Any]) -> bool:
    above: bool = value > rule.get("exclusiveMinimum", float("-inf"))
    within: bool = rule.get("minimum", value) <= value <= rule.get("maximum", value)
    return above and within


def tell(rule: dict[str, Any]) -> str:
    """A rule in words."""
    if "enum" in rule:
        return f"one of {', '.join(map(str, rule['enum']))}"
    if rule["type"] != "array":
        return {"boolean": "true or false", "string": "text"}.get(rule["type"], "a number") + _bounds(rule)
    least, most = rule.get("minItems", 0), rule.get("maxItems")
    count = str(least) if least == most else f"{least} to {most}" if most else f"at least {least}"
    inner = {"integer": "whole numbers", "number": "numbers", "string": "texts"}[rule["items"]["type"]]
    return f"a list of {count} {inner}{_bounds(rule['items'])}"


def _bounds(rule: dict[str, Any]) -> str:
    if "pattern" in rule:
        return f" that keeps {rule['pattern']}"
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to"}
    return "".join(f" {word} {rule[key]}" for key, word in words.items() if key in rule)


def _wrong(key: str, value: Any, expected: str) -> ModelError:
    return ModelError(
        f"{key} = {_short(value)} in the tilewise entry of the model's metadata",
        expected,
        "Correct it with: tilewise contract MODEL --set KEY=VALUE (or --unset KEY)",
    )


def _short(value: Any) -> str:
    return str(value)[:80]
