"""Tensors as bioimage.io describes them: format 0.4 (axes as letters, one shape) and 0.5 (a record an axis) as one.

Both are read tolerantly: what neither format allows is refused only where it would change a result.
Axes are letters: b batch, i index, t time, c channel, z y x space.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilewise.descriptions.contract import Extent
from tilewise.errors import ModelError

IDS = {"batch": "b", "channel": "c", "time": "t", "index": "i"}
"""Names of axes that are not space, and their letters."""
UNITS = {"nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6, "angstrom": 1e-4}
"""Micrometres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis."""

    letter: str
    """b i t c z y x."""
    extent: Extent | None
    """Lengths that it may have, if that is said and does not depend on another tensor."""
    halo: int
    """What has to be cut off the output on each side."""
    scale: float
    """Length of the output per length of the input for 0.4; size of a pixel for 0.5."""
    unit: str
    """Of a pixel's size; empty if not said."""
    names: tuple[str, ...]
    """Of channels."""
    offset: float = 0.0
    """What the output has in front and behind beside that, for 0.4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One step of a processing chain."""

    kind: str
    """bioimage.io's name of it."""
    options: Mapping[str, Any]
    """Its keyword arguments, as written."""
    old: bool
    """True for format 0.4: mode, and axes as letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """An input or output."""

    name: str
    """Its name in the description."""
    axes: tuple[Axis, ...]
    """In order."""
    ops: tuple[Op, ...]
    """Processing."""
    test: Mapping[str, Any] | None
    """Its test file: source and sha256."""
    old: bool
    """True for format 0.4."""

    @property
    def letters(self) -> str:
        """Its axes."""
        return "".join(axis.letter for axis in self.axes)

    @property
    def layout(self) -> str:
        """Its axes in tilewise's letters; those that have none stay small."""
        return "".join({"b": "N", "c": "C", "z": "D", "y": "H", "x": "W"}.get(a, a) for a in self.letters)

    @property
    def spatial(self) -> tuple[Axis, ...]:
        """Axes of space in the order z, y, x."""
        return tuple(sorted((axis for axis in self.axes if axis.letter in "zyx"), key=lambda a: "zyx".index(a.letter)))

    @property
    def channels(self) -> int | None:
        """Length of the channel axis; 1 without one, None if not known."""
        axis = next((axis for axis in self.axes if axis.letter == "c"), None)
        if axis is None:
            return 1
        return len(axis.names) or (axis.extent.least if axis.extent and not axis.extent.step else None)


def read_tensor(entry: Any, kind: str, place: str) -> Described:
    """An input or output, without its test file if that is named elsewhere.

    Args:
        entry: as written.
        kind: input or output, the name of one that has none.
        place: of the description, for messages.
    """
    if not isinstance(entry, Mapping) or "axes" not in entry:
        raise ModelError(
            f"an {kind} without axes in {place}", "axes such as bcyx, or a list of them", "Mend the description."
        )
    axes = entry["axes"]
    old = isinstance(axes, str)
    found = _letters(entry, place) if old else tuple(_axis(axis, place) for axis in axes)
    letters = [axis.letter for axis in found]
    if len(set(letters)) != len(letters) or (kind == "input" and not {"y", "x"} <= set(letters)):
        raise ModelError(
            f"axes {''.join(letters) or 'none'} of the {kind} in {place}",
            "axes that differ" + (", y and x among them" if kind == "input" else ""),
            "Mend the description.",
        )
    name = str(entry.get("name") or entry.get("id") or kind)
    chain = entry.get("preprocessing" if kind == "input" else "postprocessing") or []
    test = entry.get("test_tensor")
    return Described(
        name=name,
        axes=found,
        ops=tuple(_op(step, old, place) for step in chain),
        test={"source": test} if isinstance(test, str) else test,
        old=old,
    )


def read_size(axis: Axis, others: Mapping[str, Described], entry: Any) -> Extent | None:
    """Lengths of an axis that refers to an axis of another tensor; None if that is not known."""
    size = entry.get("size") if isinstance(entry, Mapping) else None
    if not isinstance(size, Mapping) or "tensor_id" not in size:
        return axis.extent
    other = others.get(str(size["tensor_id"]))
    wanted = letter_of(str(size.get("axis_id", "")))
    twin = next((a for a in other.axes if a.letter == wanted), None) if other else None
    if twin is None or twin.extent is None or twin.scale != axis.scale:
        return None
    return Extent(least=twin.extent.least + int(size.get("offset", 0)), step=twin.extent.step)


