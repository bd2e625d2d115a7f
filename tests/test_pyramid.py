"""Coarser levels: their geometry against brute force, their pixels against a slow way to count."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from images import make_pixels
from tilewise.pyramid import METHODS, Pyramid, Rows, choose_steps, shrink


@st.composite
def pyramids(draw):
    ndim = draw(st.integers(1, 3))
    shape = tuple(draw(st.integers(1, 17)) for _ in range(ndim))
    shard = tuple(draw(st.integers(2, 9)) for _ in range(ndim))
    steps = tuple(tuple(draw(st.sampled_from((1, 2))) for _ in range(ndim)) for _ in range(draw(st.integers(0, 3))))
    return Pyramid(shape, shard, steps)


def slow(pixels, step, method):
    """Cell by cell, as the definition says it."""
    shape = tuple(-(-n // f) for n, f in zip(pixels.shape, step, strict=True))
    made = np.empty(shape, pixels.dtype)
    for place in np.ndindex(*shape):
        cell = pixels[tuple(slice(k * f, k * f + f) for k, f in zip(place, step, strict=True))]
        values = cell.ravel().tolist()
        if method == "nearest":
            made[place] = values[0]
        elif method == "mode":
            made[place] = max(values, key=values.count)
        else:
            mean = math.fsum(values) / len(values)
            made[place] = np.rint(mean) if pixels.dtype.kind in "iu" else mean
    return made


@settings(max_examples=100)
@given(st.data())
def test_every_pixel_is_that_of_the_definition(data):
    ndim = data.draw(st.integers(1, 4))
    shape = tuple(data.draw(st.integers(1, 7)) for _ in range(ndim))
    step = tuple(data.draw(st.sampled_from((1, 2))) for _ in range(ndim))
    dtype = data.draw(st.sampled_from(["uint8", "uint16", "int16", "float32", "float64", "float16"]))
    method = data.draw(st.sampled_from(METHODS))
    pixels = make_pixels(shape, dtype, seed=data.draw(st.integers(0, 99)))
    if method == "mode":
        pixels = np.abs(pixels).astype("float64").astype("uint8") % 3
    order = data.draw(st.sampled_from("CF"))
    found = shrink(np.asarray(pixels, order=order), step, method)
    wanted = slow(pixels, step, method)
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    if dtype == "float64" and method == "mean":
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-300)
    else:
        np.testing.assert_array_equal(found, wanted)


def test_odd_values_of_floats():
    pixels = np.array([[np.nan, 1, np.inf, 2], [1, 1, 3, 4]], "float32")
    np.testing.assert_array_equal(shrink(pixels, (2, 2), "mean"), np.array([[np.nan, np.inf]], "float32"))
    large = np.full((2, 2), np.finfo("float32").max, "float32")
    np.testing.assert_array_equal(shrink(large, (2, 2), "mean"), large[:1, :1])


def test_a_mode_that_two_share_is_the_first():
    pixels = np.array([[2, 7, 0, 1], [7, 2, 1, 1]], "uint8")
    np.testing.assert_array_equal(shrink(pixels, (2, 2), "mode"), [[2, 1]])


def test_a_large_constant_and_a_large_noise_take_both_ways_through_the_vote():
    flat = np.full((64, 64), 3, "uint16")
    np.testing.assert_array_equal(shrink(flat, (2, 2), "mode"), flat[::2, ::2])
    noise = make_pixels((31, 33), "uint8") % 2
    np.testing.assert_array_equal(shrink(noise, (2, 2), "mode"), slow(noise, (2, 2), "mode"))


@given(pyramids())
def test_shards_partition_each_level_and_stand_on_all_of_the_one_below(pyramid):
    for level in range(pyramid.levels):
        shape = pyramid.shape_of(level)
        seen = np.zeros(shape, int)
        for number in range(pyramid.total(level)):
            box = pyramid.box(level, number)
            seen[box.slices] += 1
            if level:
                pieces = np.zeros(shape, int)
                for piece in pyramid.pieces(level, number):
                    pieces[piece.slices] += 1
                assert pieces.sum() == pieces[box.slices].sum() == box.size
                assert pieces.max() == 1
        assert (seen == 1).all()
    for level in range(1, pyramid.levels):
        parents = [p for number in range(pyramid.total(level)) for p in pyramid.parents(level, number)]
        assert sorted(parents) == list(range(pyramid.total(level - 1)))
        for number in range(pyramid.total(level - 1)):
            assert number in pyramid.parents(level, pyramid.child(level - 1, number))
    assert pyramid.child(pyramid.levels - 1, 0) is None


@given(pyramids())
def test_a_shard_needs_no_pixel_beyond_its_parents(pyramid):
    for level in range(1, pyramid.levels):
        for number in range(pyramid.total(level)):
            needed = pyramid.below(level, pyramid.box(level, number))
            boxes = [pyramid.box(level - 1, parent) for parent in pyramid.parents(level, number)]
            assert tuple(min(box.start[k] for box in boxes) for k in range(len(needed.start))) == needed.start
            assert tuple(max(box.stop[k] for box in boxes) for k in range(len(needed.start))) == needed.stop


@settings(max_examples=60)
@given(pyramids(), st.sampled_from(METHODS), st.sampled_from(["uint8", "float32"]))
def test_levels_made_piece_by_piece_equal_those_of_the_whole_array(pyramid, method, dtype):
    whole = made = make_pixels(pyramid.shape, dtype) if method != "mode" else make_pixels(pyramid.shape, "uint8") % 3
    for level, step in enumerate(pyramid.steps, 1):
        whole, below = shrink(whole, step, method), made
        made = np.zeros(pyramid.shape_of(level), below.dtype)
        for number in range(pyramid.total(level)):
            for piece in pyramid.pieces(level, number):
                made[piece.slices] = shrink(below[pyramid.below(level, piece).slices], step, method)
        np.testing.assert_array_equal(made, whole)


@given(st.lists(pyramids(), min_size=1, max_size=3))
def test_rows_count_every_coarse_shard_once(outputs):
    rows = Rows(tuple(outputs))
    wanted = [
        (o, level, number)
        for o, pyramid in enumerate(outputs)
        for level in range(1, pyramid.levels)
        for number in range(pyramid.total(level))
    ]
    assert rows.total == len(wanted)
    assert [rows.locate(row) for row in range(rows.total)] == wanted
    assert [rows.row(*place) for place in wanted] == list(range(rows.total))
    with pytest.raises(ValueError, match="row"):
        rows.locate(rows.total)


@pytest.mark.parametrize(
    ("shape", "scale", "levels", "wanted"),
    [
        ((512, 512), (1, 1), "auto", 1),
        ((513, 100), (1, 1), "auto", 2),
        ((100_000, 100_000), (0.25, 0.25), "auto", 9),
        ((1000, 1000), (1, 1), 1, 1),
        ((1000, 1000), (1, 1), 4, 4),
        ((1, 1), (1, 1), 9, 1),
        ((3, 1), (1, 1), 9, 3),
    ],
)
def test_levels_until_the_coarsest_fits_a_screen(shape, scale, levels, wanted):
    steps = choose_steps(shape, scale, space=(True,) * len(shape), levels=levels)
    assert len(steps) + 1 == wanted
    assert all(step == (2, 2) for step in steps if 1 not in shape)


def test_long_pixels_wait_until_the_others_have_caught_up():
    steps = choose_steps((60, 4000, 4000), (2.0, 0.5, 0.5), space=(True,) * 3)
    assert steps == ((1, 2, 2), (1, 2, 2), (2, 2, 2))
    assert choose_steps((60, 2000, 2000), (2.0, 0.5, 0.5), space=(False, True, True)) == ((1, 2, 2),) * 2
    assert choose_steps((9, 2000, 2000), (0.0, 0.0, 0.0), space=(True,) * 3) == ((2, 2, 2),) * 2


def test_a_million_shards_are_counted_not_listed():
    pyramid = Pyramid((1 << 20, 1 << 20), (1 << 10, 1 << 10), ((2, 2),) * 10)
    assert pyramid.total(0) == 1 << 20
    assert pyramid.child(0, (1 << 20) - 1) == (1 << 18) - 1
    assert Rows((pyramid,)).total == sum(1 << (20 - 2 * k) for k in range(1, 11))
    assert next(pyramid.pieces(10, 0)).shape == (512, 512)


def test_steps_that_contradict_the_shape_are_refused():
    for step in ((2,), (2, 3), (0, 1)):
        with pytest.raises(ValueError, match="1 or 2"):
            Pyramid((9, 9), (3, 3), (step,))
