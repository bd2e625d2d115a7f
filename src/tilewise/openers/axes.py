"""Names of an image's axes: the user's word comes first, then the file's own, then what is usual."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewise import ngff
from tilewise.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

USUAL = {2: "yx", 3: "zyx"}
"""What axes without names are taken for, by their number."""

LIKELY = {2: "yx", 3: "zyx", 4: "czyx", 5: "tczyx"}
"""What is shown as an example."""


LETTERS = {"time": "t", "channel": "c", "band": "c"}
"""Axis letter of a dimension's name that is no letter itself."""


def join_names(names: Sequence[object]) -> str | None:
    """Names of dimensions in our letters; None if one of them is none of ours, or stands twice."""
    letters = [LETTERS.get(str(name).lower(), str(name).lower()) for name in names]
    fits = letters and all(a in set(ngff.AXES) for a in letters) and len(set(letters)) == len(letters)
    return "".join(letters) if fits else None


def name_axes(option: str | None, known: str | None, ndim: int, where: object) -> str:
    """One letter an axis from t c z y x.

    Args:
        option: what the user says, if anything.
        known: what the file says; None if it does not, or not in these letters.
        ndim: number of axes.
        where: the image, for messages.

    Raises:
        ImageError: there are no names, or they do not fit.
    """
    axes = option.lower() if option is not None else known or USUAL.get(ndim)
    example = LIKELY.get(ndim, "yx")
    if axes is None:
        raise ImageError(
            f"{where} has {ndim} axes without names",
            "a name for each",
            f"Add --axes, for example --axes {example}",
        )
    source = f"--axes {option}" if option is not None else f"axes {axes}"
    if len(axes) != ndim:
        raise ImageError(f"{source} for {where} of {ndim} axes", f"{ndim} letters", "Name each axis once with --axes.")
    if not set(axes) <= set(ngff.AXES) or len(set(axes)) != len(axes):
        raise ImageError(f"{source}", "each letter once, from t c z y x", f"For example --axes {example}")
    if not {"y", "x"} <= set(axes):
        raise ImageError(f"{source} for {where}", "y and x among them", "Name the axes with --axes.")
    return axes


def check_level(level: int, count: int, where: object) -> None:
    """Refuse a resolution level that an image does not have."""
    if not 0 <= level < count:
        raise ImageError(
            f"--level {level} for {where}",
            "level 0, its only one" if count == 1 else f"one of its levels, 0 to {count - 1}",
            "Choose one of them with --level.",
        )


def check_pixels(dtype: np.dtype, shape: tuple[int, ...], where: object) -> None:
    """Refuse pixels that no model takes."""
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise ImageError(
            f"{where} has pixels of type {dtype}", "integers, floats or booleans", "Convert the image first."
        )
    if 0 in shape:
        raise ImageError(f"{where} is empty, its shape is {shape}", "at least one pixel", "Check the image.")
