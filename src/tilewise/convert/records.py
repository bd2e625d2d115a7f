"""What is asked of a conversion, and what came of it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tilewise.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

OLDEST = 7
"""Of the opsets that onnxruntime still takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How to convert."""

    weights: str | None = None
    """HDF5 file of the weights, for a Keras architecture in JSON; found beside it if not given."""
    opset: int | None = None
    """Opset of the result; the source's own if not given, or the newest that the runtime takes."""
    ir: int | None = None
    """IR version of the result; what goes with the opset if not given."""
    shape: tuple[int, ...] | None = None
    """Shape of an example input, batch and channels included, where the source does not tell it."""
    tolerance: float = 1e-4
    """Largest difference from the original, as a part of the range of its output."""
    trust: bool = False
    """Run code that the source holds: pickles, Lambda layers, operators that reach files."""
    overwrite: bool = False
    """Replace an ONNX file."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise SettingError(f"--tolerance {self.tolerance:g}", "a number from 0 on", "For example --tolerance 1e-4.")
        if self.opset is not None and self.opset < OLDEST:
            raise SettingError(f"--opset {self.opset}", f"an opset from {OLDEST} on", "Leave --opset away.")
        if self.ir is not None and self.ir < 3:
            raise SettingError(f"--ir {self.ir}", "an IR version from 3 on", "Leave --ir away.")
        if self.shape is not None and (not 2 <= len(self.shape) <= 5 or min(self.shape) < 1):
            raise SettingError(
                f"--shape {','.join(map(str, self.shape))}",
                "2 to 5 lengths, each at least 1",
                "Give batch, channels and space in the model's order: --shape 1,3,256,256.",
            )


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the result."""

    name: str
    """Its name."""
    dtype: str
    """numpy's name of its type."""
    shape: tuple[int | str, ...]
    """Lengths; a name where any length goes."""


@dataclass(frozen=True, slots=True)
class Compared:
    """How the result was held against the original."""

    by: str
    """What ran the original; "the same operators" where only version numbers changed."""
    difference: float
    """Largest absolute difference of all outputs, as a part of the range of that output."""
    shapes: tuple[tuple[int, ...], ...]
    """Shapes of the first input that were tried."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A model that was converted."""

    source: str
    """Path of the original."""
    format: str
    """What it was."""
    out: str
    """Path of the result."""
    opset: int
    """Opset of the result."""
    ir: int
    """IR version of the result."""
    inputs: tuple[Port, ...]
    """What the result takes."""
    outputs: tuple[Port, ...]
    """What it gives."""
    compared: Compared
    """How it was held against the original."""
    tolerance: float
    """Above which it would have been refused."""
    sha256: str
    """Of the result, and of its data file after it if it has one."""
    size: int
    """Bytes of the result with its data file."""
    versions: Mapping[str, str]
    """Versions of the libraries that took part."""
    model: Mapping[str, Any] | None = None
    """What ``inspect`` found of the result: verdict, layout, multiple, radius; None where it was not asked."""
    note: str = ""
    """Why nothing was found."""

    def to_json(self) -> dict[str, Any]:
        """What ``tilewise convert --json`` prints."""
        found = {name: value for name, value in asdict(self).items() if name not in {"compared", "versions", "model"}}
        told = {"by": self.compared.by, "difference": self.compared.difference, "sizes": self.compared.shapes}
        return {
            **found,
            "compared": told["by"],
            "difference": told["difference"],
            "sizes": told["sizes"],
            "versions": dict(self.versions),
            "model": None if self.model is None else dict(self.model),
        }

    def __str__(self) -> str:
        sizes = " and ".join("x".join(map(str, shape)) for shape in self.compared.shapes)
        against = f"{self.compared.by}{f' at {sizes}' if sizes else ''}"
        lines = [
            f"{self.out}: from {self.format}, opset {self.opset}, IR {self.ir}, {self.size / 2**20:.1f} MiB",
            f"difference {self.compared.difference:.2g} of the range (at most {self.tolerance:g}), against {against}",
        ]
        if self.model is not None:
            lines.append(_summary(self.model))
        elif self.note:
            lines.append(f"not inspected: {self.note}")
        return "\n".join(lines)


def _summary(model: Mapping[str, Any]) -> str:
    radius = "unbounded" if model["radius"] is None else model["radius"]
    return f"inspected: {model['verdict']}, {model['layout']}, multiple {model['multiple']}, radius {radius}"
