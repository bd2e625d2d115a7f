"""Views of a stored image: a region of it, or what it is scaled to. Whoever reads one just sees an image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tilewise.errors import ImageError
from tilewise.geometry import Box
from tilewise.openers.scaling import find_taps, scale_pixels, scaled_size
from tilewise.openers.spec import ImageSpec, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from tilewise.openers.scaling import Taps
    from tilewise.openers.table import Pixels

SAME = 1e-9
"""A factor this near to 1 is 1."""


def scale_image(spec: ImageSpec, factor: Sequence[float]) -> ImageSpec:
    """The image with other pixels: shape, scale and translation follow.

    Args:
        spec: a stored image.
        factor: stored pixels along one pixel, per axis.
    """
    factors = tuple(1.0 if abs(f - 1) < SAME else float(f) for f in factor)
    if all(f == 1 for f in factors):
        return spec
    shape = tuple(scaled_size(n, f) for n, f in zip(spec.shape, factors, strict=True))
    # the first pixel's centre lies between the stored pixels that it stands for
    shifts = [(f - 1) / 2 * s for f, s in zip(factors, spec.scale, strict=True)]
    return replace(
        spec,
        shape=shape,
        chunks=_chunks(spec.chunks, factors),
        scale=tuple(s * f for s, f in zip(spec.scale, factors, strict=True)),
        translation=tuple(t + d for t, d in zip(spec.translation, shifts, strict=True)),
        view=View(spec, factors, (0,) * len(shape), shape),
    )


def crop_image(spec: ImageSpec, region: Sequence[tuple[str, int | None, int | None]]) -> ImageSpec:
    """A part of the image as an image: shape and translation follow.

    Args:
        spec: an image, stored or scaled.
        region: axes with their first pixel and the one behind their last; None is the image's own end.

    Raises:
        ImageError: the image has no such part.
    """
    if not region:
        return spec
    ranges = {axis: (start or 0, stop) for axis, start, stop in region}
    held = ", ".join(f"{axis}=0:{n}" for axis, n in zip(spec.axes, spec.shape, strict=True))
    starts, stops = [], []
    for axis, size in zip(spec.axes, spec.shape, strict=True):
        start, stop = ranges.pop(axis, (0, None))
        stop = size if stop is None else stop
        if start >= size or stop > size:
            raise ImageError(
                f"--region {axis}={start}:{stop} of {spec.path or 'an array'}",
                f"a part of what there is, {held}",
                "Give a region inside the image.",
            )
        starts.append(start)
        stops.append(stop)
    if ranges:
        raise ImageError(
            f"--region of {', '.join(ranges)} of an image of axes {spec.axes}",
            f"axes that it has, {held}",
            "Leave out axes that the image does not have.",
        )
    view = spec.view or View(spec, (1.0,) * len(starts), (0,) * len(starts), spec.shape)
    moved = [t + a * s for t, a, s in zip(spec.translation, starts, spec.scale, strict=True)]
    names = spec.channel_names
    if names and "c" in spec.axes:
        names = names[starts[spec.axes.index("c")] : stops[spec.axes.index("c")]]
    return replace(
        spec,
        shape=tuple(b - a for a, b in zip(starts, stops, strict=True)),
        translation=tuple(moved),
        channel_names=names,
        view=replace(view, origin=tuple(o + a for o, a in zip(view.origin, starts, strict=True))),
    )


def stored_box(spec: ImageSpec, box: Box) -> Box:
    """What of the stored image a box of a view is made of."""
    if spec.view is None:
        return box
    if spec.density == 1 and all(f == 1 for f in spec.view.factor):
        return box.shift(spec.view.origin)
    ends = [
        (a, b) if taps is None else (taps.start, taps.stop)
        for (a, b), taps in zip(_ranges(spec.view, box), _find(spec.view, box), strict=True)
    ]
    return Box(tuple(a for a, _ in ends), tuple(b for _, b in ends))


def first_pixel(spec: ImageSpec, start: Sequence[int]) -> tuple[int, ...]:
    """The pixel of a view that a stored pixel is first part of; those before the region belong to its first one."""
    if spec.view is None:
        return tuple(start)
    view = spec.view
    places = [int(a / f) - o for a, f, o in zip(start, view.factor, view.origin, strict=True)]
    return tuple(min(max(k, 0), n - 1) for k, n in zip(places, spec.shape, strict=True))


def read_view(pixels: Pixels, spec: ImageSpec, selection: tuple[slice | list[int], ...]) -> np.ndarray:
    """Pixels of a view in the array's own axis order; only what they are made of is read.

    Args:
        pixels: the stored image.
        spec: the view, or the stored image itself.
        selection: slices, and lists along axes that are not scaled.
    """
    if spec.view is None:
        return pixels.read(selection)
    view = spec.view
    wanted: list[slice | list[int]] = []
    taps: list[Taps | None] = []
    origin: list[int] = []
    for part, o, f, n in zip(selection, view.origin, view.factor, view.base.shape, strict=True):
        if isinstance(part, list):
            wanted.append([k + o for k in part])
            taps.append(None)
            origin.append(0)
            continue
        one = None if f == 1 else find_taps(part.start + o, part.stop + o, n, f)
        stretch = slice(part.start + o, part.stop + o) if one is None else slice(one.start, one.stop)
        wanted.append(stretch)
        taps.append(one)
        origin.append(stretch.start)
    return scale_pixels(pixels.read(tuple(wanted)), origin, taps)


def _ranges(view: View, box: Box) -> list[tuple[int, int]]:
    return [(a + o, b + o) for a, b, o in zip(box.start, box.stop, view.origin, strict=True)]


def _find(view: View, box: Box) -> list[Taps | None]:
    return [
        None if f == 1 else find_taps(a, b, n, f)
        for (a, b), f, n in zip(_ranges(view, box), view.factor, view.base.shape, strict=True)
    ]


def _chunks(chunks: Sequence[int], factors: Sequence[float]) -> tuple[int, ...]:
    """About as many scaled pixels as a stored chunk makes."""
    return tuple(max(1, round(n / f)) for n, f in zip(chunks, factors, strict=True))
