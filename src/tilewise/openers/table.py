"""Formats of images, one a row: what recognizes them, what knows them, what reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from tilewise.openers import hdf5 as hdf5_opener
from tilewise.openers import held as held_opener
from tilewise.openers import nifti as nifti_opener
from tilewise.openers import npy as npy_opener
from tilewise.openers import slide as slide_opener
from tilewise.openers import tiff as tiff_opener
from tilewise.openers import zarr as zarr_opener

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from tilewise.geometry import Box
    from tilewise.openers.spec import ImageSpec


class Pixels(Protocol):
    """What an opener gives: an array that is read by selections."""

    def read(self, selection: tuple[slice | list[int], ...]) -> np.ndarray:
        """Pixels in the array's own axis order."""

    def stored(self, box: Box) -> Iterator[tuple[str, Box, str | None]]:
        """Key and place of each stored unit that a box touches, and its fault: ``MISSING``, another, or None."""

    def sample(self, count: int) -> dict[str, str]:
        """Digests of a few stored units, by key."""


class Opener(Protocol):
    """A format that images come in."""

    def recognize(self, path: str) -> bool:
        """True if the content is of this format."""

    def inspect(self, path: str, *, axes: str | None, level: int) -> ImageSpec:
        """Find the image and what is known of it."""

    def open_pixels(self, spec: ImageSpec) -> Pixels:
        """Open it for reading."""


OPENERS: dict[str, Opener] = {
    "array": cast(Opener, held_opener),
    "openslide": cast(Opener, slide_opener),
    "tiff": cast(Opener, tiff_opener),
    "nifti": cast(Opener, nifti_opener),
    "hdf5": cast(Opener, hdf5_opener),
    "npy": cast(Opener, npy_opener),
    "zarr": cast(Opener, zarr_opener),
}
"""A format a row; the first that recognizes the content takes it, and the last one words the refusal."""
