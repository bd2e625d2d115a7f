"""Conversion: what needs no framework. Formats told by content, ONNX carried to other versions, refusals."""

from __future__ import annotations

import json
import math
import pickle
import zipfile
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
from hypothesis import given
from onnx import TensorProto, checker, helper, numpy_helper, version_converter

from images import make_pixels, write_array
from networks import Net, one_layer, save, tiny_unet
from shell import call, tree
from tilewise.convert import Wanted, convert
from tilewise.convert.comparison import difference
from tilewise.convert.kind import tell
from tilewise.convert.limits import find_limits
from tilewise.convert.opset import carry, opset_of
from tilewise.errors import ModelError
from tilewise.session import SessionOptions, open_session

NEWEST = onnx.defs.onnx_opset_version()


@pytest.fixture(scope="module")
def limits():
    return find_limits()


def newest(model):
    """As a training program of tomorrow writes it."""
    made = version_converter.convert_version(model, NEWEST)
    made.ir_version = int(onnx.IR_VERSION)
    return made


def chain(*nodes, opset, shape=("n", 2, "h", "w"), constants=()):
    """Nodes between x and y; each (kind, further inputs, attributes)."""
    names = ["x", *(f"t{i}" for i in range(1, len(nodes))), "y"]
    made = [
        helper.make_node(kind, [names[i], *more], [names[i + 1]], name=f"{kind}_{i}", **attributes)
        for i, (kind, more, attributes) in enumerate(nodes)
    ]
    ports = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape), helper.make_empty_tensor_value_info("y")]
    ports[1] = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(made, "g", ports[:1], ports[1:], list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def compute(model, x):
    session = open_session(model.SerializeToString(), SessionOptions())
    return session.run({session.inputs[0][0]: x})[0]


class Marker:
    """What a pickle may hold: code that runs when it is opened."""

    def __reduce__(self):
        return Path.touch, (Path("ran"),)


def archive(path, *names):
    with zipfile.ZipFile(path, "w") as made:
        for name in names:
            made.writestr(name, "{}")
    return path


def contents(folder):
    """Files of many formats under one misleading name, by what they are."""
    made = {
        "onnx": one_layer().SerializeToString(),
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "json": json.dumps({"class_name": "Functional", "config": {"layers": []}}).encode(),
        "pickle": pickle.dumps({"a": 1}),
    }
    for name, content in made.items():
        (folder / f"{name}.model").write_bytes(content)
    archive(folder / "keras.model", "config.json", "metadata.json", "model.weights.h5")
    archive(folder / "exported.model", "m/archive_format", "m/models/model.json")
    archive(folder / "script.model", "m/data.pkl", "m/code/__torch__.py", "m/constants.pkl")
    (folder / "savedmodel.model").mkdir()
    (folder / "savedmodel.model/saved_model.pb").write_bytes(b"\x08\x01")


def test_formats_are_told_by_content(tmp_path):
    contents(tmp_path)
    found = {path.stem: tell(path).name for path in tmp_path.glob("*.model")}
    assert set(found) == {"onnx", "hdf5", "json", "pickle", "keras", "exported", "script", "savedmodel"}
    assert all(name == told for name, told in found.items())
    archive(tmp_path / "zipped.pt", "m/data.pkl", "m/version")
    assert tell(tmp_path / "zipped.pt").name == "pickle"


@pytest.mark.parametrize("opset", [26, 17, 13, 11])
def test_a_model_of_tomorrow_is_carried_back(tmp_path, limits, opset):
    old = tiny_unet()
    source = save(newest(old), tmp_path, "new")
    made = convert(source, tmp_path / "out.onnx", Wanted(opset=opset), inspect=False)
    model = onnx.load(tmp_path / "out.onnx")
    checker.check_model(model, full_check=True)
    assert (made.opset, made.ir) == (opset, model.ir_version)
    assert opset_of(model) == opset
    assert model.ir_version <= helper.find_min_ir_version_for(model.opset_import)
    x = np.random.default_rng(0).standard_normal((1, 1, 64, 48)).astype("float32")
    np.testing.assert_allclose(compute(model, x), compute(old, x), atol=1e-6)
    assert made.compared.difference <= 1e-6


def test_without_a_wish_only_what_the_runtime_does_not_take_is_changed(tmp_path, limits):
    same = convert(save(tiny_unet(), tmp_path, "old"), tmp_path / "same.onnx", inspect=False)
    assert (same.opset, same.ir) == (opset_of(tiny_unet()), tiny_unet().ir_version)
    made = convert(save(newest(tiny_unet()), tmp_path, "new"), tmp_path / "out.onnx", inspect=False)
    assert made.opset == min(limits.opset, NEWEST)
    assert made.ir <= limits.ir
    open_session(tmp_path / "out.onnx", SessionOptions())


def test_what_the_runtime_refuses_is_cured(tmp_path, limits):
    if (limits.opset, limits.ir) >= (NEWEST, onnx.IR_VERSION):
        pytest.skip("the installed runtime takes all that the installed onnx writes")
    save(newest(tiny_unet()), tmp_path, "new")
    write_array(tmp_path / "image.zarr", make_pixels((90, 80)))
    refused = call("run", tmp_path / "image.zarr", tmp_path / "new.onnx", tmp_path / "out")
    assert refused.code == 2
    assert not (tmp_path / "out").exists()
    assert "too new for onnxruntime" in refused.err
    assert "tilewise convert" in refused.err
    cured = call("convert", tmp_path / "new.onnx", tmp_path / "old.onnx", "--json")
    assert cured.code == 0, cured.err
    assert cured.json["model"]["verdict"] == "exact"
    assert cured.json["compared"] in {"the same operators", "onnx's reference evaluator", "onnxruntime"}
    done = call("run", tmp_path / "image.zarr", tmp_path / "old.onnx", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    assert done.json["state"] == "done"


def test_more_than_numbers_changes_where_operators_did(limits):
    # until 12 the axis of Softmax was 1 if not given, and the axes of ReduceMean stood in an attribute until 17
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    model = chain(("Softmax", (), {}), ("ReduceMean", ("axes",), {}), opset=20, constants=[axes])
    x = np.random.default_rng(0).standard_normal((2, 2, 5, 4)).astype("float32")
    old = carry(model, 11)
    checker.check_model(old)
    assert opset_of(old) == 11
    np.testing.assert_allclose(compute(old, x), compute(model, x), atol=1e-6)


def test_an_operator_that_meant_something_else_is_named():
    model = chain(("Softmax", (), {"axis": 1}), opset=17)
    assert opset_of(carry(model, 13)) == 13
    with pytest.raises(ModelError, match="operator Softmax of node 'Softmax_0' over axis 1") as caught:
        carry(model, 12)
    assert "--opset 13" in caught.value.do


def test_an_operator_that_did_not_exist_is_named():
    model = chain(("Relu", (), {}), ("Gelu", (), {}), opset=20)
    assert opset_of(carry(model, 20)) == 20
    with pytest.raises(ModelError, match="operator Gelu of node 'Gelu_1' does not exist in opset 19") as caught:
        carry(model, 13)
    assert "--opset 20" in caught.value.do


def test_weights_and_what_the_file_says_of_itself_survive(tmp_path):
    net = Net()
    net.channels["x"] = 8
    model = net.model([("x", "float32", ("n", 8, "h", "w"))], [net.conv("x", 64)])
    assert max(math.prod(t.dims) for t in model.graph.initializer) > 1024
    entry = model.metadata_props.add()
    entry.key, entry.value = "tilewise", "{}"
    model.producer_name = "me"
    before = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    made = carry(model, 11)
    after = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    assert all((before[name] == after[name]).all() for name in before)
    assert [value.name for value in made.graph.input] == ["x"]
    assert (made.producer_name, made.metadata_props[0].key) == ("me", "tilewise")


def test_weights_in_a_file_of_their_own_stay_so(tmp_path):
    net = Net()
    net.channels["x"] = 8
    model = net.model([("x", "float32", ("n", 8, "h", "w"))], [net.conv("x", 64)])
    (tmp_path / "in").mkdir()
    x = np.random.default_rng(0).standard_normal((1, 8, 32, 32)).astype("float32")
    expected = compute(model, x)
    onnx.save_model(
        model, tmp_path / "in/big.onnx", save_as_external_data=True, location="big.bin", size_threshold=1024
    )
    made = convert(tmp_path / "in/big.onnx", tmp_path / "small.onnx", Wanted(opset=13), inspect=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "small.onnx", "small.onnx.data"]
    assert made.size == sum((tmp_path / name).stat().st_size for name in ("small.onnx", "small.onnx.data"))
    session = open_session(tmp_path / "small.onnx", SessionOptions())
    np.testing.assert_allclose(session.run({"x": x})[0], expected, atol=1e-6)
    again = convert(save(one_layer(), tmp_path / "in", "one"), tmp_path / "small.onnx", Wanted(overwrite=True))
    assert again.model is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "small.onnx"]


def test_the_command_says_what_it_made(tmp_path):
    source = save(one_layer(), tmp_path, "one")
    said = call("convert", source, tmp_path / "out.onnx", "--opset", "13")
    assert said.code == 0
    assert "from ONNX, opset 13, IR 7" in said.out
    assert "difference 0 of the range (at most 0.0001), against onnxruntime" in said.out
    assert "inspected: exact, NCHW, multiple [1, 1]" in said.out
    assert said.err.splitlines()[0] == "tilewise: opening one.onnx"
    as_json = call("convert", source, tmp_path / "two.onnx", "--json", "--quiet", "--no-inspect")
    assert as_json.err == ""
    told = as_json.json
    assert told["sha256"] == __import__("hashlib").sha256((tmp_path / "two.onnx").read_bytes()).hexdigest()
    assert {"source", "format", "opset", "ir", "inputs", "difference", "sha256", "versions"} <= set(told)
    assert told["model"] is None


def test_the_contract_is_written_on_the_way(tmp_path):
    source, out = save(one_layer(), tmp_path, "one"), tmp_path / "out.onnx"
    terms = ("--set", "normalize=standardize", "--set", "activation=sigmoid")
    assert call("convert", source, out, *terms, "--no-inspect").code == 0
    told = call("contract", out, "--json").json["contract"]
    assert (told["normalize"]["value"], told["activation"]["value"]) == ("standardize", "sigmoid")
    again = tmp_path / "again.onnx"
    assert call("convert", out, again, "--opset", "13", "--set", "threshold=0.7", "--no-inspect").code == 0
    told = call("contract", again, "--json").json["contract"]
    assert (told["normalize"]["value"], told["threshold"]["value"]) == ("standardize", 0.7)


def test_a_model_that_inspect_refuses_is_converted_all_the_same(tmp_path):
    model = chain(("ReduceSum", (), {"keepdims": 0}), opset=13)
    made = convert(save(model, tmp_path, "sum"), tmp_path / "out.onnx")
    assert made.model is None
    assert made.note in str(made)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted")
    bad_sources(folder)
    return folder


def bad_sources(folder):
    save(one_layer(), folder, "one")
    save(chain(("Relu", (), {}), ("Gelu", (), {}), opset=20), folder, "gelu")
    (folder / "empty.keras").write_bytes(b"")
    (folder / "garbage.bin").write_bytes(b"no model at all" * 9)
    (folder / "garbage.onnx").write_bytes(b"\x08no model at all" * 9)
    (folder / "frozen.pb").write_bytes(b"\x0a\x10" + bytes(40))
    (folder / "lite.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(40))
    (folder / "page.h5").write_bytes(b"<!DOCTYPE html><html></html>")
    (folder / "pointer.pt").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (folder / "weights.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    (folder / "notes.json").write_text('{"a": 1}')
    (folder / "model.json").write_text('{"class_name": "Model", "config": {"layers": []}}')
    (folder / "broken.keras").write_bytes(b"PK\x03\x04 and nothing more")
    archive(folder / "photos.zip", "a.jpg")
    (folder / "folder").mkdir()
    (folder / "pickle.pt").write_bytes(pickle.dumps(Marker()))
    weights = b"\x80\x02ccollections\nOrderedDict\nctorch._utils\n_rebuild_tensor_v2\n."
    with zipfile.ZipFile(folder / "state.pth", "w") as made:
        made.writestr("state/data.pkl", weights)
    far = one_layer()
    far.opset_import[0].version = NEWEST + 9
    save(far, folder, "far")


@pytest.fixture
def refused(place, monkeypatch):
    """Calls convert as text and as JSON, and makes sure that nothing was written anywhere."""
    monkeypatch.chdir(place)
    scratch = place.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", None)

    def refuse(*words):
        before = tree(place)
        plain, as_json = call("convert", *words, "--quiet"), call("convert", *words, "--json", "--quiet")
        assert tree(place) == before, "something was written"
        assert list(scratch.iterdir()) == []
        assert (plain.code, plain.out) == (2, "")
        assert plain.err.startswith("tilewise: ")
        assert plain.err.count("\n") == 1, plain.err
        assert as_json.code == 2
        return SimpleNamespace(**as_json.json["error"])

    return refuse


@pytest.mark.parametrize(
    ("source", "got", "do"),
    [
        ("absent.keras", "absent.keras does not exist", "Check the path"),
        ("folder", "a folder without a saved_model.pb", "Check the path"),
        ("empty.keras", "is empty", "Export or download"),
        ("garbage.bin", "no format that is known", "Export it as"),
        ("garbage.onnx", "is no ONNX model", "Export or download"),
        ("frozen.pb", "a frozen TensorFlow graph", "SavedModel folder"),
        ("lite.tflite", "TensorFlow Lite", "it was made from"),
        ("page.h5", "a web page", "Download the model itself"),
        ("pointer.pt", "a pointer of Git LFS", "Download the model itself"),
        ("weights.safetensors", "weights alone (safetensors)", "torch.export"),
        ("notes.json", "no Keras architecture", "model.to_json()"),
        ("model.json", "an architecture without weights", "--weights FILE.h5"),
        ("broken.keras", "a damaged zip archive", "Download it again"),
        ("photos.zip", "a zip archive that holds no model", "Unpack it"),
        ("pickle.pt", "runs whatever code it holds", "--trust"),
        ("state.pth", "weights alone (a state dict)", "torch.export.save"),
        ("far.onnx", "newer than the installed onnx", "pip install --upgrade onnx"),
    ],
)
def test_a_source_that_cannot_be_converted(refused, place, source, got, do):
    error = refused(source, "out.onnx")
    assert got in error.got
    assert do in error.do
    assert not (place / "ran").exists()


@pytest.mark.parametrize(
    ("words", "got", "do"),
    [
        ("one.onnx one.onnx", "is the source", "Choose another"),
        ("one.onnx gelu.onnx", "gelu.onnx exists", "--overwrite"),
        ("one.onnx folder", "output folder", "folder.onnx"),
        ("one.onnx out.keras", "output out.keras", "out.onnx"),
        ("one.onnx absent/out.onnx", "folder absent does not exist", "mkdir -p absent"),
        ("one.onnx out.onnx --opset 3", "--opset 3", "Leave --opset away"),
        (f"one.onnx out.onnx --opset {NEWEST + 9}", f"--opset {NEWEST + 9}", "Leave --opset away"),
        ("one.onnx out.onnx --ir 2", "--ir 2", "Leave --ir away"),
        ("one.onnx out.onnx --ir 99", "--ir 99", "Leave --ir away"),
        ("one.onnx out.onnx --tolerance -1", "--tolerance -1", "1e-4"),
        ("one.onnx out.onnx --tolerance nan", "--tolerance nan", "1e-4"),
        ("one.onnx out.onnx --shape 1,x", "--shape 1,x", "--shape"),
        ("one.onnx out.onnx --shape 0,1,8,8", "--shape 0,1,8,8", "1,3,256,256"),
        ("one.onnx out.onnx --weights page.h5", "a model with its own weights", "Leave --weights away"),
        ("one.onnx out.onnx --set nonsense=1", "--set nonsense", "Correct the key"),
        ("one.onnx out.onnx --set normalize=fixed", "without its numbers", "--std"),
        ("model.json out.onnx --weights absent.h5", "absent.h5 does not exist", "Check the path"),
        ("gelu.onnx out.onnx --opset 17", "operator Gelu of node 'Gelu_1'", "--opset 20 or newer"),
    ],
)
def test_a_request_that_cannot_be_met(refused, words, got, do):
    error = refused(*words.split())
    assert got in error.got
    assert do in error.do


@pytest.mark.parametrize(
    ("name", "library", "extra"), [("keras", "tf2onnx", "keras"), ("script", "onnxscript", "torch")]
)
def test_a_missing_library_comes_with_its_extra(refused, place, name, library, extra):
    if find_spec(library):
        pytest.skip(f"{library} is installed")
    if not (place / f"{name}.model").exists():
        contents(place)
    error = refused(f"{name}.model", "out.onnx")
    assert library in error.got
    assert error.do == f"Run: pip install 'tilewise[{extra}]'."


def test_a_result_that_differs_is_refused(tmp_path, monkeypatch):
    from tilewise.convert import work
    from tilewise.convert.original import Original

    model = one_layer()
    other = Original(model, lambda values: [values[0] * 3], "another", {})
    with pytest.raises(ModelError, match="differs from the original by") as caught:
        work._compared(other, model, 1e-4)
    assert "--tolerance" in caught.value.do
    assert work._compared(other, model, 99.0)[1].by == "another"


def test_lengths_that_are_not_free_are_declared_so(tmp_path):
    from tilewise.convert import work
    from tilewise.convert.original import Original

    model = one_layer()

    def only(values):
        if values[0].shape[2:] != (40, 40):
            raise ValueError("not this size")
        return [compute(model, values[0])]

    pinned, compared = work._compared(Original(model, only, "it", {}, shape=(1, 1, 40, 40), pinned=True), model, 1e-4)
    assert compared.shapes == ((1, 1, 40, 40),)
    assert [dim.dim_value for dim in pinned.graph.input[0].type.tensor_type.shape.dim] == [1, 1, 40, 40]
    with pytest.raises(ModelError, match="none of the sizes that were tried"):
        work._compared(Original(model, only, "it", {}), model, 1e-4)


@given(st.integers(1, 5), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_the_difference_is_a_part_of_the_range(n, shift, scale):
    a = np.linspace(0, 1, n + 1) * scale + shift
    b = a.copy()
    b[0] += scale / 10
    assert difference([a], [a]) == 0
    assert difference([a], [b]) == pytest.approx(0.1, rel=1e-3)
    assert difference([a, a], [a, b]) == difference([a], [b])
    assert difference([a], [a[:-1]]) == math.inf
    assert difference([a], [a, a]) == math.inf


def test_infinities_and_nans_are_compared_too():
    a = np.array([0.0, 1.0, np.inf, np.nan])
    assert difference([a], [a.copy()]) == 0
    for index, value in ((2, 5.0), (3, 0.0), (0, np.nan), (1, np.inf)):
        b = a.copy()
        b[index] = value
        assert difference([a], [b]) == math.inf
