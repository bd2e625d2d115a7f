"""The resolution level that has a wanted pixel size, or the one to scale from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewise.errors import ImageError
from tilewise.openers.view import scale_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tilewise.openers.spec import ImageSpec

NEAR = 0.1
"""A level has a pixel size if its own differs by at most this part."""

MICROMETERS = {
    "picometer": 1e-6,
    "pm": 1e-6,
    "angstrom": 1e-4,
    "\u00c5": 1e-4,
    "nanometer": 1e-3,
    "nm": 1e-3,
    "micrometer": 1.0,
    "micron": 1.0,
    "um": 1.0,
    "\u00b5m": 1.0,
    "\u03bcm": 1.0,
    "millimeter": 1e3,
    "mm": 1e3,
    "centimeter": 1e4,
    "cm": 1e4,
    "decimeter": 1e5,
    "meter": 1e6,
    "m": 1e6,
    "inch": 25400.0,
}
"""Units of length that images name, in micrometres."""


def find_level(inspect: Callable[[int], ImageSpec], wanted: Sequence[float], *, resample: bool) -> ImageSpec:
    """The level that has a pixel size, else what the next finer one is scaled to.

    Args:
        inspect: gives a level of the image.
        wanted: micrometres of a pixel: one number for y and x, or (y, x), or (z, y, x).
        resample: scale where no level has it.

    Raises:
        ImageError: no level has it, or the image does not say how large its pixels are.
    """
    first = inspect(0)
    each = (*wanted, *wanted) if len(wanted) == 1 else tuple(wanted)
    sizes = dict(zip("zyx"[-len(each) :], each, strict=True))
    absent = [axis for axis in sizes if axis not in first.axes]
    if absent:
        raise ImageError(
            f"--pixel-size {_list(wanted)} for an image of axes {first.axes}",
            f"an image with {', '.join(absent)}",
            "Give one number for y and x.",
        )
    levels = [first, *(inspect(k) for k in range(1, first.levels))]
    ratios = [_ratios(spec, sizes) for spec in levels]
    near = [k for k, r in enumerate(ratios) if all(1 - NEAR <= 1 / f <= 1 + NEAR for f in r.values())]
    if near:
        return levels[min(near, key=lambda k: max(abs(1 / f - 1) for f in ratios[k].values()))]
    if not resample:
        held = "; ".join(f"level {k}: {_show(spec, sizes)}" for k, spec in enumerate(levels))
        raise ImageError(
            f"--pixel-size {_list(wanted)} for {first.path or 'an array'}",
            f"a level that has it within 10 %; there is {held}",
            "Give one of them, or add --resample.",
        )
    finer = [k for k, r in enumerate(ratios) if all(f >= 1 for f in r.values())]
    level = max(finer, default=0)
    return scale_image(levels[level], [ratios[level].get(axis, 1.0) for axis in first.axes])


def _ratios(spec: ImageSpec, sizes: dict[str, float]) -> dict[str, float]:
    """Pixels of a level along one wanted pixel, per axis."""
    return {axis: wanted / micrometers(spec, axis) for axis, wanted in sizes.items()}


def micrometers(spec: ImageSpec, axis: str) -> float:
    """Size of a pixel in micrometres.

    Raises:
        ImageError: the image does not say it.
    """
    place = spec.axes.index(axis)
    unit = spec.units[place]
    if unit is None or unit.lower() not in MICROMETERS:
        raise ImageError(
            f"--pixel-size for {spec.path or 'an array'}, whose unit along {axis} is {unit or 'not given'}",
            "an image that says how large its pixels are, in a unit of length",
            "Choose the level with --level, or write scale and unit into the image's metadata.",
        )
    return spec.scale[place] * MICROMETERS[unit.lower()]


def _show(spec: ImageSpec, sizes: dict[str, float]) -> str:
    return " x ".join(f"{micrometers(spec, axis):.4g}" for axis in sizes) + " um"


def _list(wanted: Sequence[float]) -> str:
    return ",".join(f"{size:g}" for size in wanted)
