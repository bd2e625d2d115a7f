"""Pointwise steps: each pixel by itself, to the bit, wherever it stands."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from images import make_pixels, write_array
from networks import tiny_unet
from rdf import describe_04, package
from tilewise import Cut, Model, Pixels, predict, run
from tilewise.steps import Step, take

STEPS = [
    Step(kind="linear", a=(0.3, -2.0, 1.5), b=(0.1,)),
    Step(kind="clip", a=(-0.5,), b=(1.25,)),
    Step(kind="clip", b=(0.5,)),
    Step(kind="binarize", a=(0.1, 0.2, 0.3)),
    Step(kind="sigmoid"),
    Step(kind="softmax"),
    Step(kind="cast", dtype="uint8"),
    Step(kind="cast", dtype="bool"),
]


@pytest.mark.parametrize("step", STEPS, ids=[f"{s.kind} {s.dtype}".strip() for s in STEPS])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(seed=st.integers(0, 99), start=st.integers(0, 30), stop=st.integers(31, 67))
def test_a_part_gives_the_bits_of_the_whole(step, dtype, seed, start, stop):
    values = (4 * np.random.default_rng(seed).standard_normal((1, 3, 5, 67))).astype(dtype)
    before = values.copy()
    whole = take(values, (step,))
    assert (whole.dtype, whole.shape) == (values.dtype, values.shape)
    np.testing.assert_array_equal(values, before)
    part = take(np.ascontiguousarray(values[..., start:stop]), (step,))
    np.testing.assert_array_equal(part.view(np.uint8), np.ascontiguousarray(whole[..., start:stop]).view(np.uint8))


def test_what_a_type_cannot_hold_becomes_the_nearest_that_it_can():
    values = np.array([-3.5, -0.2, 0.9, 254.99, 255.0, 300.0, np.nan, np.inf]).reshape(1, 1, 1, 8)
    found = take(values, (Step(kind="cast", dtype="uint8"),))
    assert found.ravel().tolist() == [0, 0, 0, 254, 255, 255, 0, 255]


def test_extremes_do_not_overflow():
    values = np.array([-1e4, 0, 1e4], np.float32).reshape(1, 3, 1, 1)
    assert take(values, (Step(kind="sigmoid"),)).ravel().tolist() == [0, 0.5, 1]
    assert take(values, (Step(kind="softmax"),)).ravel().tolist() == [0, 0, 1]


def test_no_step_changes_nothing_and_json_has_what_is_there():
    values = np.zeros((1, 1, 2, 2))
    assert take(values, ()) is values
    assert Step(kind="linear", a=(2.0,), b=(1.0,)).to_json() == {"kind": "linear", "a": [2.0], "b": [1.0]}


def test_tiles_of_a_chain_are_the_whole_and_run_is_predict(tmp_path):
    """Statistics of clipped pixels, steps after them, and steps on the output: not a bit depends on the cut."""
    before = [
        {"name": "clip", "kwargs": {"min": 20, "max": 200}},
        {"name": "zero_mean_unit_variance", "kwargs": {"mode": "per_sample", "axes": "yx"}},
        {"name": "clip", "kwargs": {"min": -1, "max": 1}},
    ]
    after = [{"name": "sigmoid"}, {"name": "scale_linear", "kwargs": {"gain": 3.0, "offset": -1.0}}]
    free = {"min": [1, 1, 32, 32], "step": [0, 0, 4, 4]}
    place = package(tmp_path / "model", describe_04(shape=free, before=before, after=after), tiny_unet())
    pixels = make_pixels((150, 170))
    known = Model(place)
    whole = np.asarray(predict(pixels, known, cut=Cut(tile=(152, 172))))
    tiled = np.asarray(predict(pixels, known, cut=Cut(tile=64)))
    np.testing.assert_array_equal(whole, tiled)
    image = write_array(tmp_path / "image.zarr", pixels)
    run(image, known, tmp_path / "out.zarr", cut=Cut(tile=64, block=64))
    written = np.asarray(read(tmp_path / "out.zarr"))
    np.testing.assert_array_equal(written, tiled)
    scaled = (np.clip(pixels, 20, 200) - np.clip(pixels, 20, 200).mean()) / (np.clip(pixels, 20, 200).std() + 1e-6)
    bare = predict(np.clip(scaled, -1, 1).astype(np.float32), place / "weights.onnx", pixels=Pixels(axes="yx"))
    np.testing.assert_allclose(written, 3 / (1 + np.exp(-np.asarray(bare))) - 1, atol=2e-6)


def read(out):
    import zarr

    return zarr.open_array(out / "0")[:]
