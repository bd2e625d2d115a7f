from __future__ import annotations

import itertools
import json
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewise.errors import ImageError
from tilewise.settings import Normalization
from tilewise.stats import Partial, Request, Statistics, accumulate, advance, finish, merge, start, statistics_of
from tilewise.stats.exact import exact_product_sum, exact_sum, root
from tilewise.stats.histogram import ordered, value_of
from tilewise.stats.moments import moments_of_floats

DTYPES = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64",
)  # fmt: skip
PERCENTILE = Normalization(kind="percentile", percentiles=(1.0, 99.8))

quick = settings(deadline=None, max_examples=60)


def make_pixels(seed: int, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Random pixels of a random character: narrow, wide, offset, with NaN and infinity, of any bit pattern."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    character = seed % 4
    if character == 0 and kind.kind != "b":
        pixels = rng.integers(0, 256, (*shape, kind.itemsize), np.uint8).view(kind)[..., 0]
    else:
        spread, offset = [(30.0, 100.0), (0.01, 5.0), (2.0, 90.0)][character - 1]
        values = (rng.normal(size=shape) * spread + offset).clip(0, 127)
        pixels = values > offset if dtype == "bool" else values.astype(kind)
    if kind.kind == "f":
        pixels = np.where(np.abs(pixels) > np.finfo(kind).max / 4, kind.type(1), pixels)
        pixels[rng.random(shape) < 0.03] = np.nan
        pixels[rng.random(shape) < 0.03] = -np.inf
        pixels[rng.random(shape) < 0.03] = -0.0
    return np.ascontiguousarray(pixels)


def finite_of(pixels: np.ndarray) -> np.ndarray:
    return pixels[np.isfinite(pixels)] if pixels.dtype.kind == "f" else pixels.ravel()


def exact_mean_and_variance(values: np.ndarray) -> tuple[Fraction, Fraction]:
    exact = [Fraction(x) for x in values.tolist()]
    mean = sum(exact, Fraction(0)) / len(exact)
    return mean, sum((x * x for x in exact), Fraction(0)) / len(exact) - mean * mean


def run_passes(
    request: Request, blocks: list[tuple[tuple[int, ...], int, np.ndarray]], rng: np.random.Generator
) -> str:
    """Statistics from blocks (slices, x origin, pixels) in random order, merged in a random tree, as JSON."""
    state = start(request)
    for _ in range(request.passes):
        # what travels is pickled
        carried = pickle.loads(pickle.dumps(state))
        partials = [
            pickle.loads(pickle.dumps(accumulate(request, carried, pixels, x_origin=x, slices=slices)))
            for slices, x, pixels in blocks
        ]
        while len(partials) > 1:
            rng.shuffle(partials)
            taken = int(rng.integers(2, 5))
            partials = [merge(*partials[:taken]), *partials[taken:]]
        state = advance(request, state, partials[0])
    return json.dumps(finish(request, state).to_json())


def cuts(length: int, multiple: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    inner = [n for n in range(multiple, length, multiple) if rng.random() < 0.5]
    return list(itertools.pairwise([0, *inner, length]))


@quick
@given(seed=st.integers(0, 2**32), dtype=st.sampled_from(DTYPES))
def test_against_numpy_and_fractions(seed: int, dtype: str) -> None:
    pixels = make_pixels(seed, dtype, (1, 1, 5, 300))
    found = statistics_of(pixels, PERCENTILE)
    values = finite_of(pixels)
    mean, variance = exact_mean_and_variance(values)
    largest = max(abs(float(values.min())), abs(float(values.max())))
    assert found.count[0, 0] == values.size
    assert found.nan[0, 0] == (np.isnan(pixels).sum() if values.dtype.kind == "f" else 0)
    assert found.count[0, 0] + found.nan[0, 0] + found.inf[0, 0] == pixels.size
    assert found.minimum[0, 0] == float(values.min())
    assert found.maximum[0, 0] == float(values.max())
    if np.dtype(dtype).kind != "f" or dtype == "float16":
        assert found.mean[0, 0] == float(mean)
        assert found.std[0, 0] == root(variance)
    assert abs(Fraction(float(found.mean[0, 0])) - mean) <= Fraction(largest) / 2**50
    assert math.isclose(found.std[0, 0], root(variance), rel_tol=1e-12, abs_tol=largest * 1e-12)
    if np.dtype(dtype).itemsize < 8 or np.dtype(dtype).kind == "f":
        expected = np.percentile(values.astype(np.float64), PERCENTILE.percentiles)
        assert [found.low[0, 0], found.high[0, 0]] == expected.tolist()


@quick
@given(values=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40), low=st.floats(0, 99))
def test_percentiles_of_wide_integers_lie_between_their_neighbours(values: list[int], low: float) -> None:
    pixels = np.array(values, np.int64).reshape(1, 1, 1, -1)
    found = statistics_of(pixels, Normalization(kind="percentile", percentiles=(low, 100.0)))
    rank = (len(values) - 1) * (low / 100)
    rising = sorted(values)
    assert float(rising[math.floor(rank)]) <= found.low[0, 0] <= float(rising[math.ceil(rank)])
    assert found.high[0, 0] == float(rising[-1])


@settings(deadline=None, max_examples=120)
@given(
    seed=st.integers(0, 2**32),
    dtype=st.sampled_from(DTYPES),
    kind=st.sampled_from(["standardize", "percentile"]),
    scope=st.sampled_from(["image", "slice"]),
    stats=st.sampled_from(["channel", "all"]),
    ndim=st.sampled_from([2, 3]),
)
def test_blocks_order_and_grouping_do_not_matter(
    seed: int, dtype: str, kind: str, scope: str, stats: str, ndim: int
) -> None:
    rng = np.random.default_rng(seed)
    slices, width = int(rng.integers(1, 4)), int(rng.integers(1, 1200))
    shape = (slices, 2, *rng.integers(1, 6, ndim - 1).tolist(), width)
    pixels = make_pixels(seed, dtype, shape)
    normalization = Normalization(kind=kind, scope=scope, stats=stats, percentiles=(3.0, 71.3))
    whole = statistics_of(pixels, normalization)
    request = Request(
        dtype=dtype,
        per_slice=scope == "slice",
        per_channel=stats == "channel",
        percentiles=normalization.percentiles if kind == "percentile" else None,
    )
    blocks = [
        (tuple(range(s0, s1)), x0, pixels[s0:s1, :, ..., y0:y1, x0:x1])
        for s0, s1 in cuts(slices, 1, rng)
        for y0, y1 in cuts(shape[-2], 1, rng)
        for x0, x1 in cuts(width, 256, rng)
    ]
    assert run_passes(request, blocks, rng) == json.dumps(whole.to_json())
    assert whole.shape == (slices if scope == "slice" else 1, 2 if stats == "channel" else 1)


@quick
@given(seed=st.integers(0, 2**32), scope=st.sampled_from(["image", "slice"]), stats=st.sampled_from(["channel", "all"]))
def test_scopes_are_the_sets_they_say(seed: int, scope: str, stats: str) -> None:
    pixels = make_pixels(seed, "float32", (3, 2, 4, 70))
    found = statistics_of(pixels, Normalization(kind="percentile", scope=scope, stats=stats))
    for s in range(found.shape[0]):
        for c in range(found.shape[1]):
            part = pixels[s if scope == "slice" else slice(None), c if stats == "channel" else slice(None)]
            values = finite_of(part).astype(np.float64)
            assert found.count[s, c] == values.size
            assert found.maximum[s, c] == values.max()
            assert math.isclose(found.mean[s, c], math.fsum(values) / values.size, abs_tol=np.abs(values).max() * 1e-15)
            assert found.high[s, c] == np.percentile(values, 99.8)


def test_slices_keep_their_own_numbers_and_are_all_that_a_partial_holds() -> None:
    request = Request(dtype="uint16", per_slice=True)
    pixels = np.arange(12, dtype=np.uint16).reshape(2, 1, 2, 3)
    partial = accumulate(request, start(request), pixels, slices=(7, 3))
    assert sorted(partial.moments) == [(3, 0), (7, 0)]
    assert partial.moments[7, 0].total == sum(range(6))
    assert partial.moments[3, 0].total == sum(range(6, 12))


def test_merge_is_associative_has_an_identity_and_leaves_its_arguments_alone() -> None:
    request = Request(dtype="float32", percentiles=(1.0, 99.0))
    rng = np.random.default_rng(5)
    a, b, c = (
        accumulate(request, start(request), rng.normal(size=(1, 2, 7, 256)).astype(np.float32)) for _ in range(3)
    )
    before = pickle.dumps(a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c)) == merge(c, a, b)
    assert merge() == Partial()
    assert merge(a, Partial()) == a
    assert merge(a, b) != a
    assert pickle.dumps(a) == before


