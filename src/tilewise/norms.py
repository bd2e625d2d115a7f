"""Statistics of a network's inner tensors over a whole image: what frozen normalizations are made of."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewise.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1
"""Version of the file."""


@dataclass(frozen=True, slots=True)
class Row:
    """One tensor's statistics, one number a channel, in double precision."""

    mean: tuple[float, ...]
    """Means over all of its pixels."""
    variance: tuple[float, ...]
    """Population variances."""
    maximum: tuple[float, ...]
    """Largest values."""


@dataclass(frozen=True, slots=True)
class Norms:
    """All of a network's, for one image."""

    model: str
    """sha256 of the model."""
    source: str
    """exact: over the whole image; sample: over some of its tiles."""
    rows: Mapping[str, Row] = field(default_factory=dict)
    """By tensor, in the order in which they were found."""

    def add(self, tensor: str, row: Row) -> Norms:
        """With one more."""
        return Norms(self.model, self.source, {**self.rows, tensor: row})

    def to_json(self) -> dict[str, Any]:
        """Floats in hexadecimal: no bit is lost."""
        rows = {
            name: {key: [value.hex() for value in getattr(row, key)] for key in ("mean", "variance", "maximum")}
            for name, row in self.rows.items()
        }
        return {"format": FORMAT, "model": self.model, "source": self.source, "rows": rows}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Norms:
        """What ``to_json`` gave.

        Raises:
            ValueError: it is something else.
        """
        try:
            if found["format"] != FORMAT:
                raise ValueError(f"format {found['format']}")
            rows = {
                str(name): Row(*(tuple(map(float.fromhex, row[key])) for key in ("mean", "variance", "maximum")))
                for name, row in found["rows"].items()
            }
            return cls(str(found["model"]), str(found["source"]), rows)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no statistics of a network: {error}") from error


def read_norms(path: str, model: str) -> Norms:
    """Statistics that an earlier run kept, for a model of this sha256."""
    try:
        found = Norms.from_json(json.loads(Path(path).read_bytes()))
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else error
        raise SettingError(
            f"--freeze-norms {path} ({cause})",
            "exact, sample, or the norms.json of an earlier run",
            "It lies in the folder tilewise of that run's output.",
        ) from error
    if found.model != model:
        raise SettingError(
            f"--freeze-norms {path}, of model {found.model[:12]}",
            f"statistics of this model, {model[:12]}",
            "Use those of a run with this model, or --freeze-norms exact.",
        )
    return found
