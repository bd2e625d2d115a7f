"""Our own entry in a model's metadata: written, shown, used, overruled by a flag, and held to its schema."""

from __future__ import annotations

import contextlib
import json
import os

import hypothesis.strategies as st
import jsonschema
import numpy as np
import onnx
import pytest
from hypothesis import given

from images import make_pixels, write_array, write_image
from networks import one_layer, save, tiny_unet
from shell import call
from tilewise import Model, Normalization, Pixels, Results, plan, predict
from tilewise.descriptions import own
from tilewise.descriptions.metadata import read_metadata, write_metadata
from tilewise.descriptions.schema import PLACE, fits, properties
from tilewise.errors import ModelError

SETS = {
    "normalize": "standardize", "scope": "image", "stats": "all", "eps": "1e-6", "activation": "sigmoid",
    "output": "labels", "threshold": "0.4", "tile": "64", "halo": "16,24", "class_names": "background, cell",
    "layout": "NCHW", "output_layout": "NCHW", "pixel_size": "0.5", "channels": "1", "channel_names": "DAPI",
}  # fmt: skip


def sets(said):
    return [word for key, value in said.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture
def model(tmp_path):
    return save(tiny_unet(), tmp_path)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    return write_image(folder / "image.zarr", make_pixels((2, 200, 180)), "cyx")


def test_what_is_set_is_written_shown_and_used(model, image):
    said = call("contract", model, *sets(SETS), "--json")
    assert said.code == 0, said.err
    shown = said.json["contract"]
    assert shown["halo"] == {"value": [16, 24], "from": "contract (tilewise)"}
    assert shown["class_names"]["value"] == ["background", "cell"]
    assert set(shown) == set(SETS)
    text = call("contract", model).out
    assert "normalize" in text
    assert "standardize  (tilewise)" in text
    settings = call("plan", image, model, "--json").json["settings"]
    for name in ("normalize", "stats", "eps", "activation", "output", "threshold", "tile", "halo", "channels"):
        assert settings[name]["from"] == "contract (tilewise)", name
    assert settings["tile"]["value"] == [64, 64]
    assert settings["halo"]["value"] == [16, 24]
    assert settings["channels"]["value"] == [1]
    assert settings["layout"] == {"value": "NCHW", "from": "contract (tilewise)"}
    assert settings["pad"] == {"value": "reflect", "from": "default"}
    assert settings["block"]["from"] == "auto"


def test_a_flag_wins_even_with_the_value_of_its_default(model, image):
    assert call("contract", model, *sets({"normalize": "standardize", "activation": "sigmoid"})).code == 0
    words = ["--normalize", "none", "--activation", "none", "--channels", "0", "--halo", "auto"]
    settings = call("plan", image, model, *words, "--json").json["settings"]
    for name, value in (("normalize", "none"), ("activation", "none"), ("channels", [0])):
        assert settings[name] == {"value": value, "from": "flag"}
    assert settings["halo"]["from"] == "flag"


def test_the_contract_is_passed_over_where_that_is_asked(model, image):
    assert call("contract", model, *sets({"normalize": "standardize", "tile": "64"})).code == 0
    settings = call("plan", image, model, "--channels", "0", "--contract", "ignore", "--json").json["settings"]
    assert settings["normalize"] == {"value": "none", "from": "default"}
    assert settings["tile"]["from"] == "auto"


def test_python_follows_the_contract_as_the_command_line_does(model, tmp_path):
    pixels = make_pixels((90, 80)).astype(np.float32)
    bare = np.asarray(predict(pixels, Model(model)))
    assert call("contract", model, *sets({"activation": "sigmoid"})).code == 0
    known = Model(model)
    assert known.contract.activation == "sigmoid"
    assert known.inspect()["contract"]["activation"] == {"value": "sigmoid", "from": "contract (tilewise)"}
    followed = np.asarray(predict(pixels, model))
    np.testing.assert_allclose(followed, 1 / (1 + np.exp(-bare)), rtol=1e-6)
    # a value that is not the default wins by itself, the default where it is named
    assert np.asarray(predict(pixels, known, results=Results(output="labels"))).dtype == np.uint8
    np.testing.assert_array_equal(np.asarray(predict(pixels, known, given=frozenset({"activation"}))), bare)
    np.testing.assert_array_equal(np.asarray(predict(pixels, known, results=Results(output="raw"))), bare)
    image = write_array(tmp_path / "image.zarr", pixels)
    made = plan(image, known, given=frozenset({"activation"}))
    assert made.recipe.results.activation == "none"


def test_parts_of_a_normalization_may_come_from_both(model, image):
    assert call("contract", model, *sets({"normalize": "fixed", "mean": "3", "std": "2"})).code == 0
    plain = ["--channels", "0", "--json"]
    settings = call("plan", image, model, "--std", "4", *plain).json["settings"]
    assert settings["mean"] == {"value": [3.0], "from": "contract (tilewise)"}
    assert settings["std"] == {"value": [4.0], "from": "flag"}
    # another kind leaves nothing of what was said
    settings = call("plan", image, model, "--normalize", "minmax", *plain).json["settings"]
    assert settings["mean"] == {"value": [], "from": "default"}
    refused = call("plan", image, model, "--percentiles", "1,99", *plain)
    assert refused.code == 2
    assert "--percentiles with --normalize fixed" in refused.json["error"]["got"]


def test_the_rest_of_the_file_stays_to_the_byte(model):
    before = model.read_bytes()
    mode = model.stat().st_mode
    assert call("contract", model, "--set", "normalize=minmax", "--set", "range=-1,1").code == 0
    after = model.read_bytes()
    assert after.startswith(before)
    entry = {prop.key: prop.value for prop in onnx.load(model).metadata_props}
    assert json.loads(entry["tilewise"]) == {"version": 1, "normalize": "minmax", "range": [-1.0, 1.0]}
    assert model.stat().st_mode == mode
    assert call("contract", model, "--unset", "range").code == 0
    assert own.read(read_metadata(model)).said() == {"normalize": "minmax"}
    assert call("contract", model, "--clear").code == 0
    assert model.read_bytes() == before
    assert sorted(p.name for p in model.parent.iterdir()) == [model.name]


def test_other_entries_and_a_copy(model, tmp_path):
    loaded = onnx.load(model)
    onnx.helper.set_model_props(loaded, {"author": "Ada", "tilewise": '{"version": 1}'})
    onnx.save(loaded, model)
    before = model.read_bytes()
    assert call("contract", model, "--set", "halo=8", "--out", tmp_path / "copy.onnx").code == 0
    assert model.read_bytes() == before
    found = {prop.key: prop.value for prop in onnx.load(tmp_path / "copy.onnx").metadata_props}
    assert found["author"] == "Ada"
    assert json.loads(found["tilewise"]) == {"version": 1, "halo": [8]}


def test_a_link_stays_a_link_and_data_beside_it_are_found(tmp_path):
    folder = tmp_path / "real"
    folder.mkdir()
    loaded = tiny_unet(width=8)
    onnx.save(loaded, folder / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=64)
    (tmp_path / "link.onnx").symlink_to(folder / "m.onnx")
    assert call("contract", tmp_path / "link.onnx", "--set", "halo=8", "--json").code in {0, 2}
    assert (tmp_path / "link.onnx").is_symlink()
    assert Model(folder / "m.onnx").contract.halo == (8,)


@pytest.mark.parametrize(
    ("words", "got", "expected"),
    [
        (["--set", "foo=3"], "--set foo", "one of the keys layout, output_layout"),
        (["--set", "normalize=whiten"], "--set normalize=whiten", "one of none, standardize, minmax"),
        (["--set", "normalize"], "--set normalize", "KEY=VALUE"),
        (["--set", "tile=big"], "--set tile big", "whole numbers"),
        (["--set", "tile=auto"], "--set tile=auto", "a list of 1 to 3 whole numbers from 1"),
        (["--set", "layout=XY"], "--set layout=XY", "text that keeps"),
        (["--set", "clip=maybe"], "--set clip=maybe", "true or false"),
        (["--set", "normalize=fixed"], "fixed without its numbers", "--mean and --std"),
        (["--set", "mean=3"], "--mean or --std with --normalize none", "only with --normalize fixed"),
        (["--set", "output=raw", "--set", "activation=sigmoid"], "--output raw with --activation sigmoid", "no act"),
        (["--set", "layout=NHWC"], "Input channels C is not equal to kernel channels", ""),
        (["--set", "output_name=mask"], "--output-name mask", "one of the outputs"),
        (["--unset", "bar"], "bar", "one of the keys"),
        (["--out", "x.onnx"], "--out x.onnx without a change", "--set"),
    ],
)
def test_wrong_terms_are_refused_and_nothing_is_written(model, words, got, expected):
    before = model.read_bytes()
    said = call("contract", model, *words, "--json")
    assert said.code == 2
    assert got in said.json["error"]["got"]
    assert expected in said.json["error"]["expected"]
    assert model.read_bytes() == before


def test_what_is_no_onnx_file_is_refused(tmp_path):
    text = tmp_path / "text.onnx"
    text.write_text("this is no model")
    said = call("contract", text, "--set", "halo=8")
    assert said.code == 2
    assert "is no ONNX model" in said.err
    assert text.read_text() == "this is no model"
    assert call("contract", tmp_path, "--set", "halo=8").code == 2
    assert "no MODEL" in call("contract").err


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{", "is no JSON"),
        ("[]", "an object"),
        ('{"version": 2}', "version 2 in the model's metadata"),
        ('{"version": 1, "sigma": 3}', "sigma = 3"),
        ('{"version": 1, "halo": [-1]}', "halo ="),
        ('{"version": 1, "mean": [NaN]}', "mean ="),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_a_broken_entry_is_named_and_can_be_cleared(model, image, entry, words):
    write_metadata(model, own.KEY, entry, model)
    said = call("plan", image, model, "--channels", "0")
    assert said.code == 2
    assert words in said.err
    assert "tilewise contract MODEL" in said.err
    assert call("plan", image, model, "--channels", "0", "--contract", "ignore").code == 0
    assert call("contract", model, "--clear").code == 0
    assert call("plan", image, model, "--channels", "0").code == 0


def test_the_schema_is_printed_and_knows_every_key(model):
    schema = json.loads(call("contract", "--schema").out)
    assert schema == json.loads(PLACE.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert call("contract", model, *sets(SETS)).code == 0
    jsonschema.validate(json.loads(read_metadata(model)["tilewise"]), schema)
    choices = {name: rule["enum"] for name, rule in properties().items() if "enum" in rule}
    for name, kind in (("normalize", "kind"), ("scope", "scope"), ("stats", "stats")):
        for word in choices[name]:
            Normalization(**{kind: word})
    for word in choices["dtype"]:
        Results(dtype=word)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 200) | st.floats(-2, 200) | st.sampled_from(["NCHW", "none", "", "a"]),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


@given(key=st.sampled_from(sorted(properties())), value=VALUES)
def test_our_reading_of_the_schema_is_that_of_others(key, value):
    rule = properties()[key]
    theirs = jsonschema.Draft202012Validator(rule).is_valid(value)
    # JSON Schema takes 1.0 for 1
    assert fits(value, rule) == theirs or (key == "version" and value == 1)


@given(key=st.text(min_size=1, max_size=200), value=st.text(max_size=300), other=st.text(max_size=200))
def test_metadata_is_read_and_written_as_onnx_does(key, value, other, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wire")
    model = one_layer()
    onnx.helper.set_model_props(model, {key: other, f"{key}'": other})
    path = save(model, folder)
    assert read_metadata(path) == {key: other, f"{key}'": other}
    write_metadata(path, key, value, folder / "out.onnx")
    found = onnx.load(folder / "out.onnx")
    assert {prop.key: prop.value for prop in found.metadata_props} == {key: value, f"{key}'": other}
    del found.metadata_props[:], model.metadata_props[:]
    assert found == model


@given(cut=st.floats(0, 1), junk=st.binary(max_size=40))
def test_a_torn_file_is_refused_or_read_never_a_crash(cut, junk, tmp_path_factory):
    folder = tmp_path_factory.mktemp("torn")
    content = one_layer().SerializeToString()
    path = folder / "torn.onnx"
    path.write_bytes(content[: int(cut * len(content))] + junk)
    assert isinstance(read_metadata(path), dict)
    with contextlib.suppress(ModelError):
        write_metadata(path, "tilewise", "x", folder / "out.onnx")
    assert not list(folder.glob("*.partial"))


def test_a_folder_that_cannot_be_written_is_refused(model, tmp_path):
    said = call("contract", model, "--set", "halo=8", "--out", tmp_path / "absent" / "m.onnx")
    assert said.code == 2
    assert "is no folder" in said.err
    if os.getuid():
        tmp_path.chmod(0o500)
        assert "cannot be written" in call("contract", model, "--set", "halo=8").err
        tmp_path.chmod(0o700)


def test_channels_are_found_by_name(tmp_path, model):
    assert call("contract", model, "--set", "channel_names=GFP").code == 0
    pixels = make_pixels((2, 64, 64))
    place = write_image(tmp_path / "named.zarr", pixels, "cyx", channels=["DAPI", "gfp"])
    made = plan(place, model)
    assert made.channels == (1,)
    assert {s.name: s.origin for s in made.settings}["channels"] == "contract (tilewise), by name"
    assert plan(place, model, pixels=Pixels(channels=(0,))).channels == (0,)


def test_what_the_model_says_of_its_axes_reaches_its_inspection(tmp_path):
    """Eight planes that stand last: nothing but the contract can tell them from a row of pixels."""
    model = save(tiny_unet(channels_in=8, layout="NHWC", depth=1), tmp_path)
    assert call("contract", model, "--set", "layout=NHWC", "--set", "output_layout=NHWC").code == 0
    assert (Model(model).spec.layout, Model(model).spec.in_channels) == ("NHWC", 8)
    settings = call(
        "plan", write_array(tmp_path / "i.zarr", make_pixels((8, 64, 64))), model, "--axes", "cyx", "--json"
    )
    assert settings.json["settings"]["layout"] == {"value": "NHWC", "from": "contract (tilewise)"}


def test_a_model_that_is_read_only_is_left_alone(model, tmp_path):
    model.chmod(0o444)
    before = model.read_bytes()
    refused = call("contract", model, "--set", "normalize=minmax")
    assert refused.code == 2
    assert f"{model} is read-only; expected a file that may be changed. Write a copy with --out" in refused.err
    assert model.read_bytes() == before
    assert call("contract", model, "--set", "normalize=minmax", "--out", tmp_path / "copy.onnx").code == 0


def test_an_unknown_key_is_named_with_the_flag_that_was_typed(model):
    assert "--unset normalise; expected one of the keys" in call("contract", model, "--unset", "normalise").err
