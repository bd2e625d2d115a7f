from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewise.errors import SettingError
from tilewise.postprocess import check_results, finish, has_channels, output_dtype
from tilewise.settings import Results

ACTIVATIONS = ("none", "sigmoid", "softmax")

quick = settings(deadline=None, max_examples=150)


def make_output(seed: int, shape: tuple[int, ...], *, odd: bool = True) -> np.ndarray:
    """Scores of many sizes, with ties, NaN and infinity among them."""
    rng = np.random.default_rng(seed)
    output = (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 3)).astype(np.float32)
    if odd:
        for value in (np.nan, np.inf, -np.inf, 0.0, -0.0):
            output[rng.random(shape) < 0.03] = value
    return output


def activated(output: np.ndarray, activation: str) -> np.ndarray:
    x = output.astype(np.float64)
    with np.errstate(all="ignore"):
        if activation == "sigmoid":
            return np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x)))
        if activation == "softmax":
            e = np.exp(x - x.max(axis=1, keepdims=True))
            return e / e.sum(axis=1, keepdims=True)
    return x


@quick
@given(
    seed=st.integers(0, 2**32),
    activation=st.sampled_from(ACTIVATIONS),
    dtype=st.sampled_from(["float32", "float16"]),
    channels=st.integers(2, 9),
)
def test_scores_against_float64(seed: int, activation: str, dtype: str, channels: int) -> None:
    output = make_output(seed, (2, channels, 5, 17))
    found = finish(output, Results(activation=activation, dtype=dtype))
    assert found.dtype == dtype == output_dtype(Results(activation=activation, dtype=dtype), channels, "float32")
    wanted = activated(output, activation)
    # a score that is small beside the largest inherits the rounding of their difference
    rtol, atol = (1e-5, 1e-37) if dtype == "float32" else (1e-3, 1e-7)
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=atol)


@quick
@given(
    seed=st.integers(0, 2**32),
    activation=st.sampled_from(ACTIVATIONS),
    kind=st.sampled_from(["scores", "labels"]),
    channels=st.integers(1, 12),
    dtype=st.sampled_from(["float32", "float16", "float64"]),
)
def test_cutting_before_or_after_gives_the_same_bits(
    seed: int, activation: str, kind: str, channels: int, dtype: str
) -> None:
    output = make_output(seed, (2, channels, 23, 37)).astype(dtype)
    results = Results(output=kind, activation=activation)
    whole = finish(output, results)
    rng = np.random.default_rng(seed)
    (y0, y1), (x0, x1) = np.sort(rng.integers(0, (24, 38), (2, 2)), axis=0).T
    tile = slice(int(rng.integers(0, 2)), 2)
    part = finish(output[tile, :, y0:y1, x0:x1], results)
    assert part.tobytes() == whole[tile, ..., y0:y1, x0:x1].tobytes()
    # one pixel alone, as a vector, and with channels last in memory
    assert finish(output[:, :, 3, 5], results).tobytes() == whole[..., 3, 5].tobytes()
    channels_last = np.ascontiguousarray(np.moveaxis(output, 1, -1))
    assert finish(np.moveaxis(channels_last, -1, 1), results).tobytes() == whole.tobytes()
    turned = finish(output[..., ::-1, ::3], results)
    assert turned.tobytes() == whole[..., ::-1, ::3].tobytes()


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_no_length_or_alignment_is_felt(activation: str) -> None:
    line = make_output(3, (1, 3, 1, 200), odd=False)
    whole = finish(line, Results(activation=activation))
    for first in range(20):
        for length in (*range(1, 40), 64, 127):
            cut = np.s_[..., first : first + length]
            assert finish(line[cut], Results(activation=activation)).tobytes() == whole[cut].tobytes()


@quick
@given(seed=st.integers(0, 2**32), activation=st.sampled_from(ACTIVATIONS), channels=st.integers(2, 9))
def test_labels_are_argmax_of_the_scores(seed: int, activation: str, channels: int) -> None:
    output = make_output(seed, (2, channels, 9, 11))
    scores = finish(output, Results(activation=activation))
    found = finish(output, Results(output="labels", activation=activation))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, scores.argmax(axis=1))


