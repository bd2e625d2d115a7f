"""Where results go: several outputs of a model, and outputs of another scale, against the model on the whole image."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from onnx import helper

import tilewise
from images import make_pixels, write_array, write_image
from networks import Net, save
from oracle import infer_all, infer_each
from tilewise import Behaviour, Cut, Graph, Model, Pixels, Results
from tilewise.errors import OutputError, SettingError
from tilewise.session import Session

SIZE = (101, 143)


def outputs_model(net, make, **more):
    """A model whose outputs are several channels-first tensors."""
    net.channels["image"] = 1
    made = make(net, "image")
    return net.model([("image", "float32", ["n", 1, "h", "w"])], made, **more)


def many(net, x):
    """The size of the image, its half, its quarter and its double: one trunk."""
    full = net.relu(net.conv(x, 4))
    half = net.relu(net.conv(full, 6, stride=2, pads=1))
    quarter = net.pool(half)
    double = net.conv(net.resize(full), 1)
    names = []
    for name, tensor in (("seg/mask:0", net.conv(full, 3, 1)), ("half", half), ("4", quarter), ("Half", double)):
        net.nodes.append(helper.make_node("Identity", [tensor], [name]))
        names.append(name)
    return names


SCALES = {"seg/mask:0": Fraction(1), "half": Fraction(1, 2), "4": Fraction(1, 4), "Half": Fraction(2)}
FOLDERS = {"seg/mask:0": "seg_mask_0", "half": "half", "4": "_4", "Half": "Half-2"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("placement")


@pytest.fixture(scope="module")
def path(folder):
    return save(outputs_model(Net(2), many), folder, "many")


@pytest.fixture(scope="module")
def model(path):
    return Model(path)


@pytest.fixture(scope="module")
def pixels():
    return make_pixels(SIZE, "uint8")


@pytest.fixture(scope="module")
def image(folder, pixels):
    return write_image(folder / "image.zarr", pixels, "yx", scale=(0.5, 0.25), translation=(7, 9))


@pytest.fixture(scope="module")
def untiled(model, pixels):
    whole = pixels[np.newaxis].astype(np.float32)
    return infer_all(model.prepared(), whole, model.spec.multiple, SCALES)


def read(out, level="0"):
    return zarr.open_array(Path(out) / level, mode="r")[:]


def transforms(group):
    attributes = json.loads((Path(group) / "zarr.json").read_text())["attributes"]
    return attributes["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]


@pytest.mark.parametrize("cut", [Cut(tile=48, halo="exact", block=64), Cut()], ids=["tiles", "auto"])
def test_all_outputs_of_a_model_are_written_in_one_pass(tmp_path, model, image, untiled, cut):
    result = tilewise.run(image, model, tmp_path / "o.zarr", cut=cut)
    assert (result.state, result.executions) == ("done", result.blocks)
    for name, expected in untiled.items():
        group = tmp_path / "o.zarr" / FOLDERS[name]
        np.testing.assert_array_equal(read(group), expected)
        q = float(SCALES[name])
        assert transforms(group)[0]["scale"] == [1.0, 0.5 / q, 0.25 / q]
        shift = (1 / q - 1) / 2
        assert transforms(group)[1]["translation"] == [0.0, 7 + shift * 0.5, 9 + shift * 0.25]
    assert not (tmp_path / "o.zarr" / "0").exists()
    assert tilewise.status(str(tmp_path / "o.zarr")) == result


def test_the_lazy_face_gives_them_by_name(model, pixels, untiled):
    cut = Cut(tile=48, halo="exact", block=64)
    found = tilewise.predict(da.from_array(pixels, chunks=(40, 50)), model, cut=cut)
    assert list(found) == list(SCALES)
    made = dict(zip(found, dask.compute(*found.values(), scheduler="sync"), strict=True))
    for name, expected in untiled.items():
        assert found[name].shape == expected.shape
        np.testing.assert_array_equal(made[name], expected)
        np.testing.assert_array_equal(found[name].compute(scheduler="sync"), expected)
    named = tilewise.predict(xr.DataArray(pixels, dims=("y", "x"), coords={"y": range(SIZE[0])}), model, cut=cut)
    assert named["half"].dims == ("c", "y", "x")
    assert "y" in named["seg/mask:0"].coords
    np.testing.assert_array_equal(named["half"].y, 0.5 + 2 * np.arange(51))


def test_together_the_model_runs_once(model, pixels, monkeypatch):
    counted = []
    run = Session.run

    def count(self, feeds, outputs=None, **more):
        counted.append(tuple(outputs))
        return run(self, feeds, outputs, **more)

    found = tilewise.predict(da.from_array(pixels), model, cut=Cut(tile=48, halo="exact", block=48))
    monkeypatch.setattr(Session, "run", count)
    found["half"].compute(scheduler="sync")
    alone = len(counted)
    counted.clear()
    dask.compute(*found.values(), scheduler="sync")
    assert counted == [tuple(SCALES)] * alone


def test_one_output_is_picked(tmp_path, path, image, pixels):
    chosen = Model(path, Graph(output_name="half"))
    # it alone needs no grid of 4, so another far edge is padded
    whole = pixels[np.newaxis].astype(np.float32)
    expected = infer_all(chosen.prepared(), whole, 2, {"half": Fraction(1, 2)})["half"]
    tilewise.run(image, chosen, tmp_path / "o.zarr")
    np.testing.assert_array_equal(read(tmp_path / "o.zarr"), expected)
    with pytest.raises(OutputError, match=r"output_name: half -> seg/mask:0; half; 4; Half"):
        tilewise.run(image, path, tmp_path / "o.zarr")
    # and the other way, replaced: nothing of the one output is left beside the others
    tilewise.run(image, path, tmp_path / "o.zarr", behaviour=Behaviour(overwrite=True))
    left = {entry.name for entry in (tmp_path / "o.zarr").iterdir()}
    assert left == {"tilewise", "zarr.json", *FOLDERS.values()}
    tilewise.run(image, path, tmp_path / "o.zarr", graph=Graph(output_name="half"), behaviour=Behaviour(overwrite=True))
    assert {entry.name for entry in (tmp_path / "o.zarr").iterdir()} >= {"tilewise", "zarr.json", "0"}
    assert not (tmp_path / "o.zarr" / "half").exists()


def test_labels_of_each(tmp_path, model, image, untiled):
    tilewise.run(image, model, tmp_path / "o.zarr", results=Results(output="labels"))
    np.testing.assert_array_equal(read(tmp_path / "o.zarr" / "seg_mask_0"), untiled["seg/mask:0"].argmax(0))
    np.testing.assert_array_equal(read(tmp_path / "o.zarr" / "Half-2"), untiled["Half"][0] >= 0.5)


def test_what_one_of_them_cannot_have_is_refused_with_its_name(image, model):
    with pytest.raises(SettingError) as refused:
        tilewise.plan(image, model, results=Results(activation="softmax"))
    assert "the output 'Half', of one channel" in refused.value.got
    assert "--output-name" in refused.value.do


def test_the_plan_tells_all(image, model, untiled):
    made = tilewise.plan(image, model)
    told = made.to_json()["outputs"]
    assert [entry["name"] for entry in told] == list(SCALES)
    assert [entry["path"] for entry in told] == [f"{name}/0" for name in FOLDERS.values()]
    assert [entry["shape"] for entry in told] == [list(untiled[name].shape) for name in SCALES]
    assert made.to_json()["bytes_written"] == sum(array.nbytes for array in untiled.values())
    for name in SCALES:
        assert f"output   {name}: " in repr(made)


def test_a_stopped_run_goes_on_with_all(tmp_path, model, image, untiled):
    cut = Cut(tile=48, halo="exact", block=64)
    out = tmp_path / "o.zarr"
    tilewise.run(image, model, out, cut=cut)
    before = {p: p.read_bytes() for p in out.rglob("c/*/*/*") if p.is_file()}
    assert len(before) > len(SCALES)
    # as if it had been killed before any block was marked, one of the arrays not even set up
    state = out / "tilewise" / "state"
    for chunk in (state / "c").rglob("*"):
        if chunk.is_file():
            chunk.unlink()
    for p in (out / "half").rglob("*"):
        if p.is_file():
            p.unlink()
    assert tilewise.run(image, model, out, cut=cut).state == "done"
    assert {p: p.read_bytes() for p in out.rglob("c/*/*/*") if p.is_file()} == before


def test_several_vectors(tmp_path, pixels, image):
    def make(net, x):
        x = net.relu(net.conv(x, 8, stride=2, pads=1))
        embedding = net.node("Flatten", [net.node("GlobalAveragePool", [x])])
        logits = net.node("Gemm", [embedding, net.constant(net.weights(8, 3))])
        return [embedding, logits]

    net = Net(2)
    model = Model(save(outputs_model(net, make), tmp_path))
    tilewise.run(image, model, tmp_path / "o.zarr", cut=Cut(tile=32, stride=20))
    expected = infer_each(model.prepared(), pixels[np.newaxis].astype(np.float32), (32, 32), (20, 20))
    assert [array.shape[0] for array in expected] == [8, 3]
    for port, array in zip(model.spec.written, expected, strict=True):
        np.testing.assert_array_equal(read(tmp_path / "o.zarr" / port.name), array)
    raw = write_array(tmp_path / "float.zarr", pixels.astype(np.float32))
    found = tilewise.predict(da.from_zarr(str(raw)), model, cut=Cut(tile=32, stride=20), pixels=Pixels(axes="yx"))
    np.testing.assert_array_equal(next(iter(found.values())).compute(scheduler="sync"), expected[0])


def test_a_vector_beside_an_image_is_left_out_and_said(tmp_path, image):
    def make(net, x):
        x = net.relu(net.conv(x, 4))
        return [net.conv(x, 1), net.node("Flatten", [net.node("GlobalAveragePool", [x])])]

    path = save(outputs_model(Net(2), make), tmp_path)
    made = tilewise.plan(image, path)
    assert made.grid.placed_shape == SIZE
    (note,) = [note for note in made.notes if "is left out" in note]
    name = re.search(r"the output '(\w+)' is left out .*: --output-name", note)[1]
    chosen = tilewise.plan(image, path, cut=Cut(tile=32), graph=Graph(output_name=name))
    assert chosen.grid.placed_shape == (4, 5)
