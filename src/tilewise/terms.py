"""Writing down what a model should say of itself: from KEY=VALUE to the entry in its metadata, checked as flags are."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewise.descriptions import own
from tilewise.descriptions.metadata import read_metadata, write_metadata
from tilewise.descriptions.package import find_package
from tilewise.descriptions.schema import fits, keys, properties, tell
from tilewise.errors import ModelError, SettingError
from tilewise.model import Model
from tilewise.options import OPTIONS
from tilewise.settings import Cut, Graph, Normalization, Results

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LISTED = ("class_names", "channel_names")
"""Keys whose values are texts with commas between them; no option has them."""


def read_terms(texts: Sequence[str]) -> dict[str, Any]:
    """What was typed as KEY=VALUE, each value as its option reads it.

    Raises:
        SettingError: no such key, or not a value for it.
    """
    said = {}
    for text in texts:
        key, mark, value = text.partition("=")
        key = key.strip().lstrip("-").replace("-", "_")
        _check_key(key)
        if not mark:
            raise SettingError(f"--set {text}", "KEY=VALUE", f"For example --set {key}=...")
        said[key] = _value(key, value.strip())
    return said


def change(
    path: Path, said: Mapping[str, Any], *, unset: Sequence[str] = (), clear: bool = False, out: Path | None = None
) -> Path:
    """Write terms into a model's metadata, in place unless another place is named; gives the place.

    What the entry says already stays, but what is named. Everything else in the file stays to the byte.

    Raises:
        SettingError: terms that do not go together.
        ModelError: no ONNX file, or it cannot be written.
    """
    if not path.is_file() or (path.suffix.lower() != ".onnx" and find_package(path) is not None):
        raise ModelError(f"{path}", "an ONNX file, which holds metadata", "Give the .onnx file itself.")
    for key in unset:
        _check_key(key, "--unset")
    metadata = {} if clear else read_metadata(path)
    known = own.load(metadata) or {}
    kept = {key: value for key, value in known.items() if key not in {"version", *unset}}
    entry = {**kept, **said}
    _check_together(entry)
    if {"layout", "output_layout", "output_name"} & {*said}:
        _check_graph(path, entry)
    # a link's target is replaced, not the link: data files lie beside the target
    target = Path(os.path.realpath(out or path))
    if not target.parent.is_dir():
        raise ModelError(f"{target.parent} is no folder", "a folder that is there", "Create it first.")
    # a file beside it takes its name, which no right of the file itself would stop
    if target.exists() and not target.stat().st_mode & 0o222:
        raise ModelError(f"{target} is read-only", "a file that may be changed", "Write a copy with --out OTHER.onnx.")
    write_metadata(path, own.KEY, own.dump(entry), target)
    return out or path


def _check_graph(path: Path, entry: Mapping[str, Any]) -> None:
    """Refuse axes and outputs that the graph does not have, before they are written."""
    told = Graph(
        layout=entry.get("layout"),
        output_layout=entry.get("output_layout"),
        output_name=entry.get("output_name"),
        contract="ignore",
    )
    _ = Model(path, told).spec


def _check_key(key: str, flag: str = "--set") -> None:
    if key not in keys():
        raise SettingError(f"{flag} {key}", f"one of the keys {', '.join(keys())}", "Correct the key.")


def _value(key: str, text: str) -> Any:
    """A value, as the option of that name reads it, in JSON's types."""
    rule = properties()[key]
    if key in LISTED:
        found: Any = [part.strip() for part in text.split(",")]
    elif rule.get("type") == "boolean":
        found = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(text.lower())
    else:
        option = next(o for o in OPTIONS if o.flag == f"--{key.replace('_', '-')}")
        found = option.parse(f"--set {key}", text)
        if rule.get("type") == "array" and isinstance(found, int | float):
            found = [found]
        found = list(found) if isinstance(found, tuple) else found
    if not fits(found, rule):
        raise SettingError(f"--set {key}={text}", tell(rule), f"For example a value of --{key.replace('_', '-')}.")
    return found


def _check_together(entry: Mapping[str, Any]) -> None:
    """Refuse what the settings' records refuse."""
    normalization = _made(Normalization, {**entry, "kind": entry.get("normalize", "none")})
    normalization.check_whole()
    for record in (Cut, Results):
        _made(record, entry)


def _made(record: Any, entry: Mapping[str, Any]) -> Any:
    """A record with what an entry says of it."""
    known = {field.name for field in fields(record)}
    return record(**{name: tuple(v) if isinstance(v, list) else v for name, v in entry.items() if name in known})