def test_a_block_in_the_middle_of_a_cell_pads_the_cell_in_front() -> None:
    line = np.random.default_rng(0).normal(size=(1, 700)) * 1e3
    whole = moments_of_floats(line, 100)
    parts = moments_of_floats(line[:, :156], 100) + moments_of_floats(line[:, 156:], 256)
    assert whole == parts
    assert whole != moments_of_floats(line, 0)


@quick
@given(st.lists(st.floats(-1e290, 1e290), min_size=1, max_size=300))
def test_exact_sum_is_fsum(values: list[float]) -> None:
    array = np.array(values)
    assert float(exact_sum(array)) == math.fsum(values)
    assert exact_sum(array) == sum(map(Fraction, values))
    assert exact_sum(array, np.full(array.shape, 3)) == 8 * exact_sum(array)


@quick
@given(st.lists(st.tuples(st.integers(0, 2**36 - 1), st.integers(-(2**32), 2**32)), min_size=1, max_size=50))
def test_exact_product_sum_never_rounds(pairs: list[tuple[int, int]]) -> None:
    counts, values = np.array(pairs, np.int64).T
    assert exact_product_sum(counts, values.astype(np.float64)) == sum(n * x for n, x in pairs)


@quick
@given(st.fractions(min_value=0), st.integers(-300, 300))
def test_root_is_the_nearest_float(square: Fraction, exponent: int) -> None:
    square *= Fraction(2) ** exponent
    found = root(square)
    below = (Fraction(found) + Fraction(math.nextafter(found, 0))) / 2
    above = (Fraction(found) + Fraction(math.nextafter(found, math.inf))) / 2
    assert below**2 <= square <= above**2


