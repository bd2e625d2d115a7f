"""A model file from its path to its spec: cache, refusals, and the real models of the shared folder."""

import json
import re
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from networks import Net, classifier, normalized, one_layer, save, tiny_unet, valid_unet, wrap
from tilewise.child import ask, call
from tilewise.errors import ModelError
from tilewise.model import Model, prepare
from tilewise.session import SessionOptions, open_session
from tilewise.settings import Graph
from tilewise.spec import ModelSpec

MODELS = Path(__file__).parents[2] / "shared" / "data" / "models"
data = [pytest.mark.data, pytest.mark.skipif(not MODELS.exists(), reason="no shared folder")]


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(shared_cache, monkeypatch):
    monkeypatch.setenv("TILEWISE_CACHE", str(shared_cache))
    return shared_cache


def spec(model, folder, **told):
    return Model(save(model, folder), Graph(**told)).spec


def test_a_unet(tmp_path):
    found = spec(tiny_unet(3, 2), tmp_path)
    assert (found.layout, found.output_layout, found.spatial_ndim) == ("NCHW", "NCHW", 2)
    assert (found.in_channels, found.out_channels, found.dtype, found.out_dtype) == (3, 2, "float32", "float32")
    assert (found.multiple, found.before, found.after, found.halo) == ((4, 4), (11, 11), (11, 11), (12, 12))
    assert (found.fixed_size, found.fixed_batch, found.declared_size) == (None, None, None)
    assert found.verdict == "exact"
    assert "difference 0" in found.reason
    assert found.certificate.difference == 0
    assert found.certificate.onnxruntime.startswith("onnxruntime")
    assert any("NaN" in probe for probe in found.certificate.probes)


def test_inspect_has_exactly_the_keys_of_the_contract(tmp_path):
    found = Model(save(one_layer(), tmp_path)).inspect()
    keys = (
        "inputs outputs layout output_layout spatial_ndim in_channels out_channels scale multiple radius halo verdict "
        "exact reason fixed_size fixed_batch sha256 contract"
    )
    assert sorted(found) == sorted(keys.split())
    json.dumps(found)
    assert found["radius"] == found["halo"] == [1, 1]
    assert found["exact"] is True


def test_a_spec_survives_json(tmp_path):
    found = spec(one_layer(), tmp_path)
    assert ModelSpec.from_json(found.to_json()) == found
    assert hash(found) == hash(ModelSpec.from_json(found.to_json()))
    with pytest.raises(ValueError, match="no model spec"):
        ModelSpec.from_json("{}")


