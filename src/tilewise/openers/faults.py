"""Which chunk a read stumbled over, and how that is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tilewise.errors import ImageError, StoreError, explain
from tilewise.openers.spec import MISSING, ImageSpec

if TYPE_CHECKING:
    from tilewise.geometry import Box
    from tilewise.openers.table import Pixels


def check_stored(spec: ImageSpec, pixels: Pixels, region: Box, *, missing: Literal["error", "fill"]) -> None:
    """Refuse a region with chunks that are missing, unless that is allowed, or that cannot be whole."""
    for key, _, fault in pixels.stored(region):
        if fault == MISSING and missing == "error":
            raise ImageError(
                f"chunk {key} of {_place(spec)} is missing",
                "every chunk of the region",
                "If the writer leaves out chunks of background on purpose, add --missing fill; else write it again.",
            )
        if fault is not None and fault != MISSING:
            raise _corrupt(spec, key, fault)


def find_blame(spec: ImageSpec, pixels: Pixels, region: Box, error: Exception) -> ImageError:
    """Find the chunk that a failed read stumbled over, by reading each alone."""
    for key, box, fault in pixels.stored(region):
        if fault == MISSING:
            continue
        if fault is not None:
            return _corrupt(spec, key, fault)
        try:
            pixels.read(box.slices)
        except StoreError:
            raise
        except Exception as cause:
            return _corrupt(spec, key, explain(cause))
    return ImageError(
        f"{_place(spec)} could not be read from {region.start} to {region.stop} ({explain(error)})",
        "a store that answers",
        "Check disk and network, and run the same command again.",
    )


def _corrupt(spec: ImageSpec, key: str, why: str) -> ImageError:
    return ImageError(
        f"chunk {key} of {_place(spec)} is corrupt or cut short ({why})",
        "bytes that its codecs decode",
        "Copy or write the image again.",
    )


def _place(spec: ImageSpec) -> str:
    return f"{spec.path}/{spec.array_path}".rstrip("/")
