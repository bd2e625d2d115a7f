"""Reading what tells which tiles are worth computing: a mask that the user gives, or an overview of the image."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from tilewise.errors import ImageError
from tilewise.geometry import Box
from tilewise.mask import Fit, Overview, Picture, find_signal, fit_axis, overview_of, pack_tiles, touch
from tilewise.openers.view import crop_image, scale_image
from tilewise.source import Source, open_image, open_level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilewise.geometry import AnyAxis
    from tilewise.mask import TileMask
    from tilewise.openers.spec import ImageSpec
    from tilewise.plans import Plan

GOAL = {2: 1024, 3: 256}
"""Pixels a side that an overview has at least, where the image has them: the coarsest level that does is read."""

MOST = 1 << 21
"""Pixels of an overview, at most: a finer level is shrunk to it as it is read."""

TOGETHER = 1 << 22
"""Pixels that are read at once."""


def find_mask(made: Plan) -> TileMask | None:
    """Which tiles of a plan are computed; None where all are.

    Raises:
        ImageError: the mask cannot be read, or is that of another image.
    """
    asked = made.asked.pixels.mask
    if asked is None:
        return None
    return find_tissue(made) if asked == "auto" else read_mask(made, asked)


def describe_mask(made: Plan) -> Iterator[tuple[str, np.ndarray, dict[str, Any]]]:
    """What is kept of a plan's mask: name, pixels, and how they were made and where they lie.

    ``tiles`` holds a value a tile, and ``mask``, where the mask was found and not given, what they were held against.
    """
    mask, image = made.mask, made.image
    if mask is None:
        return

    def place(axes: str, scale: list[float], start: list[float]) -> dict[str, Any]:
        own = [(image.scale[k], image.translation[k]) for k in map(image.axes.index, axes)]
        moved = [t + a * s for (s, t), a in zip(own, start, strict=True)]
        sizes = [s * f for (s, _), f in zip(own, scale, strict=True)]
        return {"how": mask.how, "axes": axes, "scale": sizes, "translation": moved}

    sizes = [axis.size if n == 1 else axis.step for axis, n in zip(made.grid.axes, mask.counts, strict=True)]
    axes = made.canonical_axes.replace("c", "")
    yield "tiles", mask.tiles, place(axes, [float(n) for n in sizes], [(n - 1) / 2 for n in sizes])
    if mask.picture is not None:
        seen = mask.picture
        yield "mask", seen.pixels, place(seen.axes, list(seen.scale), list(seen.start))


@dataclass(frozen=True, slots=True)
class _Place:
    """How an axis of the image lies in a mask."""

    letter: str
    """The axis."""
    axis: AnyAxis
    """Its cut."""
    scale: Fraction
    """Mask pixels along one pixel."""
    offset: Fraction
    """Where the first edge lies, in mask pixels."""


def find_tissue(made: Plan) -> TileMask:
    """Tiles that something is in or near, as a small overview of the image shows it."""
    chosen, places = _choose_overview(made)
    overview = _read_overview(chosen, made)
    found, told = find_signal(overview, eight_bit=made.image.dtype == "uint8")
    fits: list[Fit | None] = [None] * made.lead
    for place, size, halo in zip(places, found.shape, made.halo, strict=True):
        # what lies in a tile's halo may reach into its core
        fits.append(fit_axis(place.axis, size, place.scale, place.offset, halo))
    tiles = touch(found[(np.newaxis,) * made.lead], fits)
    scale = tuple(float(1 / place.scale) for place in places)
    start = tuple(float((Fraction(1, 2) - p.offset) / p.scale - Fraction(1, 2)) for p in places)
    picture = Picture(made.spatial, tuple(found.shape), np.packbits(found).tobytes(), scale, start)
    return pack_tiles(tiles, f"{told}, from level {chosen.level} at {_sizes(found.shape)}", picture)


def _choose_overview(made: Plan) -> tuple[ImageSpec, list[_Place]]:
    """The level and what it is shrunk to, cut to the image's region; and how the model's axes lie in it."""
    image, base = made.image, made.image.base
    goal = GOAL[len(made.spatial)]
    chosen = base
    for level in range(base.level + 1, base.levels):
        coarser = open_level(base, level)
        if max(_extent(image, coarser, a) for a in made.spatial) < goal:
            break
        chosen = coarser
    extents = [_extent(image, chosen, a) for a in made.spatial]
    shrink = 1
    while math.prod(math.ceil(e / shrink) for e in extents) > MOST:
        shrink += 1
    small = scale_image(chosen, [shrink if a in made.spatial else 1 for a in chosen.axes])
    region, places = [], []
    for letter in chosen.axes:
        ratio = _ratio(image, chosen, letter) / (shrink if letter in made.spatial else 1)
        start, stop = (ratio * n for n in _ends(image, letter))
        length = small.shape[small.axes.index(letter)]
        low, high = min(math.floor(start), length - 1), min(max(math.ceil(stop), math.floor(start) + 1), length)
        region.append((letter, low, high))
        if letter in made.spatial:
            axis = made.grid.axes[made.lead + made.spatial.index(letter)]
            places.append(_Place(letter, axis, ratio, start - low))
    return crop_image(small, region), sorted(places, key=lambda place: made.spatial.index(place.letter))


def _ends(image: ImageSpec, letter: str) -> tuple[int, int]:
    """First pixel and one behind the last of an image in what it is a region of."""
    k = image.axes.index(letter)
    start = 0 if image.view is None else image.view.origin[k]
    return start, start + image.shape[k]


def _ratio(image: ImageSpec, other: ImageSpec, letter: str) -> Fraction:
    """Pixels of another image of the same extent along one pixel of this one."""
    k = image.axes.index(letter)
    factor = Fraction(1) if image.view is None else Fraction(image.view.factor[k])
    return factor * Fraction(other.base.shape[other.axes.index(letter)], image.base.shape[k])


def _extent(image: ImageSpec, other: ImageSpec, letter: str) -> float:
    return float(_ratio(image, other, letter) * image.shape[image.axes.index(letter)])


def _read_overview(spec: ImageSpec, made: Plan) -> Overview:
    """A small image, plane by plane and box by box; planes are put together by their extremes."""
    source = Source(spec, made.spatial)
    lead, shape = source.shape[: len(source.lead)], source.shape[len(source.lead) + 1 :]
    channels = tuple(range(3)) if spec.channels == 3 else made.channels
    high = np.full((len(channels), *shape), -np.inf, np.float32)
    low, colour = -high, np.zeros(shape, np.float32)
    density = max(math.prod(f for a, f in zip(spec.axes, _factor(spec), strict=True) if a in made.spatial), 1)
    side = max(1, int((TOGETHER / density) ** (1 / len(shape))))
    for place in itertools.product(*(range(0, n, side) for n in shape)):
        box = Box(place, tuple(min(a + side, n) for a, n in zip(place, shape, strict=True)))
        for plane in itertools.product(*map(range, lead)):
            one = Box(plane, tuple(k + 1 for k in plane))
            seen = overview_of(source.read(one, channels, box, missing="fill"), len(lead))
            inner = (slice(None), *box.slices)
            np.fmax(high[inner], seen.high, out=high[inner])
            np.fmin(low[inner], seen.low, out=low[inner])
            np.fmax(colour[box.slices], seen.colour, out=colour[box.slices])
    return Overview(high, low, colour)


def _factor(spec: ImageSpec) -> tuple[float, ...]:
    return (1.0,) * len(spec.axes) if spec.view is None else spec.view.factor


def read_mask(made: Plan, path: str) -> TileMask:
    """Tiles whose core any pixel above 0 of a mask touches; the mask covers the whole image, whatever its region."""
    image, spec = made.image, open_image(path)
    _check_extent(made, spec, path)
    letters = made.canonical_axes.replace("c", "")
    source = Source(spec, made.spatial if set(made.spatial) <= set(spec.axes) else "yx")
    fits: list[Fit | None] = []
    for letter, axis in zip(letters, made.grid.axes, strict=True):
        if letter not in spec.axes:
            fits.append(None)
            continue
        ratio, size = _ratio(image, spec, letter), spec.shape[spec.axes.index(letter)]
        fits.append(fit_axis(axis, size, ratio, ratio * _ends(image, letter)[0]))
    tiles = np.zeros([1 if fit is None else len(fit.start) for fit in fits], bool)
    for part in _groups(fits):
        some = [fit and fit.take(one) for fit, one in zip(fits, part, strict=True)]
        tiles[part] = touch(_read_part(source, letters, some), [fit and fit.moved() for fit in some])
    return pack_tiles(tiles, f"{spec.name} of {_sizes(spec.shape)} {spec.axes}, any pixel above 0 in a tile's core")


def _groups(fits: list[Fit | None]) -> Iterator[tuple[slice, ...]]:
    """Tiles that are looked at together, so that a bounded part of the mask is read at once."""
    counts = [1 if fit is None else len(fit.start) for fit in fits]
    sides = list(counts)

    def pixels(axis: int) -> float:
        fit = fits[axis]
        return 1 if fit is None else fit.stop[-1] * sides[axis] / counts[axis]

    while math.prod(pixels(k) for k in range(len(fits))) > TOGETHER and max(sides) > 1:
        longest = max((k for k in range(len(fits)) if sides[k] > 1), key=pixels)
        sides[longest] = -(-sides[longest] // 2)
    for place in itertools.product(*(range(0, n, side) for n, side in zip(counts, sides, strict=True))):
        yield tuple(slice(a, min(a + side, n)) for a, side, n in zip(place, sides, counts, strict=True))


def _read_part(source: Source, letters: str, fits: list[Fit | None]) -> np.ndarray:
    """The mask's pixels for some tiles, true above 0, with the grid's axes; those that it has beyond them together."""
    wanted = {letter: (fit.start[0], fit.stop[-1]) for letter, fit in zip(letters, fits, strict=True) if fit}
    lengths = dict(zip(source.lead + "c" + source.spatial, source.shape, strict=True))

    def box(axes: str) -> Box:
        ends = [wanted.get(letter, (0, lengths[letter])) for letter in axes]
        return Box(tuple(a for a, _ in ends), tuple(b for _, b in ends))

    channels = tuple(range(lengths["c"]))
    found: Any = source.read(box(source.lead), channels, box(source.spatial), missing="fill") > 0
    names = source.lead + "c" + source.spatial
    beyond = tuple(k for k, letter in enumerate(names) if letter not in letters)
    found = found.any(axis=beyond)
    names = "".join(letter for letter in names if letter in letters)
    found = found.transpose([names.index(letter) for letter in letters if letter in names])
    return np.asarray(found[tuple(slice(None) if letter in names else np.newaxis for letter in letters)])


def _check_extent(made: Plan, spec: ImageSpec, path: str) -> None:
    """Refuse the mask of another image: its sides must be those of the image, all scaled alike."""
    base = made.image.base
    sides = {a: (spec.shape[spec.axes.index(a)], base.shape[base.axes.index(a)]) for a in "yx"}
    (my, ny), (mx, nx) = sides["y"], sides["x"]
    wrong = abs(my * nx / ny - mx) > 1 + 0.05 * mx and abs(mx * ny / nx - my) > 1 + 0.05 * my
    if "t" in spec.axes and "t" in base.axes:
        times = spec.shape[spec.axes.index("t")]
        wrong |= times not in {1, base.shape[base.axes.index("t")]}
    if wrong:
        raise ImageError(
            f"--mask {path} of {_sizes(spec.shape)} {spec.axes} for an image of {_sizes(base.shape)} {base.axes}",
            "a mask of the whole image, at any resolution",
            "Give the mask that belongs to the image.",
        )


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
