"""Which image is meant: the row of the table that knows it, the level, the region."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewise.openers.held import Array, name_image
from tilewise.openers.level import find_level
from tilewise.openers.plates import find_field
from tilewise.openers.table import OPENERS
from tilewise.openers.view import crop_image

if TYPE_CHECKING:
    from pathlib import Path

    from tilewise import settings
    from tilewise.openers.spec import ImageSpec


def open_image(path: str, *, axes: str | None = None, level: int = 0, field: str | None = None) -> ImageSpec:
    """Find an image and what is known of it; no pixel is read.

    Args:
        path: an image in any format of the table; behind a file's name may stand what is meant within it.
        axes: one letter an axis from t c z y x, where the image does not say it itself.
        level: resolution level, 0 the finest.
        field: field of a plate, as row/column/field.

    Raises:
        ImageError: there is no such image, or it is none that a model could take.
    """
    path = str(path) if field is None else find_field(str(path), field)
    opener = next((row for row in OPENERS.values() if row.recognize(path)), OPENERS["zarr"])
    return opener.inspect(path, axes=axes, level=level)


def open_view(image: str | Path | Array, pixels: settings.Pixels) -> ImageSpec:
    """What a user asked for of an image, as an image: level or pixel size first, then the region of it.

    Args:
        image: a path, or an array of this process.
        pixels: what was asked for.

    Raises:
        ImageError: there is no such image, level, pixel size or region.
    """

    def inspect(level: int) -> ImageSpec:
        return open_image(name_image(image), axes=pixels.axes, level=level, field=pixels.field)

    if pixels.pixel_size:
        found = find_level(inspect, pixels.pixel_size, resample=pixels.resample)
    else:
        found = inspect(pixels.level)
    return crop_image(found, pixels.region)


def open_level(spec: ImageSpec, level: int) -> ImageSpec:
    """Another level of a stored image."""
    return OPENERS[spec.opener].inspect(spec.address, axes=spec.axes, level=level)
