"""Keras and TensorFlow models converted, and run in tiles against the framework's own answer for the whole image."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import zarr

import tilewise
from frameworks import keras_unet, save_keras
from images import make_pixels, write_array
from shell import call
from tilewise.convert import Wanted, convert
from tilewise.errors import ModelError

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore")]

SHAPES = {2: (160, 192), 3: (48, 64, 56)}
TILES = {2: 64, 3: 40}


def predict_in_tiles(folder, model, ndim):
    """Whole image and tiled scores, channels last."""
    pixels = make_pixels(SHAPES[ndim], "float32") / 255
    write_array(folder / "image.zarr", pixels)
    cut = tilewise.Cut(tile=TILES[ndim], halo="exact")
    result = tilewise.run(str(folder / "image.zarr"), model, str(folder / "out"), cut=cut)
    assert result.state == "done"
    return pixels, np.moveaxis(zarr.open_array(folder / "out/0", mode="r")[:], 0, -1)


def agree(model, folder, made):
    """Everything that is claimed of a conversion, and the tiled run against Keras on the whole image."""
    ndim = len(model.inputs[0].shape) - 2
    assert made.compared.difference <= 1e-5
    assert len(made.compared.shapes) == 2
    assert made.model["verdict"] in {"exact", "exact to rounding"}
    assert made.model["layout"] == ("NHWC" if ndim == 2 else "NDHWC")
    pixels, tiled = predict_in_tiles(folder, made.out, ndim)
    whole = model.predict(pixels[None, ..., None], verbose=0)[0]
    assert np.abs(tiled - whole).max() <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("form", ["keras", "hdf5", "json"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_a_unet_in_each_form(tmp_path, ndim, form):
    model = keras_unet(ndim, up={"keras": "transpose", "hdf5": "nearest", "json": "overlapping"}[form])
    agree(model, tmp_path, convert(save_keras(model, tmp_path, form), tmp_path / "out.onnx"))


@pytest.mark.slow
def test_a_unet_that_interpolates(tmp_path):
    model = keras_unet(2, up="bilinear")
    agree(model, tmp_path, convert(save_keras(model, tmp_path, "keras"), tmp_path / "out.onnx"))


@pytest.mark.slow
@pytest.mark.parametrize("ndim", [2, 3])
def test_a_saved_model(tmp_path, ndim):
    model = keras_unet(ndim)
    model.export(tmp_path / "saved", verbose=False)
    agree(model, tmp_path, convert(tmp_path / "saved", tmp_path / "out.onnx"))


def old_architecture(*layers):
    """As Keras 1 and 2 wrote it: no modules, shapes with their batch."""
    last, chain = "input_1", []
    for kind, config in layers:
        name = f"{kind.lower()}_{len(chain)}"
        chain.append(
            {
                "name": name,
                "class_name": kind,
                "config": {"name": name, **config},
                "inbound_nodes": [[[last, 0, 0, {}]]],
            }
        )
        last = name
    image = {"batch_input_shape": [None, None, None, 3], "dtype": "float32", "sparse": False, "name": "input_1"}
    first = {"name": "input_1", "class_name": "InputLayer", "config": image, "inbound_nodes": []}
    config = {
        "name": "model_1",
        "layers": [first, *chain],
        "input_layers": [["input_1", 0, 0]],
        "output_layers": [[last, 0, 0]],
    }
    return {"class_name": "Model", "config": config, "keras_version": "2.1.5", "backend": "tensorflow"}


def test_the_old_pair_of_architecture_and_weights(tmp_path):
    import h5py
    import keras

    scale = {"class_name": "VarianceScaling", "config": {"scale": 1.0, "mode": "fan_avg", "seed": None}}
    conv = {"filters": 4, "kernel_size": [3, 3], "strides": [1, 1], "padding": "same", "activation": "relu"}
    norm = {"axis": -1, "momentum": 0.99, "epsilon": 0.001, "center": True, "scale": True}
    text = old_architecture(("Conv2D", {**conv, "kernel_initializer": scale}), ("BatchNormalization", norm))
    (tmp_path / "old.json").write_text(json.dumps(text))
    new = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="conv2d_0"),
            keras.layers.BatchNormalization(name="batchnormalization_1"),
        ]
    )
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["layer_names"] = [b"input_1", b"conv2d_0", b"batchnormalization_1"]
        file.attrs["keras_version"], file.attrs["backend"] = b"2.1.5", b"tensorflow"
        file.create_group("input_1").attrs["weight_names"] = []
        for layer in new.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, layer.get_weights(), strict=True):
                group[name] = value
    made = convert(tmp_path / "old.json", tmp_path / "out.onnx", inspect=False)
    assert made.format == "Keras (JSON and weights)"
    assert made.compared.difference <= 1e-5
    # the same weights under a name that says nothing
    shutil.move(tmp_path / "old.h5", tmp_path / "numbers.bin")
    given = Wanted(weights=str(tmp_path / "numbers.bin"))
    assert convert(tmp_path / "old.json", tmp_path / "two.onnx", given, inspect=False).sha256


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Models that must be refused."""
    import keras
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("odd")
    image = keras.Input((None, None, 1))
    twice = keras.Model(image, keras.layers.Lambda(lambda x: x * 2, name="twice")(image))
    for name in ("lambda.keras", "lambda.h5"):
        twice.save(folder / name)
    (folder / "lambda.json").write_text(twice.to_json())
    shutil.copy(folder / "lambda.h5", folder / "lambda.weights.h5")

    class Mine(keras.layers.Layer):
        def call(self, x):
            return x + 1

    keras.Model(image, Mine()(image)).save(folder / "mine.keras")
    plain = keras.Model(image, keras.layers.Conv2D(1, 3)(image))
    plain.save_weights(folder / "only.weights.h5")
    unknown = keras.Model(image, keras.layers.Lambda(tf.math.lgamma, output_shape=(None, None, 1))(image))
    unknown.export(folder / "unknown", verbose=False)

    class Writer(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32)])
        def call(self, x):
            tf.io.write_file("ran", "here")
            return x

    writer = Writer()
    tf.saved_model.save(writer, folder / "writer", signatures=writer.call)
    (folder / "torn.keras").write_bytes((folder / "mine.keras").read_bytes()[:-300])
    return folder


