"""Where pixels come from: an image is opened once a process, and read by boxes in one order of axes."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tilewise.errors import ImageError, StoreError
from tilewise.geometry import Box
from tilewise.openers.faults import check_stored, find_blame
from tilewise.openers.find import open_image, open_level, open_view
from tilewise.openers.held import Array
from tilewise.openers.plates import is_plate, list_fields
from tilewise.openers.spec import MISSING, ImageSpec
from tilewise.openers.table import OPENERS, Pixels
from tilewise.openers.view import first_pixel, read_view, stored_box
from tilewise.store import is_url

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Array",
    "ImageSpec",
    "Source",
    "is_plate",
    "list_fields",
    "missing_chunks",
    "open_image",
    "open_level",
    "open_view",
]

LEAD = "tz"
"""Axes that a model may not see, in the order in which they lead a block's pixels."""

KEPT = 16
"""Open images kept in a process."""

SAMPLED = 16
"""Stored units that are looked at when images are told apart."""


_open: dict[tuple[str, str, str], Pixels] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Source:
    """An image as a model of two or three spatial axes sees it; picklable, opened where it is read."""

    spec: ImageSpec
    """The image."""
    spatial: str
    """Axes that the model sees: yx or zyx."""

    def __post_init__(self) -> None:
        if not set(self.spatial) <= set(self.spec.axes):
            raise ImageError(
                f"an image of axes {self.spec.axes} for a model over {self.spatial}",
                f"an image with {', '.join(self.spatial)}",
                "Name the axes with --axes, or use a 2-D model.",
            )

    @property
    def lead(self) -> str:
        """Axes of the image that the model does not see, in the order of the lead box."""
        return "".join(axis for axis in LEAD if axis in self.spec.axes and axis not in self.spatial)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths in the order of what is read: leading axes, channels, spatial axes."""
        lengths = dict(zip(self.spec.axes, self.spec.shape, strict=True))
        return tuple(lengths.get(axis, 1) for axis in self.lead + "c" + self.spatial)

    def read(
        self,
        lead_box: Box,
        channels: tuple[int, ...],
        spatial_box: Box,
        *,
        missing: Literal["error", "fill"] = "error",
    ) -> np.ndarray:
        """Pixels of a box inside the image as [lead..., c, spatial...], native bytes, contiguous, in one read.

        Args:
            lead_box: box over the leading axes, in the order of ``lead``.
            channels: which channels, in the order in which they are given back; (0,) if there is no such axis.
            spatial_box: box over the spatial axes.
            missing: what to do about chunks that are not stored.

        Raises:
            ImageError: a chunk is missing, empty or cannot be decoded; it is named.
        """
        import numpy as np

        parts = self._select(lead_box, channels, spatial_box)
        region = self._region(parts)
        pixels, stored = _open_cached(self.spec), stored_box(self.spec, region)
        # over a network the read itself finds out what is missing
        distant = is_url(self.spec.path)
        if not distant:
            check_stored(self.spec, pixels, stored, missing=missing)
        try:
            found = read_view(pixels, self.spec, tuple(parts[axis] for axis in self.spec.axes))
        except StoreError:
            raise
        except Exception as error:
            raise find_blame(self.spec, pixels, stored, error) from error
        if distant:
            check_stored(self.spec, pixels, stored, missing=missing)
        order = [axis for axis in self.lead + "c" + self.spatial if axis in self.spec.axes]
        found = found.transpose([self.spec.axes.index(axis) for axis in order])
        if "c" not in self.spec.axes:
            found = np.expand_dims(found, len(self.lead))
        wanted = sorted(set(channels))
        if channels != tuple(wanted):
            found = found.take([wanted.index(k) for k in channels], axis=len(self.lead))
        return np.ascontiguousarray(found, dtype=np.dtype(self.spec.dtype))

    def region(self, lead_box: Box, channels: tuple[int, ...], spatial_box: Box) -> Box:
        """The smallest box around what ``read`` would read, in the array's own axis order."""
        return self._region(self._select(lead_box, channels, spatial_box))

    def _select(self, lead_box: Box, channels: tuple[int, ...], spatial_box: Box) -> dict[str, slice | list[int]]:
        lengths = dict(zip(self.lead + "c" + self.spatial, self.shape, strict=True))
        if not channels or any(not 0 <= k < lengths["c"] for k in channels):
            raise ImageError(
                f"channels {', '.join(map(str, channels)) or 'none'}",
                f"some of 0 to {lengths['c'] - 1}",
                "Choose with --channels.",
            )
        parts: dict[str, slice | list[int]] = {}
        for axes, box in ((self.lead, lead_box), (self.spatial, spatial_box)):
            for axis, start, stop in zip(axes, box.start, box.stop, strict=True):
                if not 0 <= start < stop <= lengths[axis]:
                    raise ValueError(f"{axis} from {start} to {stop} of an image of {lengths[axis]}")
                parts[axis] = slice(start, stop)
        wanted = sorted(set(channels))
        # a run of neighbours is a plain slice, which zarr reads faster than a list
        run = wanted[-1] - wanted[0] + 1 == len(wanted)
        parts["c"] = slice(wanted[0], wanted[-1] + 1) if run else wanted
        return parts

    def _region(self, parts: dict[str, slice | list[int]]) -> Box:
        """The smallest box around a selection, in the array's own axis order."""
        ends = [
            (part.start, part.stop) if isinstance(part, slice) else (min(part), max(part) + 1)
            for part in (parts[axis] for axis in self.spec.axes)
        ]
        return Box(tuple(start for start, _ in ends), tuple(stop for _, stop in ends))


def missing_chunks(spec: ImageSpec, region: Box | None = None, *, begun: bool = False) -> list[str]:
    """Keys of the chunks, or shards, that a region touches and the store does not have.

    Zarr reads them as fill. It costs one look at the file system a chunk, nothing is read.

    Args:
        spec: the image.
        region: a box in the image's own axis order; all of it if not given.
        begun: only those whose first pixel lies in the region, so that a partition counts each once.
    """
    region = region or Box((0,) * len(spec.shape), spec.shape)

    def wanted(place: Box) -> bool:
        return not begun or all(a >= b for a, b in zip(first_pixel(spec, place.start), region.start, strict=True))

    stored = _open_cached(spec).stored(stored_box(spec, region))
    return [key for key, place, fault in stored if fault == MISSING and wanted(place)]


def sample_pixels(spec: ImageSpec) -> dict[str, str]:
    """Digests of a few chunks or shards, by key: they tell images apart whose metadata are the same."""
    return _open_cached(spec).sample(SAMPLED)


def _open_cached(spec: ImageSpec) -> Pixels:
    key = (spec.path, spec.array_path, spec.fingerprint)
    with _lock:
        if key not in _open:
            while len(_open) >= KEPT:
                _open.pop(next(iter(_open)))
            _open[key] = OPENERS[spec.opener].open_pixels(spec.base)
        return _open[key]
