"""What came in as a Dask array with named axes, and what goes out as the same kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tilewise.errors import ImageError
from tilewise.openers.spec import ImageSpec
from tilewise.openers.view import crop_image

if TYPE_CHECKING:
    import dask.array as da

    from tilewise.block import Product
    from tilewise.plans import Plan
    from tilewise.settings import Pixels


def unwrap(x: Any, axes: str | None) -> tuple[da.Array, str]:
    """The Dask array and its axes."""
    import dask.array as da

    named = "".join(str(d).lower() for d in getattr(x, "dims", ()))
    data = getattr(x, "data", x) if named else x
    array = data if isinstance(data, da.Array) else da.from_array(np.asarray(data))
    found = axes or (named if named and set(named) <= set("tczyx") else {2: "yx", 3: "zyx"}.get(array.ndim, ""))
    if len(found) != array.ndim or len(set(found)) != len(found) or not set(found) <= set("tczyx"):
        raise ImageError(
            f"axes {found or 'none'} for an array of shape {array.shape}",
            "one letter an axis from t c z y x",
            "Give Pixels(axes=...), or a DataArray whose dimensions have these names.",
        )
    if any(np.isnan(n) for n in array.shape):
        raise ImageError("an array of unknown shape", "known sizes", "Call compute_chunk_sizes() first.")
    return array, found


def cut_region(x: Any, array: da.Array, axes: str, pixels: Pixels) -> tuple[Any, da.Array]:
    """The region of an array, and of what names its dimensions."""
    if pixels.pixel_size:
        raise ImageError(
            "pixel_size for an array", "an image with levels", "Scale the array first, or give the image to run()."
        )
    if pixels.mask is not None:
        raise ImageError("a mask for an array", "no mask: predict() computes every tile", "Use run() for a masked run.")
    if not pixels.region:
        return x, array
    spec = crop_image(describe(array, axes), pixels.region)
    origin = spec.view.origin if spec.view is not None else ()
    slices = tuple(slice(o, o + n) for o, n in zip(origin, spec.shape, strict=True))
    return x[slices] if hasattr(x, "dims") else x, array[slices]


def describe(array: da.Array, axes: str) -> ImageSpec:
    """An array's facts, in the words of a stored image's."""
    ndim = array.ndim
    return ImageSpec(
        path="",
        array_path="",
        axes=axes,
        shape=array.shape,
        dtype=array.dtype.newbyteorder("=").name,
        chunks=array.chunksize,
        shards=None,
        level=0,
        levels=1,
        scale=(1.0,) * ndim,
        translation=(0.0,) * ndim,
        units=(None,) * ndim,
        channel_names=(),
        name="array",
        zarr_format=3,
        codecs=(),
        fingerprint="",
    )


def wrap(result: da.Array, x: Any, made: Plan, product: Product) -> Any:
    """The same kind as came in; a DataArray keeps name, attributes and coordinates, but for those of channels.

    Along an axis whose pixels are others than the image's, a coordinate of numbers is read off between the image's own;
    other coordinates along it have no place any more.
    """
    if not hasattr(x, "dims"):
        return result
    import xarray as xr

    named = {str(d).lower(): d for d in x.dims}
    dims = [named.get(a, a) for a in made.output_axes]
    moved = _place_pixels(made, product)
    places = {named[a]: place for a, place in moved.items() if a in named}
    coords = {}
    for name, value in x.coords.items():
        scaled = [d for d in value.dims if d in places]
        if named.get("c") in value.dims or not set(value.dims) <= set(dims):
            continue
        if not scaled:
            coords[name] = value
        elif value.ndim == 1 and value.dtype.kind in "iuf":
            coords[name] = (value.dims, _read_off(value.to_numpy(), places[scaled[0]]), value.attrs)
    return xr.DataArray(result, dims=dims, coords=coords, name=x.name, attrs=x.attrs)


def _place_pixels(made: Plan, product: Product) -> dict[str, np.ndarray]:
    """Centres of a result's pixels in pixels of the image, for each axis where they are others."""
    found = {}
    for letter, axis in zip(made.spatial, product.grid.axes[made.lead :], strict=True):
        count = axis.placed(axis.count - 1)[1]
        if axis.scale != 1 or axis.origin != 0 or count != axis.size:
            found[letter] = float(axis.origin) + np.arange(count) / float(axis.scale)
    return found


def _read_off(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """A coordinate between its own values, and beyond them as its last two go on."""
    if len(values) == 1:
        return np.full(len(places), float(values[0]))
    first = np.clip(np.floor(places).astype(int), 0, len(values) - 2)
    steps = np.diff(values.astype(np.float64))
    found: np.ndarray = values[first] + (places - first) * steps[first]
    return found
