"""Which pixels go in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tilewise.errors import SettingError
from tilewise.settings.normalization import Normalization

Range = tuple[str, int | None, int | None]
"""An axis, the first pixel and the one behind the last; None is the image's own end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """Which pixels go in, and how they are normalized."""

    axes: str | None = None
    """Axis names of a plain array, in its order, from t c z y x; OME-Zarr says its own."""
    level: int = 0
    """Resolution level of a pyramid; 0 is the finest."""
    field: str | None = None
    """Field of a plate, as row/column/field (B/03/0); row/column alone is the well's first."""
    region: tuple[Range, ...] = ()
    """Part of the image that counts as the image, in pixels of the level; axes that are not named are whole."""
    pixel_size: tuple[float, ...] = ()
    """Wanted size of a pixel in micrometres: one number for y and x, or (y, x), or (z, y, x); it finds the level."""
    resample: bool = False
    """Scale on the fly where no level has the wanted pixel size."""
    mask: str | None = None
    """An image whose pixels above 0 tell which tiles are computed, or auto: tissue or signal; None computes all."""
    neighbours: tuple[str, int] | None = None
    """Planes on each side along z or t that a 2.5-D model takes as channels, as (axis, planes)."""
    channels: tuple[int, ...] | Literal["all"] = "all"
    """Which channels, in the order in which the model takes them."""
    normalization: Normalization = Normalization()
    """How pixels become the model's numbers."""

    def __post_init__(self) -> None:
        for axis, start, stop in self.region:
            _check_range(axis, start, stop)
        axes = [axis for axis, _, _ in self.region]
        if len(set(axes)) != len(axes):
            raise SettingError(f"--region with {','.join(axes)}", "each axis once", "Name each axis once.")
        if len(self.pixel_size) > 3 or not all(0 < size < float("inf") for size in self.pixel_size):
            raise SettingError(
                f"--pixel-size {','.join(f'{size:g}' for size in self.pixel_size)}",
                "micrometres above 0: one number for y and x, or y,x, or z,y,x",
                "For example --pixel-size 0.5",
            )
        if self.neighbours is not None and (self.neighbours[0] not in {"t", "z"} or self.neighbours[1] < 1):
            raise SettingError(
                f"--neighbours {self.neighbours[0]}:{self.neighbours[1]}",
                "z or t, and at least 1 plane on each side",
                "For example --neighbours z:1",
            )
        if self.pixel_size and self.level:
            raise SettingError(f"--level {self.level} and --pixel-size", "one of the two", "Leave one of them out.")
        if self.resample and not self.pixel_size:
            raise SettingError("--resample without --pixel-size", "both", "Add --pixel-size, in micrometres.")


def _check_range(axis: str, start: int | None, stop: int | None) -> None:
    given = f"--region {show_range(axis, start, stop)}"
    if axis not in {"t", "c", "z", "y", "x"}:
        raise SettingError(given, "axes named t c z y x", "For example --region y=0:4096,x=0:4096")
    if min(start or 0, stop or 0) < 0:
        raise SettingError(given, "no negative number", "Count from the image's first pixel, which is 0.")
    if stop is not None and stop <= (start or 0):
        raise SettingError(given, "at least one pixel", "Give a stop behind the start.")


def show_range(axis: str, start: int | None, stop: int | None) -> str:
    """A range as it is typed."""
    return f"{axis}={'' if start is None else start}:{'' if stop is None else stop}"
