from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewise.errors import ModelError, SettingError
from tilewise.normalize import apply, check_numbers, check_types
from tilewise.settings import Normalization
from tilewise.stats import statistics_of

DTYPES = ("bool", "uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "float16", "float32", "float64")
KINDS = (
    Normalization(),
    Normalization(kind="standardize"),
    Normalization(kind="standardize", stats="all"),
    Normalization(kind="minmax"),
    Normalization(kind="minmax", range=(-1.5, 3.0)),
    Normalization(kind="fixed", mean=(3.0,), std=(7.0,)),
    Normalization(kind="fixed", mean=(3.0, 5.0), std=(7.0, 0.3)),
    Normalization(kind="percentile", percentiles=(5.0, 90.0)),
    Normalization(kind="percentile", percentiles=(5.0, 90.0), clip=True),
)

quick = settings(deadline=None, max_examples=100)


def make_tiles(seed: int, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = (rng.normal(size=shape) * 20 + 60).clip(0, 127)
    tiles = values > 60 if dtype == "bool" else values.astype(dtype)
    if np.dtype(dtype).kind == "f":
        tiles[rng.random(shape) < 0.02] = np.nan
    return tiles


def expected(
    pixels: np.ndarray, normalization: Normalization, channel: int, statistics: object, row: int
) -> np.ndarray:
    """The formula of the documents, in float64, for one channel of one tile."""
    x = pixels.astype(np.float64)

    def at(name: str) -> float:
        table = getattr(statistics, name)
        return float(table[min(row, table.shape[0] - 1), min(channel, table.shape[1] - 1)])

    if normalization.kind == "none":
        return x
    if normalization.kind == "fixed":
        mean, std = normalization.mean, normalization.std
        return (x - mean[min(channel, len(mean) - 1)]) / std[min(channel, len(std) - 1)]
    if normalization.kind == "standardize":
        return (x - at("mean")) / at("std")
    if normalization.kind == "minmax":
        a, b = normalization.range
        return a + (x - at("minimum")) / (at("maximum") - at("minimum")) * (b - a)
    y = (x - at("low")) / (at("high") - at("low"))
    return np.clip(y, 0, 1) if normalization.clip else y


@quick
@given(
    seed=st.integers(0, 2**32),
    dtype=st.sampled_from(DTYPES),
    model=st.sampled_from(["float32", "float16", "float64"]),
    normalization=st.sampled_from(KINDS),
    batch=st.integers(1, 3),
)
def test_the_formula_rounded_once(seed: int, dtype: str, model: str, normalization: Normalization, batch: int) -> None:
    tiles = make_tiles(seed, dtype, (batch, 2, 9, 31))
    statistics = statistics_of(tiles, normalization)
    found = apply(tiles, normalization, statistics, dtype=model)
    assert found.dtype == model
    for tile in range(batch):
        for channel in range(2):
            with np.errstate(all="ignore"):
                wanted = expected(tiles[tile, channel], normalization, channel, statistics, 0).astype(model)
            np.testing.assert_array_equal(found[tile, channel], wanted)


@quick
@given(seed=st.integers(0, 2**32), dtype=st.sampled_from(DTYPES), normalization=st.sampled_from(KINDS))
def test_a_pixel_feels_neither_neighbours_nor_memory(seed: int, dtype: str, normalization: Normalization) -> None:
    tiles = make_tiles(seed, dtype, (2, 2, 40, 70))
    statistics = statistics_of(tiles, normalization)
    whole = apply(tiles, normalization, statistics, dtype="float32")
    rng = np.random.default_rng(seed)
    (y0, y1), (x0, x1) = np.sort(rng.integers(0, (41, 71), (2, 2)), axis=0).T
    part = apply(tiles[..., y0:y1, x0:x1], normalization, statistics, dtype="float32")
    assert part.tobytes() == whole[..., y0:y1, x0:x1].tobytes()
    turned = apply(tiles.swapaxes(2, 3)[..., ::-1, ::2], normalization, statistics, dtype="float32")
    assert turned.tobytes() == whole.swapaxes(2, 3)[..., ::-1, ::2].tobytes()


@pytest.mark.parametrize("kind", ["standardize", "minmax", "percentile"])
def test_scope_tile_is_each_tile_by_itself(kind: str) -> None:
    tiles = make_tiles(1, "uint16", (3, 2, 20, 30))
    found = apply(tiles, Normalization(kind=kind, scope="tile"), dtype="float32")
    alone = Normalization(kind=kind)
    for tile in range(3):
        own = tiles[tile : tile + 1]
        np.testing.assert_array_equal(
            found[tile : tile + 1], apply(own, alone, statistics_of(own, alone), dtype="float32")
        )
    assert not np.array_equal(found, apply(tiles, alone, statistics_of(tiles, alone), dtype="float32"))


def test_scope_slice_takes_the_row_of_each_tile() -> None:
    slices = make_tiles(2, "float32", (3, 2, 8, 300))
    normalization = Normalization(kind="standardize", scope="slice")
    statistics = statistics_of(slices, normalization)
    rows = [2, 0, 2, 1]
    found = apply(slices[rows], normalization, statistics.take(rows), dtype="float32")
    for place, row in enumerate(rows):
        wanted = expected(slices[row, 1], normalization, 1, statistics, row).astype(np.float32)
        np.testing.assert_array_equal(found[place, 1], wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("normalization", "wanted"),
    [
        (Normalization(kind="standardize"), 0.0),
        (Normalization(kind="minmax", range=(-0.25, 2.0)), -0.25),
        (Normalization(kind="percentile"), 0.0),
        (Normalization(kind="percentile", clip=True), 0.0),
    ],
)
def test_a_constant_image(dtype: str, normalization: Normalization, wanted: float) -> None:
    tiles = np.full((1, 1, 5, 300), 0.1 if np.dtype(dtype).kind == "f" else 1).astype(dtype)
    assert (apply(tiles, normalization, statistics_of(tiles, normalization), dtype="float32") == wanted).all()


@pytest.mark.parametrize("normalization", KINDS)
@pytest.mark.parametrize("constant", [False, True])
def test_nan_stays_nan_and_nothing_else_becomes_it(normalization: Normalization, constant: bool) -> None:
    tiles = np.full((1, 2, 4, 50), 3.0, np.float32)
    if not constant:
        tiles += np.arange(50, dtype=np.float32)
    tiles[:, :, 1, 7] = np.nan
    found = apply(tiles, normalization, statistics_of(tiles, normalization), dtype="float32")
    np.testing.assert_array_equal(np.isnan(found), np.isnan(tiles))


def test_infinite_pixels_stay_infinite_unless_clipped() -> None:
    tiles = np.array([-np.inf, 0, 1, 2, np.inf], np.float32).reshape(1, 1, 1, 5)
    for normalization in (Normalization(), Normalization(kind="standardize"), Normalization(kind="minmax")):
        found = apply(tiles, normalization, statistics_of(tiles, normalization), dtype="float32").ravel()
        assert (found[0], found[-1]) == (-math.inf, math.inf)
        assert np.isfinite(found[1:-1]).all()
    clipped = Normalization(kind="percentile", clip=True)
    found = apply(tiles, clipped, statistics_of(tiles, clipped), dtype="float32").ravel()
    assert (found[0], found[-1]) == (0, 1)


def test_pixels_beyond_half_precision_become_infinite_without_a_warning() -> None:
    tiles = np.array([[[[0, 65535]]]], np.uint16)
    assert apply(tiles, Normalization(), dtype="float16").ravel().tolist() == [0, math.inf]


def test_the_input_is_left_alone() -> None:
    tiles = make_tiles(1, "float32", (1, 1, 4, 4))
    before = tiles.copy()
    for normalization in KINDS[:6]:
        found = apply(tiles, normalization, statistics_of(tiles, normalization), dtype="float32")
        assert not np.shares_memory(found, tiles)
    np.testing.assert_array_equal(tiles, before)


def test_missing_statistics_are_a_defect() -> None:
    with pytest.raises(ValueError, match="minmax of scope image without statistics"):
        apply(np.zeros((1, 1, 2, 2)), Normalization(kind="minmax"), dtype="float32")


@pytest.mark.parametrize(
    ("pixels", "model"), [("uint8", "uint8"), ("uint8", "int16"), ("bool", "uint8"), ("int64", "float16")]
)
def test_types_that_fit(pixels: str, model: str) -> None:
    check_types(pixels, model, Normalization())
    tiles = np.array([[[[0, 1, 127]]]], pixels)
    assert apply(tiles, Normalization(), dtype=model).tolist() == tiles.tolist()


@pytest.mark.parametrize(
    ("pixels", "model"), [("uint16", "uint8"), ("int8", "uint8"), ("uint8", "int8"), ("float32", "int32")]
)
def test_types_that_would_lose_pixels(pixels: str, model: str) -> None:
    with pytest.raises(ModelError, match=f"a model that takes {model} and pixels of type {pixels}") as caught:
        check_types(pixels, model, Normalization())
    assert "\n" not in str(caught.value)


def test_fractions_for_a_model_of_integers_are_refused() -> None:
    check_types("uint8", "float32", Normalization(kind="minmax"))
    for kind in ("minmax", "standardize", "percentile"):
        with pytest.raises(SettingError, match=f"--normalize {kind} for a model that takes uint8") as caught:
            check_types("uint8", "uint8", Normalization(kind=kind))
        assert "--range 0,255" in caught.value.do


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "uint64"])
def test_numbers_for_a_model_of_integers_are_rounded_and_clipped(dtype: str) -> None:
    info = np.iinfo(dtype)
    how = Normalization(kind="fixed", mean=(0.0,), std=(2.0,))
    check_types("float32", dtype, how)
    check_types("uint16", dtype, Normalization(kind="minmax", range=(0, 255)))
    pixels = np.array([[[1.0, 3.0, 4.9, -1e30, 1e30, np.inf, -np.inf, np.nan]]])
    made = apply(pixels, how, dtype=dtype)
    low, high = int(info.min), int(info.max)
    assert made.dtype == dtype
    found = made.ravel().tolist()
    assert found[:4] == [0, 2, 2, low]
    # the largest float that the type holds
    assert all(high - 2048 < n <= high for n in found[4:6])
    assert found[6:] == [low, 0]


def test_numbers_must_fit_the_channels() -> None:
    check_numbers(Normalization(kind="fixed", mean=(1.0, 2.0, 3.0), std=(1.0,)), 3)
    check_numbers(Normalization(), 3)
    with pytest.raises(SettingError, match="--std with 2 numbers for 3 channels"):
        check_numbers(Normalization(kind="fixed", mean=(1.0,), std=(1.0, 2.0)), 3)