LAYOUTS = {
    "NCHW": (1, 3, "float32"),
    "NHWC": (3, 2, "float32"),
    "CHW": (3, 1, "float32"),
    "HWC": (3, 2, "uint8"),
    "NHW": (1, 1, "float16"),
    "HW": (1, 1, "float32"),
    "NCDHW": (2, 1, "float32"),
    "NDHWC": (3, 2, "float32"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_are_told_from_the_graph(layout, tmp_path):
    channels, out, dtype = LAYOUTS[layout]
    ndim = 3 if "D" in layout else 2
    found = spec(one_layer(channels, out, ndim=ndim, layout=layout, dtype=dtype), tmp_path)
    assert (found.layout, found.output_layout) == (layout, layout)
    assert (found.in_channels, found.out_channels, found.dtype) == (channels, out, dtype)
    assert found.radius == (1,) * ndim
    assert found.verdict == "exact"


def test_valid_convolutions_lose_pixels(tmp_path):
    found = spec(valid_unet(), tmp_path)
    assert (found.lead, found.trail, found.multiple) == ((7, 7), (7, 7), (2, 2))
    assert found.verdict == "exact"


def strided(net):
    return lambda x: net.relu(net.conv(x, 2, stride=4, kernel=5, pads=2))


def test_scales_are_fractions(tmp_path):
    net = Net()
    found = spec(wrap(net, strided(net)), tmp_path)
    assert (found.scale, found.multiple) == ((Fraction(1, 4),) * 2, (4, 4))
    assert found.inspect()["scale"] == ["1/4", "1/4"]
    net = Net()
    found = spec(wrap(net, lambda x: net.node("DepthToSpace", [net.conv(x, 9)], blocksize=3)), tmp_path)
    assert (found.scale, found.multiple) == ((3, 3), (1, 1))
    assert found.inspect()["scale"] == [3, 3]


def test_a_classifier_gives_one_vector_a_tile(tmp_path):
    found = spec(classifier(), tmp_path)
    assert (found.output_layout, found.out_channels, found.fixed_size) == ("NC", 5, None)
    assert (found.verdict, found.radius, found.multiple, found.vector) == ("exact", (0, 0), (1, 1), True)
    assert "one vector a tile" in found.reason
    found = spec(classifier(sizes=(64, 48)), tmp_path)
    assert (found.output_layout, found.fixed_size) == ("NC", (64, 48))


def test_a_normalisation_over_space_is_dependent_and_named(tmp_path):
    found = spec(normalized(), tmp_path)
    assert found.verdict == "dependent"
    assert found.reason.startswith("InstanceNormalization '")
    assert found.radius is None


def test_rounding_is_said(tmp_path):
    net = Net()
    found = spec(wrap(net, lambda x: net.node("Softplus", [net.conv(x, 1)])), tmp_path)
    assert found.verdict == "exact to rounding"
    assert "Softplus" in found.reason
    assert found.exact


def test_a_declared_size_that_the_graph_does_not_need_is_freed(tmp_path):
    found = spec(tiny_unet(sizes=(96, 64), batch=1), tmp_path)
    assert (found.declared_size, found.fixed_size, found.fixed_batch) == ((96, 64), None, None)
    assert any("declared size" in check for check in found.certificate.probes)


def test_a_size_that_the_graph_needs_is_fixed(tmp_path):
    net = Net()
    table = np.random.default_rng(0).standard_normal((1, 1, 40, 72), np.float32)
    model = wrap(net, lambda x: net.conv(net.node("Add", [x, net.constant(table)]), 1), sizes=(40, 72))
    found = spec(model, tmp_path)
    assert (found.fixed_size, found.verdict) == ((40, 72), "dependent")
    assert "position embedding" in found.reason


def test_a_reshape_of_fixed_size_is_local_within_its_size(tmp_path):
    net = Net()
    model = wrap(net, lambda x: net.conv(net.reshape(net.conv(x, 2), [-1, 2, 48, 64]), 1), sizes=(48, 64))
    found = spec(model, tmp_path)
    assert (found.fixed_size, found.radius, found.verdict) == ((48, 64), (2, 2), "exact")
    assert found.certificate.status == "shifted windows compared"


def test_a_pooling_as_large_as_the_map_gathers_the_whole_image(tmp_path):
    net = Net()

    def make(x):
        y = net.conv(x, 2)
        style = net.node("Flatten", [net.pool(y, (48, 64), stride=(48, 64), kind="AveragePool")])
        style = net.node("Gemm", [style, net.constant(net.weights(2, 2))])
        return net.add(y, net.node("Unsqueeze", [style, net.constant(np.array([2, 3]))]))

    found = spec(wrap(net, make, sizes=(48, 64), batch=1), tmp_path)
    assert (found.fixed_size, found.radius, found.verdict) == ((48, 64), None, "dependent")
    assert "Flatten" in found.reason
    assert "gathers the whole image" in found.reason


def test_a_batch_of_one_baked_in_is_found(tmp_path):
    net = Net()

    def make(x):
        size = net.node("Slice", [net.node("Shape", [x]), *[net.constant(np.array([n])) for n in (2, 4)]])
        y = net.conv(x, 2)
        shape = net.node("Concat", [net.constant(np.array([1, 2])), size], axis=0)
        return net.conv(net.node("Reshape", [y, shape], channels=2), 1)

    found = spec(wrap(net, make, batch=1), tmp_path)
    assert (found.fixed_batch, found.fixed_size, found.verdict) == (1, None, "exact")


def test_batch_mates_that_change_a_score_fix_the_batch(tmp_path):
    net = Net()

    def make(x):
        q, scale, zero = net.node("DynamicQuantizeLinear", [x], outputs=3)
        return net.conv(net.node("DequantizeLinear", [q, scale, zero]), 1)

    found = spec(wrap(net, make), tmp_path)
    assert (found.fixed_batch, found.verdict) == (1, "dependent")
    assert "DynamicQuantizeLinear" in found.reason


def two_inputs():
    net = Net()
    net.channels["image"] = 1
    y = net.node("Mul", [net.conv("image", 1), "exposure"])
    return net.model([("exposure", "float32", [1]), ("image", "float32", ["n", 1, "h", "w"])], [y])


def test_further_inputs_are_constants(tmp_path):
    path = save(two_inputs(), tmp_path)
    with pytest.raises(ModelError, match="--input exposure=VALUE"):
        _ = Model(path).spec
    with pytest.raises(ModelError, match=r"one of the model's inputs \(exposure, image\)"):
        _ = Model(path, Graph(inputs=(("gain", 1.0), ("exposure", 1.0)))).spec
    model = Model(path, Graph(inputs=(("exposure", 0.25),)))
    assert (model.spec.input_name, model.spec.constants) == ("image", (("exposure", 0.25),))
    session = open_session(model.prepared(), SessionOptions())
    assert [port[0] for port in session.inputs] == ["image"]


def test_outputs_are_chosen(tmp_path):
    net = Net()
    net.channels["image"] = 1
    boxes = net.node("NonZero", ["image"])
    mask, coarse = net.conv("image", 2), net.conv("image", 3, stride=2)
    model = net.model([("image", "float32", ["n", 1, "h", "w"])], [(boxes, "int64", None), mask, coarse])
    path = save(model, tmp_path)
    both = Model(path).spec
    assert [port.name for port in both.ports] == [mask, coarse]
    assert [port.scale for port in both.ports] == [(1, 1), (Fraction(1, 2), Fraction(1, 2))]
    assert [port.out_channels for port in both.written] == [2, 3]
    assert (both.multiple, both.radius, both.verdict) == ((2, 2), (2, 2), "exact")
    assert f"output '{boxes}' is left out: a list or table" in both.reason
    assert "NonZero" in both.reason
    assert [tensor["written"] for tensor in both.inspect()["outputs"]] == [False, True, True]
    assert ModelSpec.from_json(both.to_json()) == both
    session = open_session(Model(path).prepared(), SessionOptions())
    assert [port[0] for port in session.outputs] == [mask, coarse]
    one = Model(path, Graph(output_name=coarse)).spec
    assert (one.ports, one.scale) == ((), (Fraction(1, 2), Fraction(1, 2)))
    assert [port.name for port in one.written] == [coarse]
    with pytest.raises(ModelError, match="--output-name nothing; expected one of the outputs"):
        _ = Model(path, Graph(output_name="nothing")).spec
    with pytest.raises(ModelError, match="no output is an image or a vector"):
        _ = Model(path, Graph(output_name=boxes)).spec


def test_outputs_that_lose_other_margins_are_refused(tmp_path):
    net = Net()
    net.channels["image"] = 1
    model = net.model(
        [("image", "float32", ["n", 1, "h", "w"])], [net.conv("image", 1, pads=0), net.conv("image", 1, 5, pads=0)]
    )
    with pytest.raises(ModelError, match=r"lose other margins .* Choose one with --output-name, for example"):
        _ = spec(model, tmp_path)


def vectors(net, x):
    """A mean over space in every shape that exporters give it."""
    mean = net.node("GlobalAveragePool", [net.conv(x, 4, stride=2)])
    flat = net.node("Flatten", [mean])
    score = net.node(
        "Squeeze", [net.node("ReduceMax", [flat, net.constant(np.array([1]))]), net.constant(np.array([1]))]
    )
    return [mean, flat, score]


def test_vectors_have_two_axes_whatever_the_graph_gives(tmp_path):
    net = Net()
    net.channels["image"] = 1
    model = net.model([("image", "float32", ["n", 1, "h", "w"])], vectors(net, "image"))
    found = Model(save(model, tmp_path))
    assert [(port.layout, port.out_channels) for port in found.spec.ports] == [("NC", 4), ("NC", 4), ("NC", 1)]
    assert found.spec.fixed_batch is None
    made = open_session(found.prepared(), SessionOptions()).run({"image": np.ones((3, 1, 10, 12), np.float32)})
    assert [m.shape for m in made] == [(3, 4), (3, 4), (3, 1)]
    assert np.array_equal(made[2][:, 0], made[1].max(axis=1))


@pytest.mark.parametrize("ndim", [2, 3])
def test_an_input_without_any_shape_has_the_rank_of_its_convolutions(ndim, tmp_path):
    model = one_layer(2, ndim=ndim)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    found = spec(model, tmp_path)
    assert (found.spatial_ndim, found.in_channels, found.radius, found.verdict) == (ndim, 2, (1,) * ndim, "exact")


def lists(net, kind):
    """Boxes of a detector, or a number for the whole image."""
    y = net.conv("image", 18, 3)
    if kind == "boxes":
        return net.node("Transpose", [net.reshape(y, [0, 18, -1])], perm=[0, 2, 1])
    return net.node("ReduceMean", [y, net.constant(np.array([0, 1, 2, 3]))], keepdims=0)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("boxes", r"a list or table of shape \[1, 12288, 18\] \(space and channels"), ("number", r"of shape \[\]")],
)
def test_outputs_that_are_no_image_are_named(kind, message, tmp_path):
    net = Net()
    net.channels["image"] = 3
    output = lists(net, kind)
    model = net.model([("image", "float32", ["n", 3, "h", "w"])], [output])
    with pytest.raises(ModelError, match=rf"no output is an image or a vector \('{output}': .*{message}"):
        _ = spec(model, tmp_path)


