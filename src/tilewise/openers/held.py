"""Arrays of this process as images: NumPy's, Dask's, xarray's. Known by a name for as long as someone keeps them."""

from __future__ import annotations

import hashlib
import itertools
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tilewise.errors import ImageError
from tilewise.openers.axes import check_level, check_pixels, join_names, name_axes
from tilewise.openers.plain import digest
from tilewise.openers.raw import ROW
from tilewise.openers.selection import read_selection
from tilewise.openers.spec import ImageSpec
from tilewise.openers.units import place_of, spread, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from tilewise.geometry import Box
    from tilewise.openers.selection import Selection

SCHEME = "array:"
"""What the name of an array begins with; no path does."""

EVEN = 1e-6
"""Steps between coordinates that differ by less than this part are one step."""


class Array(Protocol):
    """What an array has, whoever made it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels per axis."""

    @property
    def dtype(self) -> Any:
        """Type of the pixels."""

    def __getitem__(self, key: Any, /) -> Any: ...


_held: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
_numbers = itertools.count()


def name_image(image: str | Path | Array) -> str:
    """A path as it is; an array by a name under which this process finds it."""
    if isinstance(image, str | Path):
        return str(image)
    if not all(hasattr(image, part) for part in ("shape", "dtype", "__getitem__")):
        raise ImageError(
            f"an image of type {type(image).__name__}",
            "a path, or an array of NumPy, Dask or xarray",
            "Convert it with numpy.asarray.",
        )
    known = next((name for name, one in _held.items() if one is image), None)
    if known is None:
        known = f"{SCHEME}{next(_numbers)}"
        _held[known] = image
    return known


@dataclass(frozen=True, slots=True)
class Held:
    """An array of this process. As safe to use from many threads as it is itself."""

    array: Array
    """The array."""
    unit: tuple[int, ...]
    """Pixels that are told as the unit read, per axis."""

    def read(self, selection: Selection) -> np.ndarray:
        """Pixels of a selection, in the array's byte order."""
        return read_selection(selection, self.read_box)

    def read_box(self, box: Box) -> np.ndarray:
        """Pixels of a box; of a lazy array, that box alone is computed, in this thread."""
        import numpy as np

        part = self.array[box.slices]
        part = getattr(part, "data", part) if hasattr(part, "dims") else part
        return np.asarray(part.compute(scheduler="synchronous") if hasattr(part, "dask") else part)

    def stored(self, box: Box) -> Iterator[tuple[str, Box, str | None]]:
        """Each unit that a box touches; none is missing."""
        for index in walk(box, self.unit):
            yield ".".join(map(str, index)), place_of(index, self.unit).clip(self.array.shape), None

    def sample(self, count: int) -> dict[str, str]:
        """Digests of a few units spread over the array; none of a lazy one, which has a name to be told by."""
        if _lazy_name(self.array):
            return {}
        found = {}
        for index in spread(self.array.shape, self.unit, count):
            pixels = self.read_box(place_of(index, self.unit).clip(self.array.shape))
            found[".".join(map(str, index))] = hashlib.sha256(pixels.tobytes()).hexdigest()[:16]
        return found


def recognize(path: str) -> bool:
    """True if it is the name of an array."""
    return path.startswith(SCHEME)


def inspect(path: str, *, axes: str | None, level: int) -> ImageSpec:
    """What an array says of itself.

    Args:
        path: its name.
        axes: names of the axes, if its dimensions do not say them.
        level: 0, there are no others.
    """
    import numpy as np

    array = _find(path)
    shape, dtype = tuple(int(n) for n in _known_shape(array)), np.dtype(array.dtype)
    title = str(getattr(array, "name", None) or "array") if hasattr(array, "dims") else "array"
    where = f"an array of shape {shape}"
    check_level(level, 1, where)
    check_pixels(dtype, shape, where)
    names = name_axes(axes, join_names(getattr(array, "dims", ())), len(shape), where)
    places = [_read_place(array, k) for k in range(len(shape))]
    chunks = getattr(getattr(array, "data", array), "chunksize", None) or (*(1,) * (len(shape) - 1), ROW)
    return ImageSpec(
        path=path,
        array_path="",
        axes=names,
        shape=shape,
        dtype=dtype.newbyteorder("=").name,
        chunks=tuple(max(1, min(n, int(k))) for n, k in zip(shape, chunks, strict=True)),
        shards=None,
        level=0,
        levels=1,
        scale=tuple(scale for scale, _, _ in places),
        translation=tuple(first for _, first, _ in places),
        units=tuple(unit for _, _, unit in places),
        channel_names=(),
        name=title,
        zarr_format=0,
        codecs=(),
        fingerprint=digest([shape, dtype.str, _lazy_name(array)]),
        opener="array",
    )


def open_pixels(spec: ImageSpec) -> Held:
    """The array of a name."""
    return Held(_find(spec.path), spec.chunks)


def _find(path: str) -> Any:
    array = _held.get(path)
    if array is None:
        raise ImageError(
            "an array that this process does not have", "the process that holds it", "Run it there, without --workers."
        )
    return array


def _known_shape(array: Any) -> tuple[int, ...]:
    if any(n != n for n in array.shape):  # noqa: PLR0124  Dask says NaN of what it does not know yet
        raise ImageError("an array of unknown shape", "known sizes", "Call compute_chunk_sizes() first.")
    shape: tuple[int, ...] = array.shape
    return shape


def _lazy_name(array: Any) -> str:
    """What Dask calls the array, made of all that it is computed from; empty if there is nothing lazy about it."""
    data = getattr(array, "data", array) if hasattr(array, "dims") else array
    return str(data.name) if hasattr(data, "dask") else ""


def _read_place(array: Any, axis: int) -> tuple[float, float, str | None]:
    """Step, first place and unit of an axis, from a DataArray's coordinates where they rise evenly."""
    import numpy as np

    dims, coords = getattr(array, "dims", ()), getattr(array, "coords", {})
    found = coords[dims[axis]] if dims and dims[axis] in coords else None
    if found is None or found.ndim != 1 or found.dtype.kind not in "iuf" or len(found) < 2:
        return 1.0, 0.0, None
    places = np.asarray(found, np.float64)
    steps = np.diff(places)
    if not np.isfinite(places).all() or steps[0] <= 0 or np.abs(steps - steps[0]).max() > EVEN * steps[0]:
        return 1.0, 0.0, None
    unit = found.attrs.get("units")
    return float((places[-1] - places[0]) / len(steps)), float(places[0]), unit if isinstance(unit, str) else None
