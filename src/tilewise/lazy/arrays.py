"""What came in as a Dask array with named axes, and what goes out as the same kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tilewise.errors import ImageError
from tilewise.openers.spec import ImageSpec
from tilewise.openers.view import crop_image

if TYPE_CHECKING:
    import dask.array as da

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


def wrap(result: da.Array, x: Any, made: Plan) -> Any:
    """The same kind as came in; a DataArray keeps name, attributes and the coordinates that still fit."""
    if not hasattr(x, "dims"):
        return result
    import xarray as xr

    named = {str(d).lower(): d for d in x.dims}
    dims = [named.get(a, a) for a in made.output_axes]
    shape = dict(zip(dims, result.shape, strict=True))
    coords = {
        name: value
        for name, value in x.coords.items()
        if named.get("c") not in value.dims and all(shape.get(d) == x.sizes[d] for d in value.dims)
    }
    return xr.DataArray(result, dims=dims, coords=coords, name=x.name, attrs=x.attrs)
