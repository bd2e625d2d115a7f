"""The record of a run: what made an output tilewise's, written before anything else, compared on resume."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilewise.errors import OutputError
from tilewise.store import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tilewise.store import Store

FOLDER = "tilewise"
"""Name of the group, below the output."""

NOTES = "notes"
"""The part of a record that informs (times, host) and is never compared."""

SAMPLE = "sample"
"""The part of a record that tells images apart: chunks by key. One that was mended does not make another image."""

FORMAT = 1
"""Version of what lies in the group."""


def folder_of(path: str) -> Store:
    """The ledger's folder of an output."""
    return open_store(path).below(FOLDER)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What makes an output tilewise's."""

    record: Mapping[str, Any] | None
    """The run; None while the output is being replaced and nothing in it counts."""
    owns: tuple[str, ...]
    """Names below the output that tilewise wrote."""


def read_stamp(path: str) -> Stamp | None:
    """The stamp of an output; None if it is not tilewise's."""
    out = open_store(path)
    try:
        if out.linked(FOLDER):
            return None
        content = json.loads(out.read(f"{FOLDER}/zarr.json") or b"")
        stamp = content["attributes"][FOLDER]
        version, record, owns = stamp["format"], stamp["record"], tuple(stamp["owns"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if version != FORMAT:
        raise OutputError(
            f"{path} with a ledger of format {version}", f"format {FORMAT}", "Use the tilewise that wrote it."
        )
    return Stamp(record, owns)


def write_stamp(path: str, stamp: Stamp) -> None:
    """Mark an output as tilewise's, in one step that cannot be seen half done."""
    attributes = {FOLDER: {"format": FORMAT, "record": stamp.record, "owns": list(stamp.owns)}}
    content = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    write_json(folder_of(path), "zarr.json", content)


def read_json(folder: Store, key: str) -> Any:
    """What a JSON file holds; None if there is none.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON.
    """
    content = folder.read(key)
    return None if content is None else json.loads(content)


def write_json(folder: Store, key: str, content: object) -> None:
    """Replace a JSON file in one step, leaving either the old or the new one whatever happens."""
    folder.write(key, json.dumps(content, indent=1).encode())


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What of a record is not as it was, one readable line a field; notes are not compared."""
    before, after = _flatten(old), _flatten(new)
    lines = _compare_samples(old, new)
    for key in dict.fromkeys([*before, *after]):
        a, b = before.get(key, "not recorded"), after.get(key, "not recorded")
        if a == b:
            continue
        last = key.rsplit(".", maxsplit=1)[-1]
        if last == "sha256":
            lines.append(f"{key}: another file ({str(a)[:12]} -> {str(b)[:12]})")
        elif last == "fingerprint":
            lines.append(f"{key}: another image, or its metadata changed ({str(a)[:12]} -> {str(b)[:12]})")
        else:
            lines.append(f"{key}: {_show(a)} -> {_show(b)}")
    return lines


def _compare_samples(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """A line if most of the chunks that both looked at are others."""
    images = (record.get("image") for record in (old, new))
    before, after = (image.get(SAMPLE, {}) if isinstance(image, dict) else {} for image in images)
    both = before.keys() & after.keys()
    changed = sum(before[key] != after[key] for key in both)
    if 2 * changed <= len(both):
        return []
    return [f"image: other pixels (in {changed} of {len(both)} chunks that were looked at)"]


def _flatten(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    # through JSON, as the old one went: tuples become lists
    for key, value in (record if prefix else json.loads(json.dumps(record))).items():
        if key == (SAMPLE if prefix else NOTES):
            continue
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _show(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