def test_layouts_that_do_not_fit_are_refused(tmp_path):
    path = save(one_layer(), tmp_path)
    with pytest.raises(ModelError, match="--layout NCDHW for an input of shape"):
        _ = Model(path, Graph(layout="NCDHW")).spec
    with pytest.raises(ModelError, match="--output-layout NHWC; expected NCHW"):
        _ = Model(path, Graph(output_layout="NHWC")).spec
    with pytest.raises(ModelError, match=r"--layout NHWC does not fit the graph \(Conv"):
        _ = Model(save(one_layer(3, sizes=(32, 32)), tmp_path), Graph(layout="NHWC")).spec


def missing(folder):
    return folder / "none.onnx"


def empty(folder):
    (folder / "empty.onnx").touch()
    return folder / "empty.onnx"


def corrupt(folder):
    (folder / "corrupt.onnx").write_bytes(b"\x08\x0a not a model at all")
    return folder / "corrupt.onnx"


def truncated(folder):
    content = tiny_unet().SerializeToString()
    (folder / "half.onnx").write_bytes(content[: len(content) // 2])
    return folder / "half.onnx"


def graphless(folder):
    return save(onnx.ModelProto(ir_version=8), folder)


def custom(folder):
    model = one_layer()
    model.graph.node[-1].op_type, model.graph.node[-1].domain = "Magic", "my.company"
    model.opset_import.append(helper.make_opsetid("my.company", 1))
    return save(model, folder)


def new_ir(folder):
    model = one_layer()
    model.ir_version = 99
    return save(model, folder)


def new_opset(folder):
    model = one_layer()
    model.opset_import[0].version = 99
    return save(model, folder)


def imageless(folder):
    net = Net()
    return save(net.model([("n", "float32", [1])], [net.node("Relu", ["n"])]), folder)


def wrong_shapes(folder):
    model = one_layer(3)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2
    return save(model, folder)


def begins(content, name):
    """A file of another kind."""

    def make(folder):
        (folder / name).write_bytes(content + bytes(100))
        return folder / name

    return make


def saved_model(folder):
    (folder / "saved").mkdir()
    (folder / "saved" / "saved_model.pb").touch()
    return folder / "saved"


def huge(folder):
    with (folder / "huge.onnx").open("wb") as stream:
        stream.truncate(1 << 31)
    return folder / "huge.onnx"


def huge_data(folder):
    path = external(folder)
    with (folder / "weights.bin").open("r+b") as stream:
        stream.truncate(1 << 31)
    return path


CONVERT = r", not ONNX; expected a model in ONNX format. Convert it: tilewise convert .* OUT\.onnx\."


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (missing, "does not exist; expected an ONNX model file"),
        (lambda folder: folder, "is a folder; expected an ONNX model file"),
        (empty, "is empty; expected an ONNX model file"),
        (corrupt, "is no ONNX model"),
        (truncated, "is no ONNX model"),
        (graphless, "it holds no graph"),
        (custom, "an operator that onnxruntime does not know"),
        (new_ir, r"too new for onnxruntime.*Convert it: tilewise convert MODEL OUT\.onnx"),
        (new_opset, r"too new for onnxruntime.*Convert it: tilewise convert MODEL OUT\.onnx"),
        (imageless, "no input is an image"),
        (begins(b"PK\x03\x04", "net.pt"), f"is a PyTorch file {re.escape('(a zip archive)')}{CONVERT}"),
        (begins(b"PK\x03\x04", "net.keras"), f"is a Keras file{CONVERT}"),
        (begins(b"\x80\x02", "net.pth"), f"is a PyTorch or Python pickle{CONVERT}"),
        (begins(b"\x89HDF\r\n\x1a\n", "net.h5"), f"is an HDF5 file {re.escape('(Keras)')}{CONVERT}"),
        (begins(b"\x20\0\0\0TFL3", "net.tflite"), f"is a TensorFlow Lite file{CONVERT}"),
        (begins(b"<!DOCTYPE html>", "net.onnx"), "is a web page, not ONNX; .* Download it again."),
        (begins(b"version https://git-lfs.github.com/spec/v1", "net.onnx"), "is a pointer of Git LFS.* Download it"),
        (saved_model, f"is a TensorFlow SavedModel{CONVERT}"),
        (huge, "is 2.0 GiB large; expected a model of less than 2 GiB"),
        (huge_data, "takes 2.0 GiB with its weights; expected a model of less than 2 GiB"),
        (wrong_shapes, "runs on no image that was tried"),
    ],
)
def test_what_cannot_be_inspected_is_one_line(make, message, tmp_path):
    with pytest.raises(ModelError, match=message) as caught:
        _ = Model(make(tmp_path)).spec
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


