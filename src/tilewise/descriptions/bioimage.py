"""bioimage.io: a model's weights beside a YAML file that tells axes, halo, processing and test tensors.

Read here with a safe YAML loader: bioimageio.spec checks a description for publication, needs 24 packages and a
second to import, and would still leave the meaning of every field to us.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tilewise.descriptions.chain import read_after, read_before
from tilewise.descriptions.contract import Contract, Extent, Trial, Unmet, sign
from tilewise.descriptions.tensors import Described, count_channels, micrometres, ratio, read_size, read_tensor
from tilewise.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from tilewise.descriptions.package import Package

FORMATS = ("0.4", "0.5")
"""Versions that are read."""
GENERIC = re.compile(r"(channel|class|output|input)?[ _-]?\d*")
"""Names of channels that say nothing."""
SIDE = {2: 256, 3: 96}
"""Pixels a side of a tile where one axis is fixed and another is not."""


def read_package(package: Package, number: int | None = None) -> tuple[Path, Contract]:
    """The ONNX file that a description means, and what it says.

    Args:
        package: where it lies.
        number: of the output that is wanted, if one is.

    Raises:
        ModelError: it is no description of a model, of another version, or has no ONNX weights.
    """
    place = f"{package.root}/{package.name}"
    found = _load(package, place)
    version = ".".join(str(found.get("format_version", "")).split(".")[:2])
    if found.get("type", "model") != "model" or not found.get("inputs") or not found.get("outputs"):
        raise ModelError(f"{place} describes no model", "a bioimage.io description of a model", "Check the file.")
    if version not in FORMATS:
        raise ModelError(
            f"{place} is of format {found.get('format_version', 'none')}",
            f"format {' or '.join(FORMATS)}",
            "Update it with bioimageio.spec, or give the .onnx file itself and its options as flags.",
        )
    weights = _weights(package, found, place)
    try:
        contract = _contract(package, found, place, number)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise ModelError(
            f"{place} cannot be understood ({type(error).__name__}: {error})",
            "a valid bioimage.io description",
            "Check it with: bioimageio validate-format",
        ) from error
    return weights, sign(contract, f"bioimage.io {version}")


def _load(package: Package, place: str) -> Mapping[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(package.text())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = " ".join(str(error).split())[:200]
        raise ModelError(f"{place} is no YAML ({line})", "a bioimage.io description", "Check the file.") from error
    if not isinstance(found, Mapping):
        raise ModelError(f"{place} describes no model", "a bioimage.io description of a model", "Check the file.")
    return found


def _weights(package: Package, found: Mapping[str, Any], place: str) -> Path:
    entries = found.get("weights")
    entries = entries if isinstance(entries, Mapping) else {}
    entry = entries.get("onnx")
    if not isinstance(entry, Mapping) or not entry.get("source"):
        others = ", ".join(map(str, entries)) or "none"
        raise ModelError(
            f"{place} has no ONNX weights (it has {others})",
            "weights in the format onnx",
            "Convert one of its weights with: tilewise convert",
        )
    beside = entry.get("external_data")
    if isinstance(beside, Mapping) and beside.get("source"):
        package.file(str(beside["source"]), _sha256(beside))
    return package.file(str(entry["source"]), _sha256(entry))


def _sha256(entry: Mapping[str, Any]) -> str | None:
    return str(entry["sha256"]) if entry.get("sha256") else None


def _contract(package: Package, found: Mapping[str, Any], place: str, number: int | None = None) -> Contract:
    inputs = [read_tensor(entry, "input", place) for entry in found["inputs"]]
    outputs = [read_tensor(entry, "output", place) for entry in found["outputs"]]
    given, result = inputs[0], outputs[min(number or 0, len(outputs) - 1)]
    named = {tensor.name: tensor for tensor in inputs}
    entries = found["inputs"][0]["axes"]
    if not given.old:
        pairs = zip(given.axes, entries, strict=True)
        given = replace(given, axes=tuple(replace(a, extent=read_size(a, named, entry)) for a, entry in pairs))
    before, unmet = read_before(given)
    count = count_channels(given, result)
    after, more = read_after(result, count)
    if number is None and any(tensor.ops != result.ops for tensor in outputs):
        more = (*more, Unmet(group="output_name", what="other steps for each of its outputs"))
    extents = tuple(axis.extent for axis in given.spatial)
    known = tuple(extent for extent in extents if extent is not None)
    notes = _notes(inputs, before)
    return Contract(
        layout=given.layout,
        output_layout=result.layout,
        channel_names=_names(given),
        class_names=_names(result),
        pixel_size=None if given.old else micrometres(given.spatial),
        tile=_tile(extents),
        halo=_halo(given, outputs if number is None else [result]),
        extents=known if len(known) == len(extents) else None,
        in_channels=given.channels,
        out_channels=count,
        unmet=unmet + more,
        notes=notes,
        trial=_trial(package, found, given, result, number or 0),
        **before,
        **after,
    )


def _names(tensor: Described) -> tuple[str, ...] | None:
    names = next((axis.names for axis in tensor.axes if axis.letter == "c"), ())
    return names if names and not all(GENERIC.fullmatch(name.lower()) for name in names) else None


def _tile(extents: tuple[Extent | None, ...]) -> tuple[int, ...] | None:
    """The only size that is allowed; where some axes are free, an allowed size of the usual order."""
    if not any(extent is not None and not extent.step for extent in extents):
        return None
    side = SIDE.get(len(extents), SIDE[2])
    return tuple(
        side if e is None else e.least + math.ceil(max(side - e.least, 0) / e.step) * e.step if e.step else e.least
        for e in extents
    )


def _halo(given: Described, results: Sequence[Described]) -> tuple[int, ...] | None:
    """In pixels of the input; a description whose halo is 0 everywhere does not say how much is needed."""
    found = [0] * len(given.spatial)
    for result in results:
        twins = {axis.letter: axis for axis in result.axes}
        pairs = [(axis, twins.get(axis.letter)) for axis in given.spatial]
        asked = (0 if b is None else math.ceil(b.halo / ratio(a, b, old=result.old)) for a, b in pairs)
        found = [max(pair) for pair in zip(found, asked, strict=True)]
    return tuple(found) if any(found) else None


def _notes(inputs: list[Described], before: Mapping[str, Any]) -> tuple[str, ...]:
    notes = []
    if len(inputs) > 1:
        notes.append(f"the description has {len(inputs)} inputs: {inputs[0].name} is taken for the image")
    if before.get("scope") == "image" and before.get("normalize") in {"standardize", "minmax", "percentile"}:
        notes.append("the description normalizes over its whole data set: statistics of the image stand for it")
    return tuple(notes)


def _trial(
    package: Package, found: Mapping[str, Any], given: Described, result: Described, number: int
) -> Trial | None:
    """The test tensors, if both are there; they are read only when they are asked for."""
    pair = (given.test, result.test)
    if None in pair:
        lists = (found.get("test_inputs"), found.get("test_outputs"))
        pair = tuple(
            {"source": names[k]} if isinstance(names, list) and len(names) > k else None
            for names, k in zip(lists, (0, number), strict=True)
        )  # type: ignore[assignment]
    if pair[0] is None or pair[1] is None:
        return None
    tolerance = _tolerance(found)
    return Trial(
        package=str(package.root),
        name=package.name,
        given=(str(pair[0]["source"]), _sha256(pair[0])),
        expected=(str(pair[1]["source"]), _sha256(pair[1])),
        given_axes=given.letters,
        expected_axes=result.letters,
        **tolerance,
    )


def _tolerance(found: Mapping[str, Any]) -> dict[str, float]:
    """How close a result has to come, if the description says so."""
    config = found.get("config")
    own = config.get("bioimageio") if isinstance(config, Mapping) else None
    entries = own.get("reproducibility_tolerance") if isinstance(own, Mapping) else None
    fitting = [
        entry
        for entry in entries or []
        if isinstance(entry, Mapping) and (not entry.get("weights_formats") or "onnx" in entry["weights_formats"])
    ]
    if not fitting:
        return {}
    entry = fitting[0]
    return {
        "absolute": float(entry.get("absolute_tolerance", 1e-3)),
        "relative": float(entry.get("relative_tolerance", 1e-3)),
        "rate": float(entry.get("mismatched_elements_per_million", 100)) / 1e6,
    }
