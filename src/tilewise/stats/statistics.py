"""The statistics themselves: a small value that is stored with a result and compared to the bit."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Table = list[list[int]] | list[list[str]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Statistics:
    """Population statistics over finite pixels; every field has shape (slices, channels).

    One slice for scope image, one channel for statistics over all of them.
    """

    count: np.ndarray
    """Finite pixels, int64."""
    nan: np.ndarray
    """Pixels that are not a number, int64."""
    inf: np.ndarray
    """Infinite pixels, int64."""
    mean: np.ndarray
    """Mean, rounded once; NaN where nothing was finite, as in all that follow."""
    std: np.ndarray
    """Population standard deviation, rounded once; exactly 0 if all pixels are equal."""
    minimum: np.ndarray
    """Smallest pixel."""
    maximum: np.ndarray
    """Largest pixel."""
    low: np.ndarray
    """Lower percentile; NaN where none was asked for."""
    high: np.ndarray
    """Upper percentile; NaN where none was asked for."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Statistics):
            return NotImplemented
        return self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    @property
    def shape(self) -> tuple[int, int]:
        """Slices and channels."""
        slices, channels = self.count.shape
        return slices, channels

    def take(self, slices: Sequence[int]) -> Self:
        """Rows for a batch: one for each of these slices; the one row of scope image stands for all."""
        if self.shape[0] == 1:
            return self
        return type(self)(**{f.name: getattr(self, f.name)[list(slices)] for f in fields(self)})

    def to_json(self) -> dict[str, Table]:
        """Lists of integers, and of floats in hexadecimal: no bit is lost."""
        return {f.name: _to_list(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_json(cls, record: Mapping[str, Table]) -> Self:
        """What ``to_json`` gave."""
        return cls(**{f.name: _from_list(record[f.name]) for f in fields(cls)})


def _to_list(table: np.ndarray) -> Table:
    if table.dtype.kind == "i":
        return [[int(n) for n in row] for row in table]
    return [[float(x).hex() for x in row] for row in table]


def _from_list(table: Table) -> np.ndarray:
    if any(isinstance(x, str) for row in table for x in row):
        return np.array([[float.fromhex(str(x)) for x in row] for row in table], np.float64)
    return np.array(table, np.int64)
