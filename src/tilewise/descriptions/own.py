"""Our own entry in a model's metadata: one JSON object under the key ``tilewise``, its keys those of the options."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tilewise.descriptions.contract import SILENT, Contract, sign
from tilewise.descriptions.schema import check
from tilewise.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "tilewise"
"""Of the metadata."""
VERSION = 1
"""Of the entry."""
ORIGIN = "tilewise"
"""How values that come from it are signed."""


def read(metadata: Mapping[str, str]) -> Contract:
    """What our own entry says; silent if there is none.

    Raises:
        ModelError: the entry is not what the schema allows.
    """
    entry = load(metadata)
    if entry is None:
        return SILENT
    said: dict[str, Any] = check(entry)
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}
    return sign(Contract(**values), ORIGIN)


def load(metadata: Mapping[str, str]) -> Any:
    """The entry as it stands; None if there is none."""
    text = metadata.get(KEY)
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"a tilewise entry in the model's metadata that is no JSON ({str(error)[:80]})",
            "a JSON object",
            "Remove it with: tilewise contract MODEL --clear",
        ) from error


def dump(said: Mapping[str, Any]) -> str | None:
    """An entry as text, checked against the schema; None if it says nothing."""
    if not said:
        return None
    entry = {"version": VERSION, **said}
    check(entry)
    return json.dumps(entry, sort_keys=True)
