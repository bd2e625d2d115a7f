"""One vector a tile: every tile cut, padded and run by brute force gives the same numbers, to the bit."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import tilewise
from images import make_pixels, write_array, write_image
from networks import Net, classifier, save, wrap
from oracle import infer_each
from specs import image_of, model_of
from tilewise import Cut, Model, Normalization, Pixels, Results
from tilewise.block import process, show
from tilewise.errors import ModelError, OutputError, SettingError
from tilewise.geometry import source_box
from tilewise.planning import decide
from tilewise.session import SessionOptions, open_session
from tilewise.settings import Asked, Machine
from tilewise.spec import Port

CYX = Pixels(axes="cyx")
MACHINE = Machine(memory=4 * 10**9, threads=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sampling")


@pytest.fixture(scope="module")
def model(folder):
    return Model(save(classifier(), folder, "free"))


@pytest.fixture(scope="module")
def pixels():
    return make_pixels((3, 203, 157), "uint8")


@pytest.fixture(scope="module")
def image(folder, pixels):
    return write_array(folder / "image.zarr", pixels, chunks=(3, 50, 60))


def read(out, level="0"):
    return zarr.open_array(Path(out) / level, mode="r")[:]


def vector_of(**changes):
    """Facts of a model that gives a vector of ten."""
    told = {"output_layout": "NC", "out_channels": 10, "verdict": "dependent", "channels": 3}
    return model_of(**{"multiple": 4, "reach": None, **told, **changes})


@pytest.mark.parametrize(
    ("tile", "stride"),
    [(32, None), (32, 16), ((32, 48), (20, 11)), (16, 40), (64, 7), (256, None), ((204, 160), 1)],
    ids=["apart", "half", "uneven", "gaps", "dense", "larger than the image", "one"],
)
def test_run_and_predict_equal_brute_force(tmp_path, model, image, pixels, tile, stride):
    cut = Cut(tile=tile, stride=stride, block=(64, 96))
    result = tilewise.run(image, model, tmp_path / "o.zarr", cut=cut, pixels=CYX)
    assert result.state == "done"
    each = (tile, tile) if isinstance(tile, int) else tile
    steps = each if stride is None else (stride, stride) if isinstance(stride, int) else stride
    (expected,) = infer_each(model.prepared(), pixels.astype(np.float32), each, steps)
    np.testing.assert_array_equal(read(tmp_path / "o.zarr"), expected)
    lazy = tilewise.predict(da.from_array(pixels, chunks=(3, 70, 41)), model, cut=cut, pixels=CYX)
    assert lazy.shape == expected.shape
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), expected)


@settings(max_examples=40)
@given(data=st.data())
def test_any_size_tile_and_stride(model, data):
    """The block alone, over random sizes: what is written covers every tile once."""
    size = tuple(data.draw(st.integers(1, 60)) for _ in range(2))
    tile = tuple(4 * data.draw(st.integers(1, 10)) for _ in range(2))
    stride = tuple(data.draw(st.integers(1, 50)) for _ in range(2))
    pad = data.draw(st.sampled_from(["reflect", "edge", "constant"]))
    block, batch = data.draw(st.integers(1, 80)), data.draw(st.integers(1, 3))
    cut = Cut(tile=tile, stride=stride, pad=pad, block=block, batch=batch)
    pixels = np.random.default_rng(sum(size)).normal(size=(3, *size)).astype(np.float32)
    made = decide(image_of("cyx", pixels.shape, "float32"), model.spec, Asked(cut=cut, machine=MACHINE))
    (expected,) = infer_each(model.prepared(), pixels, tile, stride, pad=pad)
    session = open_session(model.prepared(), SessionOptions())
    whole = np.full((5, *made.grid.placed_shape), np.nan, np.float32)
    for number in range(made.blocks.total):
        span = made.blocks.span(made.blocks.index(number))
        box = source_box(span.window, size, pad)
        shown = show(pixels[(slice(None), *box.slices)], box, span.window, made.recipe)
        (whole[(slice(None), *span.placed.slices)],) = process(
            shown, span, made.recipe, statistics=None, infer=lambda batch: session.run({"image": batch})
        )
    np.testing.assert_array_equal(whole, expected)


@settings(max_examples=60)
@given(data=st.data())
def test_any_channels_and_outputs(data):
    """Every output of every tile comes from the pixels of that tile, whatever is cut, batched and gathered."""
    ndim = data.draw(st.integers(2, 3))
    size, tile, stride = (tuple(data.draw(st.integers(1, n)) for _ in range(ndim)) for n in (20, 9, 12))
    channels, given_ = data.draw(st.integers(1, 3)), data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    weights = [np.random.default_rng(k).integers(-9, 9, (n, channels, *tile)) for k, n in enumerate(given_)]
    ports = tuple(replace(vector_of().written[0], name=f"y{k}", out_channels=n) for k, n in enumerate(given_))
    model = vector_of(ndim=ndim, channels=channels, multiple=1, ports=ports, output_name="y0", out_channels=given_[0])
    batch = data.draw(st.integers(1, 3))
    cut = Cut(tile=tile, stride=stride, block=data.draw(st.integers(1, 30)), batch=batch)
    pixels = np.random.default_rng(0).integers(0, 99, (channels, *size)).astype(np.uint8)
    image = image_of("c" + "zyx"[-ndim:], pixels.shape)
    made = decide(image, model, Asked(cut=cut, machine=MACHINE))

    def infer(tiles):
        assert tiles.shape == (batch, channels, *tile)
        return [(tiles.reshape(batch, -1) @ w.reshape(len(w), -1).T).astype(np.float32) for w in weights]

    counts = tuple(max(1, math.ceil((n - t) / s) + 1) for n, t, s in zip(size, tile, stride, strict=True))
    found = [np.full((n, *counts), np.nan, np.float32) for n in given_]
    for number in range(made.blocks.total):
        span = made.blocks.span(made.blocks.index(number))
        box = source_box(span.window, size, "reflect")
        shown = show(pixels[(slice(None), *box.slices)], box, span.window, made.recipe)
        for whole, part in zip(found, process(shown, span, made.recipe, statistics=None, infer=infer), strict=True):
            whole[(slice(None), *span.placed.slices)] = part
    ends = [(c - 1) * s + t for c, t, s in zip(counts, tile, stride, strict=True)]
    padded = np.pad(pixels, [(0, 0)] + [(0, max(0, e - n)) for n, e in zip(size, ends, strict=True)], mode="reflect")
    for place in np.ndindex(*counts):
        seen = padded[(slice(None), *(slice(k * s, k * s + t) for k, s, t in zip(place, stride, tile, strict=True)))]
        for whole, w in zip(found, weights, strict=True):
            assert whole[(slice(None), *place)].tolist() == (w * seen).sum(tuple(range(1, ndim + 2))).tolist()


def test_labels_and_softmax_of_a_classifier(tmp_path, model, image, pixels):
    (raw,) = infer_each(model.prepared(), pixels.astype(np.float32), (32, 32), (32, 32))
    cut = Cut(tile=32)
    asked = {"cut": cut, "pixels": CYX}
    tilewise.run(image, model, tmp_path / "labels", results=Results(output="labels"), **asked)
    np.testing.assert_array_equal(read(tmp_path / "labels"), raw.argmax(0))
    tilewise.run(image, model, tmp_path / "scores", results=Results(activation="softmax"), **asked)
    wide = np.exp(raw.astype(np.float64) - raw.max(0))
    np.testing.assert_allclose(read(tmp_path / "scores"), wide / wide.sum(0), atol=1e-6)


def test_a_pixel_of_the_output_lies_in_the_middle_of_its_tile(tmp_path, model):
    stored = write_image(
        tmp_path / "image.zarr", make_pixels((3, 100, 90)), "cyx", scale=(1.0, 0.5, 0.25), translation=(0, 10, 20)
    )
    tilewise.run(stored, model, tmp_path / "o.zarr", cut=Cut(tile=(32, 16), stride=(8, 20)))
    attributes = json.loads((tmp_path / "o.zarr" / "zarr.json").read_text())["attributes"]
    given = attributes["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert given[0]["scale"] == [1.0, 8 * 0.5, 20 * 0.25]
    assert given[1]["translation"] == [0.0, 10 + 31 / 2 * 0.5, 20 + 15 / 2 * 0.25]
    stored = zarr.open_array(tmp_path / "o.zarr" / "0", mode="r")
    assert stored.shape == (5, 10, 5)
    # one chunk a block: a chunk of one number each would drown the store
    assert stored.chunks == stored.shards


def test_planes_of_a_stack_are_classified_one_by_one(tmp_path, model):
    pixels = make_pixels((3, 2, 70, 40))
    stored = write_array(tmp_path / "image.zarr", pixels)
    tilewise.run(stored, model, tmp_path / "o.zarr", cut=Cut(tile=32), pixels=Pixels(axes="czyx"))
    for z in range(2):
        (expected,) = infer_each(model.prepared(), pixels[:, z].astype(np.float32), (32, 32), (32, 32))
        np.testing.assert_array_equal(read(tmp_path / "o.zarr")[:, z], expected)


def test_a_declared_size_is_the_tile(tmp_path):
    model = Model(save(classifier(sizes=(32, 40)), tmp_path))
    made = decide(image_of("cyx", (3, 100, 100)), model.spec, Asked(machine=MACHINE))
    assert made.tile == (32, 40)
    assert made.grid.placed_shape == (4, 3)
    settings_ = made.to_json()["settings"]
    assert settings_["stride"] == {"value": [32, 40], "from": "default"}


def test_a_size_that_nothing_tells_is_a_guess_and_said():
    made = decide(image_of("cyx", (3, 1000, 90)), vector_of(), Asked(machine=MACHINE))
    assert made.tile == (256, 92)
    assert any("[256, 92] is a guess: --tile" in note for note in made.notes)
    assert any("padded from 1000 to 1024" in note for note in made.notes)
    assert not any("tiles may differ" in note for note in made.notes)


def test_thousands_of_numbers_a_tile_need_no_memory_a_pixel():
    few, many = (
        decide(image_of("cyx", (3, 5000, 5000)), vector_of(out_channels=n), Asked(machine=MACHINE)).memory.tiles
        for n in (1, 4000)
    )
    assert few == many


@pytest.mark.parametrize(
    ("cut", "got"),
    [
        (Cut(halo=8), "--halo 8 with a model that gives one vector"),
        (Cut(halo=(8, 0)), "--halo 8,0 with"),
        (Cut(overlap=8), "--overlap 8 with"),
        (Cut(stride=(1, 2, 3)), "--stride 1,2,3"),
        (Cut(tile=30), "--tile 30,30"),
    ],
)
def test_a_cut_that_vectors_cannot_have(cut, got):
    with pytest.raises(SettingError) as refused:
        decide(image_of("cyx", (3, 500, 500)), vector_of(), Asked(cut=cut, machine=MACHINE))
    assert got in refused.value.got


def test_a_stride_with_an_image_model():
    with pytest.raises(SettingError, match="--stride 16 with a model that gives an image"):
        decide(image_of("yx", (500, 500)), model_of(), Asked(cut=Cut(stride=16), machine=MACHINE))
    with pytest.raises(SettingError, match="--stride 0"):
        Cut(stride=0)


def test_images_and_vectors_together():
    image = model_of().written[0]
    both = (image, Port("class", "NC", 10, *[getattr(image, n) for n in Port.__slots__[3:]]))
    with pytest.raises(ModelError) as refused:
        decide(image_of("yx", (500, 500)), model_of(ports=both), Asked(machine=MACHINE))
    assert "images (y) and of vectors (class)" in refused.value.got
    assert "--output-name y" in refused.value.do


def test_another_stride_does_not_resume(tmp_path, model, image):
    asked = {"pixels": CYX}
    tilewise.run(image, model, tmp_path / "o", cut=Cut(tile=32, stride=16), **asked)
    assert tilewise.run(image, model, tmp_path / "o", cut=Cut(stride=16), **asked).executions > 0
    with pytest.raises(OutputError, match=r"stride: \[16, 16\] -> \[32, 32\]"):
        tilewise.run(image, model, tmp_path / "o", cut=Cut(tile=32), **asked)


def test_volumes_give_a_volume_of_vectors(tmp_path):
    net = Net(3)

    def make(x):
        x = net.relu(net.conv(x, 4, stride=2, pads=1))
        return net.node("Flatten", [net.node("GlobalMaxPool", [x])])

    model = Model(save(wrap(net, make, layout="NCDHW"), tmp_path))
    pixels = make_pixels((20, 33, 41))
    stored = write_array(tmp_path / "image.zarr", pixels)
    tilewise.run(stored, model, tmp_path / "o.zarr", cut=Cut(tile=16, stride=(16, 8, 12)))
    (expected,) = infer_each(model.prepared(), pixels[np.newaxis].astype(np.float32), (16, 16, 16), (16, 8, 12))
    np.testing.assert_array_equal(read(tmp_path / "o.zarr"), expected)


@pytest.mark.data
@pytest.mark.parametrize(("name", "tile", "stride"), [("mesonet", None, 100), ("mesonet", 256, None)])
def test_a_real_classifier_over_a_real_slide(tmp_path, data, name, tile, stride):
    """Keras' layout, RGB 0..1, over 700 x 900 pixels of a slide."""
    tifffile = pytest.importorskip("tifffile")
    model = Model(data / "models" / f"{name}.onnx")
    slide = data / "images" / "CMU-1-Small-Region.svs"
    how = Normalization(kind="fixed", mean=(0.0,), std=(255.0,))
    region = (("y", 300, 1000), ("x", 200, 1100))
    cut = Cut(tile=tile or "auto", stride=stride)
    tilewise.run(slide, model, tmp_path / "o.zarr", cut=cut, pixels=Pixels(region=region, normalization=how))
    seen = tifffile.imread(slide)[300:1000, 200:1100].transpose(2, 0, 1)
    ready = (seen.astype(np.float64) / 255).astype(np.float32)
    step = stride or 256
    (expected,) = infer_each(model.prepared(), ready, (256, 256), (step, step), layout="NHWC")
    assert expected.shape[1:] == ((6, 8) if stride else (3, 4))
    np.testing.assert_array_equal(read(tmp_path / "o.zarr"), expected)


@pytest.mark.data
def test_digits_found_on_a_real_plane(tmp_path, data):
    """A size and a batch of one, fixed in the file; grey 0..255."""
    model = Model(data / "models" / "mnist_cntk.onnx")
    image = data / "images" / "ome-zarr" / "xy_8bit__nuclei_PLK1_control.ome.zarr"
    tilewise.run(image, model, tmp_path / "o.zarr", cut=Cut(stride=14), results=Results(output="labels"))
    pixels = zarr.open_array(image / "0", mode="r")[0, 0, 0]
    (expected,) = infer_each(model.prepared(), pixels[np.newaxis].astype(np.float32), (28, 28), (14, 14))
    assert expected.shape == (10, 48, 48)
    np.testing.assert_array_equal(read(tmp_path / "o.zarr")[0, 0], expected.argmax(0))