def letter_of(name: str) -> str:
    """The letter of an axis that is named in full or by its letter."""
    return IDS.get(name, name)


def _op(step: Any, old: bool, place: str) -> Op:
    kind = (step.get("id") or step.get("name")) if isinstance(step, Mapping) else step
    options = step.get("kwargs") if isinstance(step, Mapping) else None
    if not isinstance(kind, str) or not isinstance(options or {}, Mapping):
        raise ModelError(f"a step {kind!r} of processing in {place}", "an id with kwargs", "Mend the description.")
    return Op(kind=kind, options=options or {}, old=old)


def _letters(entry: Mapping[str, Any], place: str) -> tuple[Axis, ...]:
    """Format 0.4: letters, and a shape of which the output's may refer to the input's."""
    letters: str = entry["axes"]
    unknown = set(letters) - set("bitczyx")
    if unknown:
        raise ModelError(f"axes {letters} in {place}", "letters of bitczyx", "Mend the description.")
    shape, count = entry.get("shape"), len(letters)
    least: list[int | None] = [None] * count
    step, scale = [0] * count, [1.0] * count
    offset = [0.0] * count
    if isinstance(shape, Mapping) and "min" in shape:
        least, step = list(shape["min"]), list(shape.get("step") or step)
    elif isinstance(shape, Mapping):
        scale = [0.0 if s is None else float(s) for s in shape.get("scale") or scale]
        offset = [float(o or 0) for o in shape.get("offset") or offset]
        # a new axis, or one whose length does not depend on the input: twice the offset
        least = [round(2 * o) if s == 0 else None for s, o in zip(scale, offset, strict=False)]
    elif isinstance(shape, Sequence):
        least = list(shape)
    halo = [int(h) for h in entry.get("halo") or [0] * count]
    if not all(len(numbers) == count for numbers in (least, step, scale, halo)):
        raise ModelError(
            f"axes {letters} beside a shape of {len(least)} and a halo of {len(halo)} numbers in {place}",
            "one number an axis",
            "Mend the description.",
        )
    return tuple(
        Axis(
            letter=letter,
            extent=None if least[k] is None else Extent(least=int(least[k] or 0), step=int(step[k])),
            halo=halo[k],
            scale=scale[k],
            offset=offset[k],
            unit="",
            names=(),
        )
        for k, letter in enumerate(letters)
    )


def _axis(entry: Any, place: str) -> Axis:
    """Format 0.5: a record an axis; what it leaves out has a default."""
    if isinstance(entry, str):
        entry = {"type": entry}
    kind = str(entry.get("type", "")) if isinstance(entry, Mapping) else ""
    if kind not in {*IDS, "space"}:
        raise ModelError(
            f"an axis of type {kind or entry} in {place}", f"one of {', '.join([*IDS, 'space'])}", "Mend it."
        )
    letter = IDS.get(kind) or str(entry.get("id", "x"))
    if kind == "space" and letter not in {"z", "y", "x"}:
        raise ModelError(f"an axis of space named {letter} in {place}", "z, y or x", "Mend the description.")
    size, names = entry.get("size"), entry.get("channel_names")
    extent = None
    if isinstance(size, int):
        extent = Extent(least=size)
    elif isinstance(size, Mapping) and "step" in size:
        extent = Extent(least=int(size["min"]), step=int(size["step"]))
    return Axis(
        letter=letter,
        extent=extent,
        halo=int(entry.get("halo") or 0),
        scale=float(entry.get("scale") or 1.0),
        unit=str(entry.get("unit") or ""),
        names=tuple(map(str, names)) if isinstance(names, list | tuple) else (),
    )


def count_channels(given: Described, result: Described) -> int | None:
    """Channels of an output, also where format 0.4 tells them by those of the input."""
    twins = [next((axis for axis in tensor.axes if axis.letter == "c"), None) for tensor in (given, result)]
    if result.channels is not None or not result.old or given.channels is None or twins[1] is None:
        return result.channels
    return round(given.channels * twins[1].scale + 2 * twins[1].offset) or None


def ratio(given: Axis, result: Axis, *, old: bool) -> float:
    """Output pixels per input pixel along an axis."""
    found = result.scale if old else given.scale / result.scale
    return found if found > 0 and math.isfinite(found) else 1.0


def micrometres(axes: Sequence[Axis]) -> tuple[float, ...] | None:
    """Size of a pixel, if it is said of every axis."""
    if not all(axis.unit in UNITS for axis in axes):
        return None
    return tuple(axis.scale * UNITS[axis.unit] for axis in axes)
