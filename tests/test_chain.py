"""Processing chains mean what bioimage.io's text says: compared with a reading of it in NumPy, through a whole run."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from rdf import axis, describe_04, describe_05, package
from tilewise import Model, Normalization, Results, predict
from tilewise.descriptions.chain import read_after, read_before
from tilewise.descriptions.tensors import read_tensor
from tilewise.errors import ModelError

CHANNELS = 3


def identity(channels=CHANNELS, dtype="float32"):
    """A model that gives what it gets, as float32."""
    kind = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}[dtype]
    shape = ["n", channels, "h", "w"]
    cast = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)
    graph = helper.make_graph(
        [cast],
        "identity",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def read_the_text(ops, x):
    """What the text of format 0.5 says, for a tensor of axes b c y x in double precision."""
    names = {"batch": 0, "channel": 1, "y": 2, "x": 3}
    x = np.asarray(x, np.float64)
    for op in ops:
        given = op.get("kwargs", {})
        axes = tuple(names[a] for a in given["axes"]) if given.get("axes") else None
        eps = float(given.get("eps", 1e-6))

        def along(name, default=None, given=given):
            value = given.get(name, default)
            return np.reshape(value, (1, -1, 1, 1)) if isinstance(value, list) else value

        kind = op["id"]
        if kind == "zero_mean_unit_variance":
            x = (x - x.mean(axes, keepdims=True)) / (x.std(axes, keepdims=True) + eps)
        elif kind == "fixed_zero_mean_unit_variance":
            x = (x - along("mean")) / along("std")
        elif kind == "scale_range":
            ends = [given.get("min_percentile", 0), given.get("max_percentile", 100)]
            low, high = np.percentile(x, ends, axis=axes, keepdims=True)
            x = (x - low) / (high - low + eps)
        elif kind == "scale_linear":
            x = x * along("gain", 1.0) + along("offset", 0.0)
        elif kind == "clip":
            x = np.clip(x, given.get("min"), given.get("max"))
        elif kind == "binarize":
            x = (x > along("threshold")).astype(float)
        elif kind == "sigmoid":
            x = 1 / (1 + np.exp(-x))
        elif kind == "softmax":
            x = np.exp(x) / np.exp(x).sum(1, keepdims=True)
        elif kind == "ensure_dtype":
            x = x.astype(given["dtype"]).astype(float)
    return x


def op(kind, **options):
    return {"id": kind, **({"kwargs": options} if options else {})}


AXES = [axis("b"), axis("c", channel_names=["r", "g", "b"]), *(axis(a, {"min": 8, "step": 1}) for a in "yx")]
PLANE, SAMPLE = ["y", "x"], ["channel", "y", "x"]
FLOAT = op("ensure_dtype", dtype="float32")

BEFORE = [
    [],
    [op("zero_mean_unit_variance")],
    [op("zero_mean_unit_variance", axes=PLANE)],
    [FLOAT, op("zero_mean_unit_variance", axes=SAMPLE, eps=1e-3), FLOAT],
    [op("zero_mean_unit_variance", axes=["batch", *PLANE])],
    [op("fixed_zero_mean_unit_variance", mean=100.0, std=20.0)],
    [op("fixed_zero_mean_unit_variance", mean=[100.0, 90.0, 80.0], std=[20.0, 1.0, 2.5], axis="channel")],
    [op("scale_range")],
    [op("scale_range", axes=PLANE, min_percentile=1.0, max_percentile=99.8)],
    [op("scale_range", axes=SAMPLE, min_percentile=5, max_percentile=95), op("clip", min=0.0, max=1.0)],
    [op("scale_range", axes=SAMPLE, min_percentile=5, max_percentile=95), op("clip", min=-0.5, max=2.0)],
    [op("scale_range", axes=PLANE, eps=0.1), op("scale_linear", gain=2.0, offset=-1.0)],
    [op("scale_linear", gain=1 / 255)],
    [op("scale_linear", gain=-1.0, offset=255.0)],
    [op("scale_linear", gain=[1.0, 2.0, 3.0], offset=[0.0, -1.0, 5.0], axis="channel")],
    [op("scale_linear", gain=1 / 255), op("fixed_zero_mean_unit_variance", mean=0.5, std=0.2)],
    [op("clip", min=20.0, max=200.0), op("zero_mean_unit_variance", axes=PLANE)],
    [op("clip", max=200.0), op("scale_range", axes=PLANE, min_percentile=2.0, max_percentile=98.0)],
    [op("scale_linear", gain=[1.0, -2.0, 3.0], axis="channel"), op("zero_mean_unit_variance", axes=SAMPLE)],
    [op("fixed_zero_mean_unit_variance", mean=10.0, std=3.0), op("scale_range", axes=PLANE)],
    [op("zero_mean_unit_variance", axes=PLANE), op("clip", min=-1.0, max=1.0), op("sigmoid")],
    [op("zero_mean_unit_variance", axes=PLANE), op("scale_linear", gain=2.0), op("scale_range", axes=PLANE)],
    [op("binarize", threshold=128.0)],
    [op("binarize", threshold=[10.0, 128.0, 250.0], axis="channel")],
    [op("scale_linear", gain=0.01), op("softmax", axis="channel")],
    [op("scale_linear", gain=0.5), op("ensure_dtype", dtype="uint8")],
]

AFTER = [
    [],
    [op("sigmoid")],
    [op("softmax", axis="channel")],
    [op("softmax")],
    [op("sigmoid"), FLOAT],
    [op("scale_linear", gain=0.5, offset=1.0), op("sigmoid")],
    [op("scale_linear", gain=[1.0, 2.0, 3.0], axis="channel")],
    [op("clip", min=-1.0, max=0.25)],
    [op("sigmoid"), op("binarize", threshold=0.6)],
    [op("sigmoid"), op("binarize", threshold=[0.2, 0.5, 0.8], axis="channel")],
    [op("sigmoid"), op("scale_linear", gain=255.0), op("ensure_dtype", dtype="uint8")],
    [op("fixed_zero_mean_unit_variance", mean=1.0, std=2.0)],
]


@pytest.fixture(scope="module")
def pixels():
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (2, CHANNELS, 24, 32), np.uint8) // np.array([1, 2, 4]).reshape(1, 3, 1, 1)


def names(chains):
    return ["+".join(step["id"] for step in chain) or "nothing" for chain in chains]


@pytest.mark.parametrize("chain", BEFORE, ids=names(BEFORE))
def test_what_comes_before_is_what_the_text_says(chain, pixels, tmp_path):
    said = describe_05(axes=AXES, out_axes=AXES, before=chain)
    place = package(tmp_path / "model", said, identity())
    found = np.asarray(predict(pixels, place, pixels=tcyx()))
    # a sample of bioimage.io is what the model sees of a stack; statistics over batches are over the whole image
    batched = any("batch" in step.get("kwargs", {}).get("axes", ["batch"]) for step in chain)
    wanted = read_the_text(chain, pixels)
    if not batched:
        wanted = np.concatenate([read_the_text(chain, part[np.newaxis]) for part in pixels])
    np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=2e-6)


def tcyx():
    from tilewise import Pixels

    return Pixels(axes="tcyx")


@pytest.mark.parametrize("chain", AFTER, ids=names(AFTER))
def test_what_comes_after_is_what_the_text_says(chain, pixels, tmp_path):
    scaled = (pixels.astype(np.float32) - 60) / 30
    said = describe_05(axes=AXES, out_axes=AXES, after=chain)
    found = np.asarray(predict(scaled, package(tmp_path / "model", said, identity()), pixels=tcyx()))
    np.testing.assert_allclose(found, read_the_text(chain, scaled), rtol=2e-6, atol=2e-6)


def test_a_binarized_channel_is_labels_above_the_threshold_not_at_it(tmp_path):
    chain = [op("binarize", threshold=0.5), op("ensure_dtype", dtype="uint8")]
    axes = [axis("c", channel_names=["mask"]), *(axis(a, {"min": 1, "step": 1}) for a in "yx")]
    said = describe_05(axes=[axis("b"), *axes], out_axes=[axis("b"), *axes], after=chain)
    place = package(tmp_path / "model", said, identity(1))
    contract = Model(place).contract
    assert (contract.output, contract.origin("output")) == ("labels", "contract (bioimage.io 0.5)")
    at = np.array([[0.25, 0.5, np.nextafter(np.float32(0.5), np.float32(1)), 0.75]] * 3, np.float32)
    assert np.asarray(predict(at, place)).tolist() == [[0, 0, 1, 1]] * 3


OLD = [
    ({"name": "zero_mean_unit_variance", "kwargs": {"mode": "per_sample", "axes": "cyx"}}, "standardize slice all"),
    ({"name": "zero_mean_unit_variance", "kwargs": {"mode": "per_sample", "axes": "yx"}}, "standardize slice channel"),
    ({"name": "zero_mean_unit_variance", "kwargs": {"mode": "per_dataset", "axes": "xyc"}}, "standardize image all"),
    ({"name": "scale_range", "kwargs": {"mode": "per_sample", "axes": "yx"}}, "minmax slice channel"),
    (
        {"name": "scale_range", "kwargs": {"mode": "per_dataset", "axes": "cyx", "min_percentile": 1}},
        "percentile image all",
    ),
]


def tensor_04(*steps, axes="bcyx", shape=(1, 3, 64, 64)):
    return read_tensor(describe_04(axes=axes, shape=shape, before=steps)["inputs"][0], "input", "rdf.yaml")


OLD.append(({"name": "zero_mean_unit_variance", "kwargs": {"axes": "yx"}}, "standardize slice channel"))


@pytest.mark.parametrize(("step", "wanted"), OLD)
def test_modes_and_letters_of_0_4(step, wanted):
    said, unmet = read_before(tensor_04(step))
    assert f"{said['normalize']} {said['scope']} {said['stats']}" == wanted
    assert said["eps"] == 1e-6
    assert not unmet


def test_fixed_numbers_of_0_4_have_their_epsilon_and_lie_along_the_channels():
    numbers = {"mode": "fixed", "axes": "yx", "mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0], "eps": 0.01}
    said, _ = read_before(tensor_04({"name": "zero_mean_unit_variance", "kwargs": numbers}))
    assert said == {"normalize": "fixed", "mean": (1.0, 2.0, 3.0), "std": (4.01, 5.01, 6.01)}
    said, _ = read_before(tensor_04(op("zero_mean_unit_variance", axes="yx", mean=[1, 2, 3], std=[4, 5, 6])))
    assert said["normalize"] == "fixed"
    one = {"mode": "fixed", "axes": "cyx", "mean": 1.0, "std": 4.0}
    said, _ = read_before(tensor_04({"name": "zero_mean_unit_variance", "kwargs": one}))
    assert said["mean"] == (1.0,)
    assert said["std"][0] == pytest.approx(4.0, abs=2e-6)


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (op("zero_mean_unit_variance", axes=["y"]), "statistics for each x by itself"),
        (op("scale_range", axes=PLANE, reference_tensor="other"), "statistics of another tensor (other)"),
        (op("clip", min_percentile=1.0, axes=PLANE), "clipping at percentiles"),
        (op("softmax", axis="y"), "softmax along an axis other than the channels"),
        (op("scale_linear", gain=[1.0, 2.0], axis="y"), "gain along y"),
        (op("scale_linear", gain=[1.0, 2.0], axis="channel"), "2 numbers of gain for 3 channels"),
        (op("resize_to_unit"), "not known"),
    ],
)
def test_what_cannot_be_met_is_refused_unless_a_flag_takes_its_place(step, what, pixels, tmp_path):
    place = package(tmp_path / "model", describe_05(axes=AXES, out_axes=AXES, before=[step]), identity())
    with pytest.raises(ModelError) as refusal:
        predict(pixels, place, pixels=tcyx())
    assert what in refusal.value.got
    assert "--normalize" in refusal.value.do
    from tilewise import Pixels

    asked = Pixels(axes="tcyx", normalization=Normalization(kind="fixed", mean=(1.0,), std=(2.0,)))
    np.testing.assert_allclose(np.asarray(predict(pixels, place, pixels=asked)), (pixels - 1.0) / 2)
    found = np.asarray(predict(pixels, place, pixels=tcyx(), given=frozenset({"normalize"})))
    np.testing.assert_array_equal(found, pixels)


def test_a_second_look_at_the_statistics_is_refused():
    steps = [op("zero_mean_unit_variance", axes=PLANE), op("clip", min=0.0), op("scale_range", axes=PLANE)]
    entry = describe_05(axes=AXES, out_axes=AXES, before=steps)["inputs"][0]
    assert "a second look at the statistics" in read_before(read_tensor(entry, "input", "rdf.yaml"))[1][0].what


@pytest.mark.parametrize("kind", ["scale_range", "zero_mean_unit_variance", "scale_mean_variance"])
def test_statistics_of_an_output_are_refused_and_raw_overrules(kind, pixels, tmp_path):
    chain = [op(kind, axes=PLANE, **({"reference_tensor": "raw"} if kind == "scale_mean_variance" else {}))]
    place = package(tmp_path / "model", describe_05(axes=AXES, out_axes=AXES, after=chain), identity())
    assert read_after(read_tensor({"axes": AXES, "postprocessing": chain}, "output", "x"), 3)[1]
    with pytest.raises(ModelError, match=r"needs statistics of the whole output.*--output raw"):
        predict(pixels, place, pixels=tcyx())
    found = predict(pixels, place, pixels=tcyx(), results=Results(output="raw"))
    np.testing.assert_array_equal(np.asarray(found), pixels)


def test_a_model_of_integers_gets_what_its_description_cuts_to_them(pixels, tmp_path):
    chain = [op("scale_range", axes=SAMPLE), op("scale_linear", gain=255.0), op("ensure_dtype", dtype="uint8")]
    place = package(tmp_path / "model", describe_05(axes=AXES, out_axes=AXES, before=chain), identity(dtype="uint8"))
    found = np.asarray(predict(pixels, place, pixels=tcyx()))
    wanted = np.concatenate([read_the_text(chain, part[np.newaxis]) for part in pixels])
    assert np.abs(found - wanted).max() <= 1
    assert np.mean(found != wanted) < 1e-3
