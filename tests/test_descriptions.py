"""A model that carries its own instructions: bioimage.io descriptions, end to end and in their variants."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
import yaml
import zarr
from hypothesis import example, given

from images import make_pixels, write_array, write_image
from networks import one_layer, save, tiny_unet
from rdf import axis, describe_04, describe_05, nuclei_04, nuclei_05, pack, package, sha256
from shell import call
from tilewise import Graph, Model, Normalization, Pixels, Results, predict
from tilewise import plan as made_plan
from tilewise.cache import cache_folder
from tilewise.descriptions.bioimage import _halo
from tilewise.descriptions.contract import SILENT, Extent
from tilewise.descriptions.deepness import KEYS as DEEPNESS
from tilewise.descriptions.deepness import read as read_deepness
from tilewise.descriptions.tensors import read_tensor
from tilewise.errors import ModelError
from tilewise.steps import Step


@pytest.fixture(scope="module")
def nuclei(data):
    folder = data / "models"
    tensors = [np.load(folder / f"unet2d_nuclei_broad_test_{kind}.npy") for kind in ("input", "output")]
    return folder / "unet2d_nuclei_broad.onnx", *tensors


@pytest.fixture(scope="module")
def nuclei_image(nuclei, tmp_path_factory):
    return write_array(tmp_path_factory.mktemp("nuclei") / "image.zarr", nuclei[1][0, 0], chunks=(128, 128))


@pytest.mark.data
@pytest.mark.parametrize("said", [nuclei_04(), nuclei_05()], ids=["0.4", "0.5"])
@pytest.mark.parametrize("form", ["folder", "zip", "yaml", "nested zip"])
def test_the_nuclei_model_runs_with_no_flag_and_gives_its_reference(said, form, nuclei, nuclei_image, tmp_path):
    place = package(tmp_path / "model", said, nuclei[0])
    if "zip" in form:
        place = pack(place, tmp_path / "model.zip", inside="nuclei/" if form == "nested zip" else "")
    if form == "yaml":
        place /= "rdf.yaml"
    done = call("run", nuclei_image, place, tmp_path / "out.zarr", "--json")
    assert done.code == 0, done.err
    found = zarr.open_array(tmp_path / "out.zarr" / "0")[0]
    assert np.abs(found - nuclei[2][0, 0]).max() < 1e-5


@pytest.mark.data
def test_a_halo_that_is_too_small_is_taken_measured_and_named(nuclei, nuclei_image, tmp_path):
    size = {"min": 128, "step": 8}
    place = package(tmp_path / "model", nuclei_05(size=size, halo=16), nuclei[0])
    plan = call("plan", nuclei_image, place, "--tile", "128", "--json").json
    assert plan["halo"] == [16, 16]
    assert plan["settings"]["halo"] == {"value": [16, 16], "from": "contract (bioimage.io 0.5)"}
    assert plan["verdict"] == "bounded"
    assert any("halo of [16, 16]" in note and "[56, 56]" in note for note in plan["notes"])
    done = call("run", nuclei_image, place, tmp_path / "out.zarr", "--tile", "128")
    assert done.code == 0
    assert "largest error of the scores by the smaller halo" in done.err
    exact = call("plan", nuclei_image, place, "--tile", "256", "--halo", "exact", "--json").json
    assert (exact["halo"], exact["verdict"]) == ([56, 56], "exact")
    assert exact["settings"]["halo"]["from"] == "flag"


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    "said",
    [
        nuclei_04(axes="byxc", shape=(1, 512, 512, 1), halo=(0, 32, 32, 0)),
        nuclei_05(order="byxc"),
        nuclei_04(axes="bczyx", shape=(1, 1, 1, 512, 512), halo=(0, 0, 0, 32, 32)),
    ],
    ids=["0.4", "0.5", "rank"],
)
def test_wrong_axes_are_refused_and_both_are_named(said, nuclei, nuclei_image, tmp_path):
    place = package(tmp_path / "model", said, nuclei[0])
    done = call("run", nuclei_image, place, tmp_path / "out.zarr", "--json")
    assert done.code == 2
    error = done.json["error"]
    assert "description says that its input is N" in error["got"]
    assert error["expected"].startswith("NCHW")
    assert "--layout NCHW" in error["do"]
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.data
@pytest.mark.parametrize("said", [nuclei_04(), nuclei_05()], ids=["0.4", "0.5"])
def test_inspect_runs_the_test_tensors(said, nuclei, tmp_path):
    place = package(tmp_path / "model", said, nuclei[0], given=nuclei[1], expected=nuclei[2])
    done = call("inspect", place, "--test", "--json")
    assert done.code == 0, done.err
    assert done.json["test"]["passed"] is True
    assert done.json["test"]["difference"] < 1e-5
    assert done.json["contract"]["activation"]["value"] == "sigmoid"
    text = call("inspect", pack(place, tmp_path / "model.zip"), "--test").out
    assert "passed: largest difference" in text


@pytest.mark.data
def test_a_failed_test_says_by_how_much_and_ends_with_2(nuclei, tmp_path):
    place = package(tmp_path / "model", nuclei_04(after=[]), nuclei[0], given=nuclei[1], expected=nuclei[2])
    done = call("inspect", place, "--test", "--json")
    assert done.code == 2
    assert done.json["test"]["passed"] is False
    assert done.json["test"]["difference"] > 1
    assert "failed: largest difference" in done.err


@pytest.mark.data
def test_class_names_and_pixel_size_reach_output_and_plan(nuclei, tmp_path):
    place = package(tmp_path / "model", nuclei_05(scale=0.2), nuclei[0])
    scale, units = [1, 0.65, 0.65], [None, "micrometer", "micrometer"]
    image = write_image(tmp_path / "image.zarr", nuclei[1][0], "cyx", scale=scale, units=units)
    plan = call("plan", image, place, "--json").json
    note = next(note for note in plan["notes"] if "micrometer" in note)
    assert "made for pixels of 0.2 x 0.2 micrometer, the image has 0.65 x 0.65" in note
    assert "--pixel-size 0.2,0.2" in note
    assert made_plan(image, place, tmp_path / "out.zarr").outputs[0].names == ("nucleus",)
    labels = made_plan(image, place, tmp_path / "out.zarr", results=Results(output="labels"))
    assert labels.outputs[0].names == ("background", "nucleus")


UNET = {"axes": "bcyx", "shape": {"min": [1, 1, 32, 32], "step": [0, 0, 4, 4]}}


def contract_of(folder, said, model=None, **options):
    return Model(package(folder, said, model or tiny_unet(), **options)).contract


def test_free_sizes_leave_the_tile_to_us_and_fixed_ones_do_not(tmp_path):
    free = contract_of(tmp_path / "a", describe_04(**UNET))
    assert (free.tile, free.extents) == (None, (Extent(least=32, step=4),) * 2)
    assert contract_of(tmp_path / "b", describe_04(shape=(1, 1, 64, 96))).tile == (64, 96)
    half = describe_04(shape={"min": [1, 1, 64, 32], "step": [0, 0, 0, 16]})
    assert contract_of(tmp_path / "c", half).tile == (64, 256)


def test_a_size_that_refers_to_another_axis(tmp_path):
    given = [axis("b"), axis("c", channel_names=["raw"]), axis("y", {"min": 32, "step": 4})]
    given.append(axis("x", {"tensor_id": "raw", "axis_id": "y", "offset": 0}))
    assert contract_of(tmp_path, describe_05(axes=given, out_axes=given)).extents == (Extent(least=32, step=4),) * 2


def test_the_second_axis_of_space_may_leave_out_its_name(tmp_path):
    given = [{"type": "batch"}, {"type": "channel", "channel_names": ["a"]}]
    given += [{"type": "space", "id": "y", "size": 64}, {"type": "space", "size": 64}]
    assert contract_of(tmp_path, describe_05(axes=given, out_axes=given)).layout == "NCHW"


def test_halos_are_counted_in_the_output_and_kept_per_axis(tmp_path):
    said = describe_04(**UNET, halo=(0, 0, 8, 12))
    assert contract_of(tmp_path / "a", said).halo == (8, 12)
    assert contract_of(tmp_path / "b", describe_04(**UNET, halo=(0, 0, 0, 0))).halo is None
    entry = read_tensor(describe_04(**UNET, halo=(0, 0, 8, 8))["outputs"][0], "output", "x")
    doubled = {**describe_04(**UNET, halo=(0, 0, 9, 8))["outputs"][0]}
    doubled["shape"] = {"reference_tensor": "raw", "scale": [1, 1, 2, 2], "offset": [0, 0, 0, 0]}
    given = read_tensor(describe_04(**UNET)["inputs"][0], "input", "x")
    assert _halo(given, [entry]) == (8, 8)
    half = read_tensor(doubled, "output", "x")
    assert _halo(given, [half]) == (5, 4)
    assert _halo(given, [half, entry]) == (8, 8)


def test_swapped_x_and_y_are_fed_as_the_model_was_trained(tmp_path):
    pixels = make_pixels((64, 96)).astype(np.float32)
    said = describe_04(axes="bcxy", shape={"min": [1, 1, 32, 32], "step": [0, 0, 4, 4]})
    place = package(tmp_path / "model", said, tiny_unet())
    found = np.asarray(predict(pixels, place))
    plain = np.asarray(predict(pixels.T.copy(), place / "weights.onnx"))
    np.testing.assert_allclose(found.squeeze(), plain.squeeze().T, atol=1e-6)


def test_three_dimensions_and_channels_last(tmp_path):
    model = tiny_unet(ndim=3, layout="NDHWC", depth=1)
    axes = [axis("b"), *(axis(a, {"min": 8, "step": 2}, unit="nanometer", scale=50) for a in "zyx")]
    axes.append(axis("c", channel_names=["em"]))
    found = contract_of(tmp_path / "model", describe_05(axes=axes, out_axes=axes), model)
    assert (found.layout, found.pixel_size) == ("NDHWC", (0.05, 0.05, 0.05))
    made = predict(make_pixels((16, 24, 32)), tmp_path / "model")
    assert np.asarray(made).shape[-3:] == (16, 24, 32)


@pytest.mark.parametrize("name", ["rdf.yaml", "bioimageio.yaml", "my.rdf.yaml", "model.bioimageio.yaml", "RDF.yaml"])
def test_descriptions_have_several_names(name, tmp_path):
    place = package(tmp_path / "model", describe_04(**UNET), tiny_unet(), name=name)
    (place / "environment.yaml").write_text("dependencies: []")
    assert Model(place).contract.layout == "NCHW"
    assert Model(pack(place, tmp_path / "model.zip")).contract.layout == "NCHW"
    assert Model(place / name).contract.layout == "NCHW"


def test_versions_and_numbers_as_yaml_reads_them(tmp_path):
    said = describe_04(**UNET, before=[{"name": "zero_mean_unit_variance", "kwargs": {"mode": "per_sample"}}])
    said["inputs"][0]["preprocessing"][0]["kwargs"] |= {"axes": "yx", "eps": "1e-5"}
    found = contract_of(tmp_path / "a", {**said, "format_version": 0.4})
    assert (found.eps, found.origin("eps")) == (1e-5, "contract (bioimage.io 0.4)")
    place = package(tmp_path / "b", describe_04(**UNET), tiny_unet())
    text = (place / "rdf.yaml").read_text()
    (place / "rdf.yaml").write_text("%YAML 1.2\n---\n" + text)
    assert Model(place).contract.layout == "NCHW"


def test_weights_of_a_long_address_lie_beside_it(tmp_path):
    source = "https://zenodo.org/api/records/1/files/weights.onnx?download=1"
    place = package(tmp_path / "model", describe_04(**UNET), tiny_unet(), source=source)
    assert Model(place).spec.verdict == "exact"


def test_an_archive_is_unpacked_into_the_cache_and_nowhere_else(tmp_path):
    place = package(tmp_path / "model", describe_04(**UNET), tiny_unet())
    archive = pack(place, tmp_path / "only" / "model.zip") if (tmp_path / "only").mkdir() is None else None
    known = Model(archive)
    assert (known.spec.name, known.spec.path) == ("model", str(archive))
    assert known.prepared()
    assert [p.name for p in (tmp_path / "only").iterdir()] == ["model.zip"]
    cached = list((cache_folder() / "packages" / sha256(archive)).rglob("*"))
    assert [p.name for p in cached] == ["weights.onnx"]
    cached[0].write_bytes(b"x" * cached[0].stat().st_size)
    with pytest.raises(ModelError, match="is not the file that the description means"):
        _ = Model(archive).spec


def broken(folder, **changes):
    said = describe_04(**UNET)
    place = package(folder, said, tiny_unet())
    found = yaml.safe_load((place / "rdf.yaml").read_text())
    (place / "rdf.yaml").write_text(yaml.safe_dump(found | changes))
    return place


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format_version": "0.3.2"}, "is of format 0.3.2; expected format 0.4 or 0.5"),
        ({"format_version": "1.0"}, "is of format 1.0"),
        ({"type": "dataset"}, "describes no model"),
        ({"inputs": []}, "describes no model"),
        ({"weights": {"torchscript": {"source": "w.pt"}}}, "has no ONNX weights .it has torchscript.*tilewise convert"),
        ({"weights": {"onnx": {"source": "absent.onnx"}}}, "names absent.onnx, which is not there"),
        ({"weights": {"onnx": {"source": "../secret.onnx"}}}, "names a file outside of it"),
        ({"weights": {"onnx": {"source": "/etc/passwd"}}}, "names a file outside of it"),
        ({"weights": {"onnx": {"source": "https://a.b/c.onnx"}}}, "Download the file and put it there"),
        ({"weights": {"onnx": {"source": "weights.onnx", "sha256": "0" * 64}}}, "is not the file that the description"),
        ({"inputs": [{"name": "raw"}]}, "an input without axes"),
        ({"inputs": [{"name": "raw", "axes": "bcyq"}]}, "axes bcyq in"),
        ({"inputs": [{"name": "raw", "axes": "bcyy"}]}, "axes bcyy of the input"),
        ({"inputs": [{"name": "raw", "axes": "bcyx", "shape": [1, 1, 8]}]}, "beside a shape of 3"),
        ({"inputs": [{"id": "raw", "axes": [{"type": "depth"}]}]}, "an axis of type depth"),
        ({"inputs": [{"name": "raw", "axes": "bctyx"}]}, "axis of time"),
        ({"inputs": [{"name": "raw", "axes": "bcyx", "shape": [1, 3, 64, 64]}]}, "takes 3 channels; expected 1"),
        (
            {"inputs": [{"name": "raw", "axes": "bcyx", "shape": {"min": "many"}}]},
            "cannot be understood|beside a shape",
        ),
        ({"inputs": [{"name": "raw", "axes": "bcyx", "preprocessing": [3]}]}, "a step 3 of processing"),
        ({"outputs": [{"name": "out", "axes": "byxc"}]}, "its output is NHWC; expected NCHW.*--output-layout NCHW"),
    ],
)
def test_what_a_description_gets_wrong_is_one_line(changes, words, tmp_path):
    with pytest.raises(ModelError, match=words) as refusal:
        _ = Model(broken(tmp_path / "model", **changes)).contract
    assert "\n" not in str(refusal.value)


def test_hostile_files_are_refused(tmp_path):
    text = tmp_path / "rdf.yaml"
    text.write_text("!!python/object/apply:os.system ['touch hacked']")
    with pytest.raises(ModelError, match="is no YAML"):
        _ = Model(text).spec
    text.write_text("[" * 100_000)
    with pytest.raises(ModelError, match="is no YAML"):
        _ = Model(text).spec
    text.write_text("- a list")
    with pytest.raises(ModelError, match="describes no model"):
        _ = Model(text).spec
    text.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="is no text"):
        _ = Model(text).spec
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("name", ["../evil.onnx", "/evil.onnx", "a/../../evil.onnx", "..\\evil.onnx", "C:evil.onnx"])
def test_an_archive_that_would_write_elsewhere_is_refused(name, tmp_path):
    archive = pack(package(tmp_path / "model", describe_04(**UNET), tiny_unet()), tmp_path / "model.zip")
    with zipfile.ZipFile(archive, "a") as made:
        made.writestr(name, b"evil")
    with pytest.raises(ModelError, match="would leave its folder"):
        _ = Model(archive).spec


def test_archives_that_are_none_or_hold_nothing(tmp_path):
    torn = tmp_path / "torn.zip"
    torn.write_bytes(b"PK\x03\x04nothing")
    assert "is no zip archive" in call("inspect", torn).err
    with zipfile.ZipFile(tmp_path / "bare.zip", "w") as made:
        made.writestr("weights.onnx", b"x")
    said = call("inspect", tmp_path / "bare.zip")
    assert said.code == 2
    assert "holds no description" in said.err


def test_test_tensors_that_are_missing_or_wrong(tmp_path):
    plain = save(one_layer(), tmp_path)
    assert "comes without test tensors" in call("inspect", plain, "--test").err
    pixels = make_pixels((1, 1, 64, 64)).astype(np.float32)
    place = package(tmp_path / "model", describe_04(**UNET), tiny_unet(), given=pixels, expected=pixels[..., :32])
    assert "a result of shape" in call("inspect", place, "--test").err
    np.save(place / "test_input.npy", pixels[0])
    assert "has shape [1, 64, 64]" in call("inspect", place, "--test").err
    (place / "test_input.npy").write_bytes(b"no array")
    assert "is no array of NumPy" in call("inspect", place, "--test").err
    np.save(place / "test_input.npy", np.array([{}]), allow_pickle=True)
    assert "is no array of NumPy" in call("inspect", place, "--test").err
    (place / "test_input.npy").unlink()
    assert "names test_input.npy, which is not there" in call("inspect", place, "--test").err


def test_the_tolerance_of_a_description_counts(tmp_path):
    pixels = make_pixels((1, 1, 64, 64)).astype(np.float32)
    axes = [axis("b"), axis("c", channel_names=["raw"]), *(axis(a, {"min": 32, "step": 4}) for a in "yx")]
    place = package(tmp_path / "a", describe_05(axes=axes, out_axes=axes), tiny_unet(), given=pixels)
    truth = np.asarray(predict(pixels, place, pixels=Pixels(axes="tcyx")))
    np.save(place / "test_output.npy", truth + np.float32(0.5))
    assert call("inspect", place, "--test").code == 2
    entry = {"absolute_tolerance": 1.0, "relative_tolerance": 0, "mismatched_elements_per_million": 0}
    loose = describe_05(axes=axes, out_axes=axes, config={"bioimageio": {"reproducibility_tolerance": [entry]}})
    package(tmp_path / "a", loose, tiny_unet())
    assert call("inspect", place, "--test").code == 0


def deepness(path, target, **entries):
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in entries.items()})
    onnx.save(model, target)
    return target


@pytest.mark.data
def test_the_metadata_of_deepness_is_followed(data, tmp_path):
    said = {
        "model_type": "Segmentor", "class_names": {0: "field", 1: "road"}, "resolution": 50, "tiles_size": 512,
        "tiles_overlap": 20, "standardization_mean": [0.5, 0.4, 0.3], "standardization_std": [0.2, 0.25, 0.3],
        "seg_thresh": 0.6, "seg_small_segment": 7,
    }  # fmt: skip
    place = deepness(data / "models" / "deepness_dummy_512_to_484.onnx", tmp_path / "model.onnx", **said)
    pixels = make_pixels((3, 700, 600))
    image = write_image(tmp_path / "image.zarr", pixels, "cyx")
    plan = call("plan", image, place, "--json").json
    settings = plan["settings"]
    wanted = {
        "normalize": "fixed", "mean": [127.5, 102, 76.5], "std": [51, 63.75, 76.5], "output": "labels",
        "threshold": 0.6, "tile": [512, 512],
    }  # fmt: skip
    for name, value in wanted.items():
        assert settings[name]["from"] == "contract (Deepness)"
        assert settings[name]["value"] == pytest.approx(value) if name in {"mean", "std"} else value
    assert any("segments below 7" in note for note in plan["notes"])
    found = Model(place).contract
    assert (found.class_names, found.pixel_size, found.halo) == (("field", "road"), (500_000.0,), (52,))
    assert call("run", image, place, tmp_path / "out.zarr").code == 0
    labels = zarr.open_array(tmp_path / "out.zarr" / "0")
    assert (labels.shape, labels.dtype) == ((700, 600), np.uint8)
    by_hand = Pixels(normalization=Normalization(kind="fixed", mean=(127.5, 102, 76.5), std=(51, 63.75, 76.5)))
    bare = data / "models" / "deepness_dummy_512_to_484.onnx"
    dask = predict(pixels, bare, pixels=replace(by_hand, axes="cyx"), results=Results(output="labels"))
    np.testing.assert_array_equal(np.asarray(dask), labels[:])


DOUBLE_AND_MORE = Step(kind="linear", a=(2.5,), b=(0.0,))


@pytest.mark.parametrize(
    ("metadata", "wanted"),
    [
        ({}, None),
        ({"names": "{0: 'car'}", "stride": "32", "task": "detect"}, None),
        ({"model_type": '"something else"'}, None),
        (
            {"model_type": '"Regressor"', "reg_output_scaling": "2.5"},
            {"steps": (Step(kind="linear", a=(2.5,), b=(0.0,)),)},
        ),
        ({"model_type": '"Segmentor"', "class_names": "{0: 'a', 1: 'b'}"}, {"class_names": ("a", "b")}),
        (
            {"model_type": '"Segmentor"', "class_names": '[{"0": "Coffee"}, {"0": "Juice"}]'},
            {"class_names": ("Coffee",)},
        ),
        ({"model_type": '"Segmentor"', "class_names": '{"0": "a", "2": "b"}'}, {"class_names": None}),
        ({"model_type": '"Segmentor"', "tile_size": "256", "tiles_overlap": "15"}, {"tile": (256,), "halo": (20,)}),
        ({"model_type": "Segmentor", "standardization_std": "[0, 1]"}, {"output": "labels", "normalize": None}),
        ({"model_type": '"Segmentor"', "seg_thresh": "inf", "resolution": "x"}, {"threshold": 0.5, "pixel_size": None}),
    ],
)
def test_variants_of_deepness(metadata, wanted):
    found = read_deepness(metadata)
    if wanted is None:
        assert found is SILENT
        return
    assert {name: getattr(found, name) for name in wanted} == wanted
    assert found.origin("output" if "output" in found.said() else "mean").startswith("contract (Deepness)")


def test_a_description_and_metadata_together(tmp_path):
    model = tiny_unet()
    onnx.helper.set_model_props(model, {"tilewise": json.dumps({"version": 1, "class_names": ["cell"], "halo": [4]})})
    found = contract_of(tmp_path / "model", describe_04(**UNET, halo=(0, 0, 8, 8), after=[{"name": "sigmoid"}]), model)
    assert (found.halo, found.class_names, found.activation) == ((8, 8), ("cell",), "sigmoid")
    assert found.origin("halo") == "contract (bioimage.io 0.4)"
    assert found.origin("class_names") == "contract (tilewise)"


@given(text=st.text(max_size=200))
@example(text="0")
def test_any_text_as_metadata_is_read_or_silent(text):
    found = read_deepness(dict.fromkeys(DEEPNESS, text))
    assert found is SILENT or found.origins


def test_channels_of_0_4_follow_those_of_the_input_and_one_of_them_is_labels(tmp_path):
    shape = {"reference_tensor": "raw", "scale": [1, 1, 1, 1], "offset": [0, 0, 0, 0]}
    after = [{"name": "sigmoid"}, {"name": "binarize", "kwargs": {"threshold": 0.5}}]
    found = contract_of(tmp_path / "a", describe_04(**UNET, out_shape=shape, after=after))
    assert (found.out_channels, found.output, found.activation) == (1, "labels", "sigmoid")
    added = {**shape, "scale": [1, 0, 1, 1], "offset": [0, 1.5, 0, 0]}
    model = tiny_unet(channels_out=3)
    found = contract_of(tmp_path / "b", describe_04(**UNET, out_shape=added, after=after), model)
    assert (found.out_channels, found.output, found.steps[-1].kind) == (3, "scores", "binarize")


def test_a_refusal_names_the_contract_that_is_to_blame(tmp_path):
    place = package(tmp_path / "model", describe_04(shape=(1, 1, 70, 70), halo=(0, 0, 8, 8)), tiny_unet())
    image = write_array(tmp_path / "image.zarr", make_pixels((200, 200)))
    said = call("plan", image, place, "--json").json["error"]
    assert "--tile 70,70" in said["got"]
    assert said["do"].endswith("The contract (bioimage.io 0.4) says tile: a flag overrules it.")
    assert call("plan", image, place, "--tile", "64").code == 0
    with pytest.raises(ValueError, match="says tile: a flag overrules it"):
        predict(make_pixels((200, 200)), place)


def test_a_plan_tells_what_it_follows_and_a_run_resumes(tmp_path):
    before = [{"name": "scale_range", "kwargs": {"mode": "per_sample", "axes": "yx", "min_percentile": 1}}]
    before.append({"name": "scale_linear", "kwargs": {"gain": 2.0, "offset": -1.0}})
    place = package(tmp_path / "model", describe_04(**UNET, halo=(0, 0, 8, 8), before=before), tiny_unet())
    image = write_array(tmp_path / "image.zarr", make_pixels((200, 200)))
    note = "contract (bioimage.io 0.4) says halo 8,8; normalize percentile; scope slice; percentiles 1,100; eps 1e-06"
    assert f"{note}; after linear" in call("plan", image, place, "--tile", "64").out
    out = tmp_path / "out.zarr"
    assert call("run", image, place, out, "--tile", "64").code == 0
    again = call("run", image, place, out, "--tile", "64", "--json")
    assert (again.code, again.json["state"]) == (0, "done")
    other = call("run", image, place, out, "--tile", "64", "--contract", "ignore")
    assert other.code == 2
    assert "normalize.kind: percentile -> none" in other.err


def two_outputs():
    """An image as it is, and its negative."""
    shape = ["n", 1, "h", "w"]
    ports = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("x", "same", "less")]
    nodes = [onnx.helper.make_node("Identity", ["x"], ["same"]), onnx.helper.make_node("Neg", ["x"], ["less"])]
    graph = onnx.helper.make_graph(nodes, "two", ports[:1], ports[1:])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)


def test_outputs_that_are_treated_differently_are_taken_one_at_a_time(tmp_path):
    said = describe_04(**UNET, after=[{"name": "sigmoid"}])
    scaled = [{"name": "scale_linear", "kwargs": {"gain": 2.0}}]
    said["outputs"].append({**said["outputs"][0], "name": "second", "postprocessing": scaled})
    pixels = make_pixels((1, 1, 64, 64)).astype(np.float32) / 255
    place = package(tmp_path / "model", said, two_outputs(), given=pixels, expected=1 / (1 + np.exp(-pixels)))
    with pytest.raises(ModelError, match=r"other steps for each of its outputs.*--output-name"):
        predict(pixels[0, 0], place)
    first = predict(pixels[0, 0], place, graph=Graph(output_name="same"))
    np.testing.assert_allclose(np.asarray(first).squeeze(), 1 / (1 + np.exp(-pixels[0, 0])), rtol=1e-6)
    second = predict(pixels[0, 0], place, graph=Graph(output_name="less"))
    np.testing.assert_array_equal(np.asarray(second).squeeze(), -2 * pixels[0, 0])
    both = predict(pixels[0, 0], place, results=Results(output="raw"))
    np.testing.assert_array_equal(np.asarray(both["less"]).squeeze(), -pixels[0, 0])
    assert call("inspect", place, "--test", "--output-name", "same").code == 0
    assert "other steps" in call("inspect", place, "--test").err
    said["outputs"][1]["postprocessing"] = [{"name": "sigmoid"}]
    found = predict(pixels[0, 0], package(tmp_path / "alike", said, two_outputs()))
    np.testing.assert_allclose(np.asarray(found["less"]).squeeze(), 1 / (1 + np.exp(pixels[0, 0])), rtol=1e-6)
