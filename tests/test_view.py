"""Regions and scaled views: they equal the same part, or the same scaling, of the whole, to the bit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from images import make_pixels, write_array, write_image
from tilewise.errors import ImageError, SettingError
from tilewise.geometry import Box
from tilewise.openers.scaling import scaled_size
from tilewise.openers.view import crop_image, first_pixel, read_view, scale_image, stored_box
from tilewise.settings import Pixels
from tilewise.source import Source, missing_chunks, open_image, open_view
from tilewise.typed import read_region

MICRO = ("micrometer", "micrometer")


def scale_whole(pixels, factors):
    """Brute force: every scaled pixel by itself, over the whole image, one axis after the other."""
    found = pixels.astype(np.float64)
    for axis, f in enumerate(factors):
        if f == 1:
            continue
        rows = np.moveaxis(found, axis, 0)
        size = len(rows)
        made = []
        for o in range(max(1, math.ceil(size / f - 1e-6))):
            if f > 1:
                low, high = o * f, min((o + 1) * f, size)
                parts = [(s, min(high, s + 1) - max(low, s)) for s in range(math.floor(low), math.ceil(high))]
            else:
                centre = min(max((o + 0.5) * f - 0.5, 0.0), size - 1.0)
                first = math.floor(centre)
                parts = [(first, 1 - (centre - first)), (min(first + 1, size - 1), centre - first)]
            total, weight = np.zeros(rows.shape[1:]), 0.0
            for s, w in parts:
                if w > 0:
                    total, weight = total + rows[s] * w, weight + w
            made.append(total / weight)
        found = np.moveaxis(np.array(made), 0, axis)
    return found if pixels.dtype.kind == "f" else np.rint(found)


class Kept:
    """Pixels in memory that refuse to be read beyond their edges, and remember what was read."""

    def __init__(self, pixels):
        self.pixels, self.read_boxes = pixels, []

    def read(self, selection):
        for part, n in zip(selection, self.pixels.shape, strict=True):
            assert isinstance(part, list) or 0 <= part.start < part.stop <= n
        self.read_boxes.append(selection)
        return self.pixels[selection]


def spec_of(pixels, tmp, **changes):
    return replace(open_image(str(write_array(tmp / "plain.zarr", np.zeros((8, 8), "uint8")))), **changes)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return spec_of(None, tmp_path_factory.mktemp("base"))


def described(base, pixels):
    n = pixels.ndim
    return replace(
        base,
        axes="zyx"[-n:],
        shape=pixels.shape,
        dtype=pixels.dtype.name,
        chunks=(7,) * n,
        scale=(0.5,) * n,
        translation=(10.0,) * n,
        units=("micrometer",) * n,
    )


FACTORS = st.sampled_from([1.0, 1.0, 2.0, 3.0, 1.5, 1.6, 2.75, 4.9, 0.5, 0.37, 0.9])
DTYPES = st.sampled_from(["uint8", "int16", "float32", "float64", "bool"])


@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 40), st.integers(1, 40)),
    factors=st.tuples(FACTORS, FACTORS, FACTORS),
    dtype=DTYPES,
    data=st.data(),
)
def test_any_box_of_a_scaled_image_is_that_of_the_whole(base, shape, factors, dtype, data):
    pixels = make_pixels(shape, dtype)
    spec = scale_image(described(base, pixels), factors)
    expected = scale_whole(pixels, factors)
    if dtype == "bool":
        expected = scale_whole(pixels.astype("float64"), factors) >= 0.5
    expected = expected.astype(dtype)
    assert spec.shape == expected.shape
    ranges = []
    for n in spec.shape:
        start = data.draw(st.integers(0, n - 1))
        ranges.append((start, data.draw(st.integers(start + 1, n))))
    part = tuple(slice(a, b) for a, b in ranges)
    kept = Kept(pixels)
    found = read_view(kept, spec, part)
    assert found.dtype == pixels.dtype
    np.testing.assert_array_equal(found, expected[part])
    # what is read is what the box is said to be made of
    box = Box(tuple(a for a, _ in ranges), tuple(b for _, b in ranges))
    assert kept.read_boxes == [stored_box(spec, box).slices]


@given(
    shape=st.tuples(st.integers(2, 30), st.integers(2, 30)),
    factors=st.tuples(FACTORS, FACTORS),
    data=st.data(),
)
def test_a_region_of_a_scaled_image_is_a_part_of_it(base, shape, factors, data):
    pixels = make_pixels(shape, "uint16")
    whole = scale_image(described(base, pixels), factors)
    region = []
    for axis, n in zip("yx", whole.shape, strict=True):
        start = data.draw(st.integers(0, n - 1))
        region.append((axis, start, data.draw(st.integers(start + 1, n))))
    part = crop_image(whole, region)
    slices = tuple(slice(a, b) for _, a, b in region)
    everything = tuple(slice(0, n) for n in part.shape)
    found = read_view(Kept(pixels), part, everything)
    np.testing.assert_array_equal(
        found, read_view(Kept(pixels), whole, tuple(slice(0, n) for n in whole.shape))[slices]
    )
    assert part.translation == pytest.approx(
        tuple(t + a * s for t, a, s in zip(whole.translation, (a for _, a, _ in region), whole.scale, strict=True))
    )


def test_scaled_pixels_do_not_depend_on_how_many_are_made_at_once(base, monkeypatch):
    pixels = make_pixels((50, 3, 40), "float32")
    spec = scale_image(described(base, pixels), (1.7, 1.0, 0.6))
    everything = tuple(slice(0, n) for n in spec.shape)
    whole = read_view(Kept(pixels), spec, everything)
    monkeypatch.setattr("tilewise.openers.scaling.TOGETHER", 100)
    np.testing.assert_array_equal(read_view(Kept(pixels), spec, everything), whole)


def test_no_number_spreads_only_over_pixels_that_it_is_part_of(base):
    pixels = np.zeros((9, 9))
    pixels[3, 3] = np.nan
    found = read_view(Kept(pixels), scale_image(described(base, pixels), (1.5, 1.5)), (slice(0, 6), slice(0, 6)))
    assert np.argwhere(np.isnan(found)).tolist() == [[2, 2]]


def test_the_widest_integers_stay_what_they_are(base):
    pixels = np.full((4, 4), np.iinfo("int64").max)
    found = read_view(Kept(pixels), scale_image(described(base, pixels), (2.0, 2.0)), (slice(0, 2), slice(0, 2)))
    assert (found > np.iinfo("int64").max // 2).all()


def test_scale_and_translation_of_a_scaled_image_keep_its_edges(base):
    spec = scale_image(described(base, np.zeros((100, 60))), (4.0, 2.5))
    assert (spec.shape, spec.scale) == ((25, 24), (2.0, 1.25))
    # the left edge: half a pixel before the first centre
    assert [t - s / 2 for t, s in zip(spec.translation, spec.scale, strict=True)] == [9.75, 9.75]
    assert scale_image(described(base, np.zeros((4, 4))), (1.0, 1 + 1e-12)).view is None
    assert scaled_size(10, 10 / 3) == 3


@pytest.fixture
def slide(tmp_path):
    pixels = make_pixels((3, 90, 120), "uint8")
    path = write_image(
        tmp_path / "slide.zarr",
        pixels,
        "cyx",
        levels=3,
        chunks=(3, 32, 32),
        scale=(1, 250, 250),
        units=(None, "nanometer", "nanometer"),
        channels=("r", "g", "b"),
    )
    return str(path), pixels


def test_a_region_is_the_image(slide):
    path, pixels = slide
    spec = open_view(path, Pixels(region=(("y", 10, 70), ("x", 33, None), ("c", 1, None))))
    assert (spec.shape, spec.translation, spec.channel_names) == ((2, 60, 87), (1.0, 2500.0, 8250.0), ("g", "b"))
    assert spec.phase == (1, 10, 1)
    source = Source(spec, "yx")
    found = source.read(Box((), ()), (1, 0), Box((5, 0), (60, 87)))
    np.testing.assert_array_equal(found, pixels[[2, 1], 15:70, 33:])
    assert missing_chunks(spec) == []


def test_chunks_that_a_region_lacks_are_told_once_each(slide, tmp_path):
    path, _ = slide
    spec = open_view(path, Pixels(region=(("y", 10, 90), ("x", 33, 120))))
    (tmp_path / "slide.zarr" / "0" / "c" / "0" / "0" / "1").unlink()
    (tmp_path / "slide.zarr" / "0" / "c" / "0" / "0" / "0").unlink()
    parts = [((0, 0, 0), (3, 20, 40)), ((0, 20, 0), (3, 80, 40)), ((0, 0, 40), (3, 80, 87))]
    counted = [missing_chunks(spec, Box(a, b), begun=True) for a, b in parts]
    assert counted == [["c/0/0/1"], [], []]
    assert first_pixel(spec, (0, 0, 32)) == (0, 0, 0)
    with pytest.raises(ImageError, match=r"chunk c/0/0/1 of .* is missing"):
        Source(spec, "yx").read(Box((), ()), (0,), Box((0, 0), (9, 9)))


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ((("y", 0, 91),), "--region y=0:91 of .* a part of what there is, c=0:3, y=0:90, x=0:120"),
        ((("x", 120, None),), "x=120:120"),
        ((("z", 0, 1),), "--region of z of an image of axes cyx"),
    ],
)
def test_a_region_outside_is_refused_with_what_there_is(slide, region, words):
    with pytest.raises(ImageError, match=words):
        open_view(slide[0], Pixels(region=region))


@pytest.mark.parametrize(("size", "level"), [((0.25,), 0), ((0.5,), 1), ((0.52, 0.49), 1), ((0.46,), 1), ((1.05,), 2)])
def test_a_pixel_size_finds_its_level(slide, size, level):
    assert open_view(slide[0], Pixels(pixel_size=size)).level == level
    assert open_view(slide[0], Pixels(pixel_size=size, resample=True)).view is None


def test_another_pixel_size_is_refused_with_what_there_is_in_micrometers(slide):
    words = r"a level that has it within 10 %; there is level 0: 0.25 x 0.25 um; level 1: 0.5 x 0.5 um; level 2: 1 x 1"
    with pytest.raises(ImageError, match=words):
        open_view(slide[0], Pixels(pixel_size=(0.7,)))


@pytest.mark.parametrize(
    ("size", "level", "shape"), [(0.7, 1, (3, 33, 43)), (3.0, 2, (3, 8, 10)), (0.1, 0, (3, 225, 300))]
)
def test_resampling_starts_from_the_next_finer_level(slide, size, level, shape):
    spec = open_view(slide[0], Pixels(pixel_size=(size,), resample=True))
    assert (spec.level, spec.shape) == (level, shape)
    assert spec.scale == pytest.approx((1.0, size * 1000, size * 1000))


def test_an_image_without_a_unit_has_no_pixel_size(tmp_path):
    path = write_image(tmp_path / "a.zarr", make_pixels((9, 9)), "yx")
    with pytest.raises(ImageError, match="unit along y is not given"):
        open_view(str(path), Pixels(pixel_size=(1.0,)))
    with pytest.raises(ImageError, match="for an image of axes yx"):
        open_view(str(path), Pixels(pixel_size=(1.0, 1.0, 1.0)))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"region": (("y", -1, 5),)}, "--region y=-1:5: expected no negative"),
        ({"region": (("y", 5, 5),)}, "at least one pixel"),
        ({"region": (("q", 0, 5),)}, "axes named t c z y x"),
        ({"region": (("y", 0, 5), ("y", 1, 2))}, "each axis once"),
        ({"pixel_size": (0.0,)}, "micrometres above 0"),
        ({"pixel_size": (1.0,) * 4}, "micrometres above 0"),
        ({"pixel_size": (0.5,), "level": 1}, "--level 1 and --pixel-size"),
        ({"resample": True}, "--resample without --pixel-size"),
    ],
)
def test_settings_that_make_no_view_are_refused(settings, words):
    with pytest.raises(SettingError) as caught:
        Pixels(**settings)
    assert words.partition(": expected ")[0] in str(caught.value)


def test_regions_are_read_as_they_are_typed():
    assert read_region("--region", "y=0:4096,x=:100, z=3") == (("y", 0, 4096), ("x", None, 100), ("z", 3, 4))
    for text in ("y", "y=a:b", "y=1:2:3", "0:4", "y="):
        with pytest.raises(SettingError, match="axis=start:stop"):
            read_region("--region", text)