@pytest.mark.parametrize(
    ("source", "got", "do"),
    [
        ("lambda.keras", "holds code: Lambda layer 'twice'", "--trust"),
        ("lambda.h5", "holds code: Lambda layer 'twice'", "--trust"),
        ("lambda.json", "holds code: Lambda layer 'twice'", "--trust"),
        ("mine.keras", "Mine, which is not Keras' own", "model.export('folder')"),
        ("only.weights.h5", "holds weights without an architecture", "--weights"),
        ("unknown", "operator Lgamma", "Replace that operation"),
        ("writer", "holds operator WriteFile", "--trust"),
        ("torn.keras", "a damaged zip archive", "Download it again"),
    ],
)
def test_what_is_refused(odd, tmp_path, monkeypatch, source, got, do):
    monkeypatch.chdir(tmp_path)
    said = call("convert", odd / source, "out.onnx", "--json", "--quiet")
    assert said.code == 2, said
    assert got in said.json["error"]["got"]
    assert do in said.json["error"]["do"]
    assert list(tmp_path.iterdir()) == []


def test_a_lambda_layer_is_taken_with_trust(odd, tmp_path):
    wanted = Wanted(trust=True)
    assert convert(odd / "lambda.keras", tmp_path / "out.onnx", wanted, inspect=False).compared.difference <= 1e-6
    with pytest.raises(ModelError, match="holds code"):
        convert(odd / "lambda.keras", tmp_path / "other.onnx")