def test_root_just_above_a_tie_is_rounded_up() -> None:
    tie = 1 + Fraction(1, 2**53)
    assert root(tie**2) == 1.0
    assert root(tie**2 + Fraction(1, 2**300)) == math.nextafter(1.0, 2.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ordered_patterns_sort_as_pixels_do_and_lead_back(dtype: str) -> None:
    pixels = np.unique(finite_of(make_pixels(4, dtype, (500,))))
    keys = ordered(pixels)
    assert (np.diff(keys.astype(object)) > 0).all()
    assert [value_of(int(k), np.dtype(dtype)) for k in keys] == pixels.astype(np.float64).tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_constant_image_has_no_spread(dtype: str) -> None:
    pixels = np.full((1, 1, 3, 321), 0.1 if np.dtype(dtype).kind == "f" else 1).astype(dtype)
    found = statistics_of(pixels, PERCENTILE)
    assert found.std[0, 0] == 0
    value = float(pixels.flat[0])
    assert found.mean[0, 0] == found.minimum[0, 0] == found.maximum[0, 0] == found.low[0, 0] == value


@quick
@given(value=st.floats(-1e300, 1e300), width=st.integers(1, 300))
def test_any_constant_has_no_spread(value: float, width: int) -> None:
    found = statistics_of(np.full((1, 1, 3, width), value), Normalization(kind="standardize"))
    assert (found.mean[0, 0], found.std[0, 0]) == (value, 0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_zero_has_one_sign(dtype: str) -> None:
    zeros = np.array([0.0, -0.0, -0.0, 0.0], dtype).reshape(1, 1, 2, 2)
    found = [statistics_of(pixels, PERCENTILE) for pixels in (zeros, zeros[..., ::-1], np.abs(zeros), -np.abs(zeros))]
    assert all(f == found[2] for f in found)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_nothing_finite_gives_nan_and_counts(dtype: str) -> None:
    pixels = np.array([np.nan, np.inf, -np.inf, np.nan], dtype).reshape(1, 1, 2, 2)
    found = statistics_of(pixels, PERCENTILE)
    assert (found.count[0, 0], found.nan[0, 0], found.inf[0, 0]) == (0, 2, 2)
    assert np.isnan([found.mean, found.std, found.minimum, found.maximum, found.low, found.high]).all()


def test_a_large_offset_does_not_swallow_the_spread() -> None:
    pixels = np.random.default_rng(1).normal(size=(1, 1, 9, 700)) * 1e-3 + 1e9
    _, variance = exact_mean_and_variance(pixels.ravel())
    assert math.isclose(
        statistics_of(pixels, Normalization(kind="standardize")).std[0, 0], root(variance), rel_tol=1e-8
    )


@pytest.mark.parametrize("size", [1e300, 1e-300, 5e-324, 1.7e308])
def test_extreme_floats_neither_overflow_nor_vanish(size: float) -> None:
    pixels = np.random.default_rng(1).integers(0, 2, size=(1, 1, 4, 600)) * size
    _, variance = exact_mean_and_variance(pixels.ravel())
    found = statistics_of(pixels, Normalization(kind="standardize"))
    assert math.isclose(found.std[0, 0], root(variance), rel_tol=1e-12)


def test_no_bit_is_lost_in_json() -> None:
    pixels = make_pixels(6, "float32", (2, 3, 4, 50))
    pixels[0, 1] = np.nan
    found = statistics_of(pixels, Normalization(kind="percentile", scope="slice"))
    back = Statistics.from_json(json.loads(json.dumps(found.to_json())))
    assert back == found
    assert back.mean.tobytes() == found.mean.tobytes()
    assert back.count.dtype == found.count.dtype == np.int64
    assert found != statistics_of(pixels + np.float32(1), Normalization(kind="percentile", scope="slice"))


def test_rows_are_taken_per_tile() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(3, 2, 2, 2)
    found = statistics_of(pixels, Normalization(kind="minmax", scope="slice"))
    assert found.take([2, 0, 2]).minimum.tolist() == [[16, 20], [0, 4], [16, 20]]
    whole = statistics_of(pixels, Normalization(kind="minmax"))
    assert whole.take([2, 0, 2]).shape == (1, 2)


@pytest.mark.parametrize("dtype", [">u2", ">f4", ">i8"])
def test_byte_order_and_strides_do_not_matter(dtype: str) -> None:
    pixels = np.random.default_rng(3).integers(0, 1000, (1, 2, 300, 20)).astype(dtype)
    expected = statistics_of(np.ascontiguousarray(pixels.swapaxes(2, 3)).astype(dtype[1:]), PERCENTILE)
    assert statistics_of(pixels.swapaxes(2, 3), PERCENTILE) == expected


@pytest.mark.parametrize(
    ("dtype", "passes"),
    [("bool", 1), ("uint8", 1), ("float16", 1), ("int32", 2), ("float32", 2), ("uint64", 4), ("float64", 4)],
)
def test_passes(dtype: str, passes: int) -> None:
    assert Request(dtype=dtype, percentiles=(1.0, 99.0)).passes == passes
    assert Request(dtype=dtype).passes == 1


def test_an_unfinished_state_is_refused() -> None:
    request = Request(dtype="float32", percentiles=(1.0, 99.0))
    state = advance(request, start(request), accumulate(request, start(request), np.ones((1, 1, 2, 2), np.float32)))
    with pytest.raises(ValueError, match="1 passes are done of 2"):
        finish(request, state)


@pytest.mark.parametrize("dtype", ["complex64", "<U3", "datetime64[s]", "longdouble"])
def test_other_pixels_are_refused(dtype: str) -> None:
    with pytest.raises(ImageError, match="at most 64 bits"):
        Request(dtype=dtype)