def external(folder, location="weights.bin"):
    """A model with its weights in a file of their own."""
    model = tiny_unet(width=8)
    onnx.save_model(
        model, str(folder / "model.onnx"), save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    path = folder / "model.onnx"
    if location != "weights.bin":
        model = onnx.load(str(path), load_external_data=False)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = location
        path.write_bytes(model.SerializeToString())
    return path


def test_external_data_is_read_and_hashed(tmp_path):
    path = external(tmp_path)
    first = Model(path).spec
    assert first.verdict == "exact"
    session = open_session(Model(path).prepared(), SessionOptions())
    assert session.run({"image": np.ones((1, 1, 16, 16), np.float32)})[0].shape == (1, 1, 16, 16)
    weights = tmp_path / "weights.bin"
    content = bytearray(weights.read_bytes())
    content[3] ^= 1
    weights.write_bytes(bytes(content))
    assert Model(path).spec.sha256 != first.sha256
    with pytest.raises(ModelError, match="has changed since it was inspected"):
        prepare(path, first)


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "..\\weights.bin", "link.bin"])
def test_external_data_must_not_leave_the_folder(location, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(b"0" * 100_000)
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(ModelError, match="outside its folder; expected external data inside the folder"):
        _ = Model(external(folder, location)).spec


def test_external_data_that_is_missing_is_named(tmp_path):
    path = external(tmp_path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"'weights.bin', which is missing"):
        _ = Model(path).spec


def endless():
    """A loop that would run for hours."""
    net = Net()
    net.channels["image"] = 1
    body = helper.make_graph(
        [helper.make_node("Sin", ["a"], ["b"]), helper.make_node("Identity", ["go"], ["go_on"])],
        "body",
        [helper.make_tensor_value_info("i", 7, []), helper.make_tensor_value_info("go", 9, []),
         helper.make_tensor_value_info("a", 1, None)],
        [helper.make_tensor_value_info("go_on", 9, []), helper.make_tensor_value_info("b", 1, None)],
    )  # fmt: skip
    y = net.node("Loop", [net.constant(np.int64(10**12)), net.constant(np.array(1, bool)), "image"], body=body)
    return net.model([("image", "float32", ["n", 1, "h", "w"])], [y])


def test_a_model_that_does_not_end_is_refused(tmp_path):
    begin = time.monotonic()
    with pytest.raises(ModelError, match=r"did not end .* in time"):
        ask(save(endless(), tmp_path), Graph(), tmp_path / "out.onnx", seconds=3)
    assert time.monotonic() - begin < 20


def test_a_child_without_memory_is_told(tmp_path):
    net = Net()
    model = wrap(net, lambda x: net.conv(x, 256, 9))
    with pytest.raises(ModelError, match=r"memory|ended without an answer"):
        ask(save(model, tmp_path), Graph(), tmp_path / "out.onnx", memory=400 << 20)


def test_no_other_layout_is_told_of_a_model_that_is_too_large_for_the_machine(tmp_path):
    # as channels of planes the same numbers fit another layout, too
    net = Net(ndim=3)
    model = wrap(net, lambda x: net.conv(net.conv(x, 40_000, 1), 1, 1), layout="NCDHW", sizes=(32, 32, 32))
    with pytest.raises(ModelError, match="ran out of memory; expected a model whose small probe images fit"):
        ask(save(model, tmp_path), Graph(), tmp_path / "out.onnx", memory=4 << 30)


def test_a_child_that_is_killed_is_told_for_its_memory(tmp_path, monkeypatch):
    (tmp_path / "killed.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ModelError, match="ran out of memory"):
        call("killed", tmp_path / "model.onnx", {})


def test_a_single_position_tells_of_no_grid(tmp_path):
    # a style of the whole image, as of Cellpose: tiles of the one size could otherwise only lie side by side
    net = Net()

    def styled(x):
        fine = net.conv(net.resize(net.pool(net.conv(x, 4), 2, stride=2), 2.0), 4)
        coarse = net.node("AveragePool", [fine], channels=4, kernel_shape=[64, 64], strides=[64, 64])
        flat = net.node("Reshape", [coarse, net.constant(np.array([1, 4, 1, 1]))], channels=4)
        return net.conv(net.node("Add", [fine, flat], channels=4), 2)

    found = spec(wrap(net, styled, sizes=(64, 64)), tmp_path)
    assert (found.fixed_size, found.multiple, found.exact) == ((64, 64), (2, 2), False)


def test_a_known_model_is_known_at_once(tmp_path, cache):
    path = save(tiny_unet(seed=5), tmp_path)
    first = Model(path).spec
    begin = time.perf_counter()
    assert Model(path).spec == first
    assert time.perf_counter() - begin < 0.05
    kept = max(cache.glob("*.json"), key=lambda file: file.stat().st_mtime)
    kept.write_text(kept.read_text()[:100])
    assert Model(path).spec.multiple == first.multiple
    assert ModelSpec.from_json(json.loads(kept.read_text())["spec"]).sha256 == first.sha256


def test_a_known_model_needs_neither_onnx_nor_its_runtime(tmp_path):
    path = save(one_layer(seed=6), tmp_path)
    _ = Model(path).spec
    script = (
        "import sys; from tilewise.model import Model; print(Model(sys.argv[1]).spec.verdict);"
        "print([m for m in ('onnx', 'onnxruntime') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True).stdout
    assert said.split("\n")[:2] == ["exact", "[]"]


def test_a_broken_prepared_graph_is_made_again(tmp_path, cache):
    path = save(one_layer(seed=9), tmp_path)
    model = Model(path)
    good = model.prepared()
    kept = max(cache.glob("*.onnx"), key=lambda file: file.stat().st_mtime)
    kept.write_bytes(good[:10])
    assert Model(path).prepared() == good


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TILEWISE_CACHE", str(tmp_path / "file"))
    assert spec(one_layer(seed=7), tmp_path).verdict == "exact"


def test_settings_are_part_of_the_key(tmp_path):
    path = save(two_inputs(), tmp_path)
    one = Model(path, Graph(inputs=(("exposure", 1.0),))).prepared()
    assert one != Model(path, Graph(inputs=(("exposure", 2.0),))).prepared()


@pytest.mark.parametrize(
    ("name", "claims"),
    [
        ("unet2d_nuclei_broad", {"multiple": (8, 8), "radius": (53, 53), "halo": (56, 56), "verdict": "exact",
                                 "declared_size": (512, 512), "fixed_size": None, "fixed_batch": None}),
        ("meshnet3d_niivue", {"multiple": (1, 1, 1), "radius": (46,) * 3, "layout": "NCDHW", "out_channels": 3,
                              "fixed_size": None, "verdict": "exact"}),
        ("ppocrv2_mobile_det", {"multiple": (32, 32), "verdict": "exact", "declared_size": None}),
        ("qonnx_espcn_x3_subpixel_float", {"scale": (3, 3), "multiple": (1, 1), "radius": (5, 5), "fixed_size": None}),
        ("deepness_dummy_512_to_484", {"lead": (14, 14), "trail": (14, 14), "multiple": (1, 1), "fixed_size": None}),
        ("mnist_cntk", {"output_layout": "NC", "out_channels": 10, "fixed_size": (28, 28), "verdict": "exact"}),
        ("mesonet", {"layout": "NHWC", "output_layout": "NC", "out_channels": 1, "fixed_size": (256, 256),
                     "fixed_batch": None}),
    ],
)  # fmt: skip
class TestReal:
    pytestmark = data

    def test_claims(self, name, claims):
        found = Model(MODELS / f"{name}.onnx").spec
        assert {key: getattr(found, key) for key in claims} == claims