def test_ties_go_to_the_first_and_the_first_nan_counts_as_largest() -> None:
    nan = np.nan
    rows = np.array([[1, 1, 0], [0, 2, 2], [0, nan, 5], [nan, 9, 1], [5, nan, nan], [0, 0, 0]], np.float32)
    assert finish(rows, Results(output="labels")).tolist() == [0, 1, 1, 0, 1, 0]


def test_one_channel_is_cut_at_the_threshold() -> None:
    output = np.array([0.49, 0.5, 0.51, np.nan, np.inf, -np.inf], np.float32).reshape(1, 1, 2, 3)
    found = finish(output, Results(output="labels"))
    assert found.shape == (1, 2, 3)
    assert found.dtype == np.uint8
    assert found.ravel().tolist() == [0, 1, 1, 0, 1, 0]
    assert finish(output, Results(output="labels", threshold=0.505)).ravel().tolist() == [0, 0, 1, 0, 1, 0]
    logits = np.array([-0.1, 0.0, 0.1], np.float32).reshape(1, 1, 3)
    assert finish(logits, Results(output="labels", activation="sigmoid")).ravel().tolist() == [0, 1, 1]


def test_the_threshold_is_a_float32_as_the_scores_are() -> None:
    for threshold in (0.1, 0.3, 0.7, 0.9):
        output = np.full((1, 1, 1, 1), threshold, np.float32)
        assert finish(output, Results(output="labels", threshold=threshold)).item() == 1


def test_more_than_256_channels_need_wider_labels() -> None:
    output = np.zeros((1, 300, 2), np.float32)
    output[0, 299, 1] = 1
    found = finish(output, Results(output="labels"))
    assert found.dtype == np.uint16
    assert found.tolist() == [[0, 299]]
    assert output_dtype(Results(output="labels"), 256, "float32") == np.uint8


@pytest.mark.parametrize("dtype", ["float16", "float64", "int64", "uint8"])
def test_raw_is_untouched(dtype: str) -> None:
    output = np.arange(12).reshape(1, 3, 2, 2).astype(dtype)
    found = finish(output, Results(output="raw"))
    assert found.dtype == dtype == output_dtype(Results(output="raw"), 3, dtype)
    np.testing.assert_array_equal(found, output)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_models_output_is_left_alone(activation: str) -> None:
    output = make_output(1, (1, 3, 4, 4))
    before = output.copy()
    finish(output, Results(activation=activation))
    finish(output, Results(output="labels", activation=activation))
    assert output.tobytes() == before.tobytes()


def test_scores_of_integers_are_floats() -> None:
    output = np.array([[[0, 255]]], np.uint8)
    assert finish(output, Results()).dtype == np.float32


def test_large_scores_do_not_overflow() -> None:
    output = np.array([1e4, -1e4], np.float32).reshape(1, 2, 1)
    assert finish(output, Results(activation="softmax")).ravel().tolist() == [1, 0]
    assert finish(output, Results(activation="sigmoid")).ravel().tolist() == [1, 0]
    small = finish(np.full((1, 1, 1), -80, np.float32), Results(activation="sigmoid")).item()
    assert small == pytest.approx(np.exp(-80.0), rel=1e-6)


def test_an_empty_batch_stays_empty() -> None:
    output = np.zeros((0, 3, 4, 4), np.float32)
    assert finish(output, Results(activation="softmax")).shape == (0, 3, 4, 4)
    assert finish(output, Results(output="labels")).shape == (0, 4, 4)


def test_labels_have_no_channels() -> None:
    assert [has_channels(Results(output=kind)) for kind in ("scores", "labels", "raw")] == [True, False, True]


def test_results_that_the_channels_cannot_give() -> None:
    check_results(Results(activation="softmax"), 2)
    check_results(Results(activation="sigmoid"), 1)
    with pytest.raises(SettingError, match="softmax over one is 1 everywhere"):
        check_results(Results(activation="softmax"), 1)
    with pytest.raises(SettingError, match="--output labels with 70000 channels"):
        check_results(Results(output="labels"), 70000)
