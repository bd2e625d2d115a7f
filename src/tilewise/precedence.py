"""Flags win over what a model says of itself, and that over defaults and guesses."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from tilewise.descriptions.contract import NORMALIZATION, RESULTS
from tilewise.errors import ModelError, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tilewise.descriptions.contract import Contract
    from tilewise.settings import Asked

STATISTICS = ("standardize", "minmax", "percentile")
"""Normalizations that look at the pixels."""

ONLY_WITH = {
    "--scope": ("--normalize", STATISTICS),
    "--stats": ("--normalize", STATISTICS),
    "--range": ("--normalize", ("minmax",)),
    "--mean": ("--normalize", ("fixed",)),
    "--std": ("--normalize", ("fixed",)),
    "--percentiles": ("--normalize", ("percentile",)),
    "--clip": ("--normalize", ("percentile",)),
    "--eps": ("--normalize", STATISTICS),
    "--threshold": ("--output", ("labels",)),
    "--dtype": ("--output", ("scores",)),
    "--score-range": ("--dtype", ("uint8",)),
}
"""What would be passed over in silence unless another option has one of these values."""

NAMES = {"kind": "normalize", "inputs": "input"}
"""Options that are called otherwise than their record's field."""
RECORDS = ("cut", "pixels", "pixels.normalization", "results", "graph", "machine", "behaviour")
"""All records, as they lie within what a user asked for."""


def settle(asked: Asked, contract: Contract, *, names: Sequence[str] = ()) -> Asked:
    """What is asked for, completed by what the model says of itself.

    Args:
        asked: what the user asked for; a field counts as given if it is named or differs from its default.
        contract: what the model says.
        names: of the image's channels.

    Raises:
        ModelError: the model asks for something that tilewise does not do, and no flag takes its place.
        SettingError: values that do not go together, or a flag that another value leaves without effect.
    """
    given = set(asked.given) | {name for name, value, default in options_of(asked) if value != default}
    said: dict[str, Any] = {}
    if asked.graph.contract != "ignore":
        said = _allowed(contract, asked, given)
        _check_met(contract, given)
        found = match_names(contract.channel_names or (), names)
        if found is not None and "channels" not in said:
            said["channels"] = found
    origins = dict.fromkeys(given, "flag")
    taken = {name: value for name, value in said.items() if name not in given}
    origins |= {name: contract.origin(name) or f"{contract.origin('channel_names')}, by name" for name in taken}
    made = _taken(asked, taken)
    made.pixels.normalization.check_whole()
    for name in asked.given:
        _check_company(f"--{name.replace('_', '-')}", made)
    return replace(made, origins=tuple(origins.items()))


def blame(error: SettingError, asked: Asked) -> SettingError:
    """The same refusal; where its values are the model's own, that is said."""
    guilty = [(n, o) for n, o in asked.origins if o.startswith("contract") and re.search(rf"\b{n}\b", error.got)]
    if not guilty:
        return error
    names, origin = ", ".join(name for name, _ in guilty), guilty[0][1]
    return SettingError(error.got, error.expected, f"{error.do} The {origin} says {names}: a flag overrules it.")


def options_of(asked: Asked) -> Iterator[tuple[str, Any, Any]]:
    """Every option's name, value and default."""
    for record in (_record(asked, path) for path in RECORDS):
        for field in fields(record):
            if field.name != "normalization":
                default = getattr(type(record)(), field.name)
                yield NAMES.get(field.name, field.name), getattr(record, field.name), default


def match_names(wanted: Sequence[str], names: Sequence[str]) -> tuple[int, ...] | None:
    """Numbers of the channels that have the wanted names; None unless each is there once."""
    low = [name.strip().lower() for name in names]
    found = [name.strip().lower() for name in wanted]
    if not found or len(set(found)) < len(found) or any(low.count(name) != 1 for name in found):
        return None
    return tuple(low.index(name) for name in found)


def _record(asked: Asked, path: str) -> Any:
    found: Any = asked
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _allowed(contract: Contract, asked: Asked, given: set[str]) -> dict[str, Any]:
    """What the model says, without what a flag has made meaningless."""
    said = contract.said()
    flags = {name: value for name, value, _ in options_of(asked) if name in given}
    dropped: set[str] = set()
    if "normalize" in flags and flags["normalize"] != said.get("normalize"):
        dropped |= set(NORMALIZATION)
    if "overlap" in flags:
        dropped.add("halo")
    if "activation" in flags and flags["activation"] != said.get("activation"):
        dropped.add("steps")
    if "output" in flags and flags["output"] != said.get("output", "scores"):
        dropped |= {"threshold", "dtype"}
    if flags.get("output") == "raw":
        dropped |= set(RESULTS)
    return {name: value for name, value in said.items() if name not in dropped and name in _OPTIONS}


_OPTIONS = {"layout", "output_layout", "output_name", "channels", "tile", "halo", *NORMALIZATION, *RESULTS}
"""What of a contract stands in for an option."""


INSTEAD = {
    "normalize": "--normalize",
    "output": "--activation or --output raw",
    "output_name": "--output-name, or --activation for all,",
}
"""What takes the place of something unmet."""


def _check_met(contract: Contract, given: set[str]) -> None:
    for unmet in contract.unmet:
        flags = {unmet.group} if unmet.group == "normalize" else {unmet.group, "activation", "output"}
        if not flags & given:
            instead = INSTEAD[unmet.group]
            raise ModelError(
                f"the model's description asks for {unmet.what}",
                "steps that are known and take each pixel by itself, after at most one that looks at the image",
                f"Give {instead} to say what to do instead.",
            )


def _taken(asked: Asked, taken: dict[str, Any]) -> Asked:
    """The records with these values in them."""
    normalization = _filled(asked.pixels.normalization, taken)
    return replace(
        asked,
        cut=_filled(asked.cut, taken),
        pixels=replace(_filled(asked.pixels, taken), normalization=normalization),
        results=_filled(asked.results, taken),
        graph=_filled(asked.graph, taken),
    )


def _filled(record: Any, taken: dict[str, Any]) -> Any:
    named = {NAMES.get(field.name, field.name): field.name for field in fields(record)}
    values = {named[name]: value for name, value in taken.items() if name in named}
    for name in ("tile", "halo"):
        if name in values and len(values[name]) == 1:
            values[name] = values[name][0]
    return replace(record, **values)


def _check_company(flag: str, made: Asked) -> None:
    """Refuse an option that would have no effect: whoever gives it expects one."""
    if flag not in ONLY_WITH:
        return
    other, values = ONLY_WITH[flag]
    results = made.results
    told = {"--normalize": made.pixels.normalization.kind, "--output": results.output, "--dtype": results.dtype}[other]
    if told not in values:
        raise SettingError(
            f"{flag} with {other} {told}",
            f"{flag} only with {other} {' or '.join(values)}",
            f"Add {other} {values[0]}, or leave {flag} out.",
        )
