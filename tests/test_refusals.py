"""Bad requests through the command line: one line that says what to do, exit code 2, and nothing is written."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import helper

from images import make_pixels, write_array, write_image
from networks import one_layer, save, tiny_unet
from shell import call, tree


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of images and models, good and bad; tests run in it, so that relative paths are tried too."""
    folder = tmp_path_factory.mktemp("refusals")
    write_array(folder / "yx.zarr", make_pixels((200, 180)))
    write_array(folder / "cyx.zarr", make_pixels((3, 60, 50)), dimension_names=list("cyx"))
    write_array(folder / "four.zarr", make_pixels((2, 3, 50, 40)))
    write_array(folder / "complex.zarr", make_pixels((64, 64), "float32").astype("complex64"))
    write_array(folder / "text.zarr", np.full((20, 20), "text", "<U4"), zarr_format=2)
    write_image(folder / "ome.zarr", make_pixels((60, 50)), "yx", levels=2)
    (folder / "folder").mkdir()
    (folder / "folder/notes.txt").write_text("mine")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    (folder / "link.zarr").symlink_to("yx.zarr")
    save(one_layer(), folder, "one")
    save(tiny_unet(), folder, "unet")
    save(one_layer(3), folder, "rgb")
    save(one_layer(ndim=3), folder, "volume")
    bad_models(folder)
    return folder


def bad_models(folder):
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "corrupt.onnx").write_bytes(b"no model at all " * 50)
    content = (folder / "unet.onnx").read_bytes()
    (folder / "cut.onnx").write_bytes(content[: len(content) // 2])
    model = one_layer()
    model.ir_version = 99
    save(model, folder, "ir")
    model = one_layer()
    model.opset_import[0].version = 99
    save(model, folder, "opset")
    model = one_layer()
    model.graph.node[0].domain, model.graph.node[0].op_type = "my.domain", "Magic"
    model.opset_import.append(helper.make_opsetid("my.domain", 1))
    save(model, folder, "custom")


@pytest.fixture
def refused(place, monkeypatch):
    """Calls a command as text and as JSON, makes sure of what all refusals share, and gives the three parts."""
    monkeypatch.chdir(place)

    def refuse(*words):
        before = tree(place)
        plain, as_json = call(*words), call(*words, "--json")
        assert tree(place) == before, "something was written"
        assert (plain.code, plain.out) == (2, "")
        assert plain.err.startswith("tilewise: ")
        assert plain.err.count("\n") == 1, plain.err
        assert as_json.code == 2
        assert as_json.out.count("\n") == 1
        error = as_json.json["error"]
        assert list(error) == ["got", "expected", "do"]
        assert all(error.values())
        assert plain.err == f"tilewise: {error['got']}; expected {error['expected']}. {error['do']}\n"
        return SimpleNamespace(**error)

    return refuse


@pytest.mark.parametrize(
    ("image", "got", "do"),
    [
        ("absent.zarr", "absent.zarr does not exist", "Check the path"),
        ("folder", "a folder without zarr metadata", "Check the path"),
        ("folder/notes.txt", "is a file", "Convert it to one of these"),
        ("one.onnx", "is a file", "Convert it to one of these"),
        ("dangling", "does not exist", "Check the path"),
        ("loop", "does not exist", "Check the path"),
        ("new\nline", "new line does not exist", "Check the path"),
        ("", "without zarr metadata", "Check the path"),
        ("ftp://host/image.zarr", "a store of kind ftp", "Copy or mount it"),
        ("https://host/image.zarr?sig=x", "with a query behind it", "give the plain address"),
        ("complex.zarr", "pixels of type complex64", "Convert the image"),
        ("text.zarr", "pixels of type <U4", "Convert the image"),
        ("four.zarr", "4 axes without names", "--axes czyx"),
        ("cyx.zarr", "3 channels of the image", "--channels 0"),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_an_image_that_cannot_be_taken(refused, command, image, got, do):
    error = refused(command, image, "one.onnx", "out")
    assert got in error.got
    assert do in error.do


@pytest.mark.parametrize(
    ("model", "got", "do"),
    [
        ("absent.onnx", "absent.onnx does not exist", "Check the path"),
        ("https://host/one.onnx", "a model on a network", "Download it"),
        ("s3://bucket/one.onnx", "a model on a network", "Download it"),
        ("yx.zarr", "yx.zarr is a folder", "Give the .onnx file"),
        ("loop", "does not exist", "Check the path"),
        ("empty.onnx", "is empty", "Export or download"),
        ("corrupt.onnx", "is no ONNX model", "Export or download"),
        ("cut.onnx", "is no ONNX model", "Export or download"),
        ("ir.onnx", "IR version: 99, max supported", "older opset"),
        ("opset.onnx", "its opset is 99, and this onnxruntime takes up to", "older opset"),
        ("custom.onnx", "my.domain:Magic", "without custom operators"),
        ("rgb.onnx", "1 channel of the image", "--axes"),
        ("volume.onnx", "axes yx for a 3-D model", "--axes"),
    ],
)
def test_a_model_that_cannot_be_run(refused, model, got, do):
    error = refused("run", "yx.zarr", model, "out")
    assert got in error.got
    assert "onnxruntime_src" not in error.got
    assert do in error.do


@pytest.mark.parametrize(
    ("image", "out", "got"),
    [
        ("yx.zarr", "yx.zarr/out", "lies inside the input"),
        ("yx.zarr", "yx.zarr", "is the input"),
        ("yx.zarr", "yx.zarr/", "is the input"),
        ("yx.zarr", "folder/../yx.zarr", "is the input"),
        ("yx.zarr", "link.zarr", "is the input"),
        ("link.zarr", "yx.zarr/out", "lies inside the input"),
        ("ome.zarr/0", "ome.zarr/out", "lies inside the input"),
        ("ome.zarr", "ome.zarr/0/out", "lies inside the input"),
        ("yx.zarr", ".", "holds the input"),
        ("yx.zarr", "one.onnx", "is the input"),
        ("yx.zarr", "folder", "exists and is not tilewise's"),
        ("yx.zarr", "cyx.zarr", "exists and is not tilewise's"),
        ("yx.zarr", "cyx.zarr/out", "lies inside the zarr store"),
        ("yx.zarr", "rgb.onnx", "exists and is not tilewise's"),
        ("yx.zarr", "rgb.onnx/out", "a file"),
        ("yx.zarr", "dangling", "exists and is not tilewise's"),
        ("yx.zarr", "loop", "no place"),
        ("yx.zarr", "nul\0", "no place"),
        ("yx.zarr", "x" * 300, "no place"),
        ("yx.zarr", "", "an empty path"),
        ("yx.zarr", "ftp://host/out", "a store of kind ftp"),
        ("yx.zarr", "https://host/out", "on a web server, which takes nothing"),
        ("yx.zarr", "s3://bucket/a/../out", "the name 'a/../out'"),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_an_output_that_must_not_be(refused, command, image, out, got):
    assert got in refused(command, image, "one.onnx", out).got
    error = refused(command, image, "one.onnx", out, "--overwrite")
    assert got in error.got
    if "not tilewise's" in got:
        assert "--overwrite replaces only" in error.expected


def test_an_output_below_a_folder_that_cannot_be_written(refused, place, monkeypatch):
    # not by chmod: root may write anywhere
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(place))
    error = refused("run", "yx.zarr", "one.onnx", "new/out")
    assert f"{place} cannot be written" in error.got
    assert "Choose another place" in error.do


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ("--tile 66", "--tile 66; a multiple of 4 (66 is none); 64 and 68"),
        ("--tile 0", "--tile 0; at least 1"),
        ("--tile -64", "--tile -64; at least 1"),
        ("--tile 64,0", "--tile 64,0; at least 1"),
        ("--tile large", "--tile large; auto or whole numbers; --help"),
        ("--tile 64.5", "--tile 64.5; auto or whole numbers; --help"),
        ("--tile 64,", "--tile 64,; auto or whole numbers; --help"),
        ("--tile 64,64,64", "--tile 64,64,64; one number, or 2; 256,256"),
        ("--tile 64 --halo 32", "halo of [32, 32]; room for a core; 68 or more"),
        ("--halo -4", "--halo -4; no negative"),
        ("--halo wide", "--halo wide; auto, exact"),
        ("--halo nan", "--halo nan; auto, exact"),
        ("--halo 8 --overlap 16", "--halo 8 and --overlap 16; one of the two; Leave one"),
        ("--overlap -2", "--overlap -2; no negative"),
        ("--overlap 200 --tile 64", "halo of [100, 100]; room for a core; 204 or more"),
        ("--stride 16", "--stride 16 with a model that gives an image; only with models; --halo"),
        ("--stride 0", "--stride 0; at least 1"),
        ("--stride wide", "--stride wide; whole numbers; --help"),
        ("--neighbours z:1", "--neighbours along z, of an image of axes yx; does not see; --axes"),
        ("--neighbours y:1", "--neighbours y:1; z or t; z:1"),
        ("--neighbours z", "--neighbours z; an axis and a number; z:1"),
        ("--blend linear", "--blend linear; trim"),
        ("--block 0", "--block 0; at least 1"),
        ("--block 1,2,3", "--block 1,2,3; one number, or 2"),
        ("--batch 0", "--batch 0; at least 1"),
        ("--batch 1,2", "--batch 1,2; auto or a whole number"),
        ("--pad mirror", "--pad mirror; reflect, edge, constant"),
        ("--axes xx", "--axes xx; each letter once; --axes yx"),
        ("--axes zyx", "--axes zyx; 2 letters"),
        ("--axes tc", "--axes tc; y and x among them"),
        ("--level 99", "--level 99; level 0, its only one; Leave --level out"),
        ("--level -1", "--level -1; level 0"),
        ("--level 0,1", "--level 0,1; the number of a level"),
        ("--channels 7", "--channels 7; from 0 to 0"),
        ("--channels 0,0", "2 channels; 1, which the model takes; --channels 0"),
        ("--channels red", "--channels red; channel numbers"),
        ("--normalize maximum", "--normalize maximum; none, standardize, minmax, fixed, percentile"),
        ("--normalize fixed", "fixed without its numbers; --mean and --std; --mean 127.5"),
        ("--mean 3", "--mean; only with --normalize fixed"),
        ("--normalize fixed --mean 1,2 --std 1", "2 numbers; one number, or 1"),
        ("--normalize fixed --mean 1 --std 0", "--std 0; above 0"),
        ("--normalize fixed --mean 1 --std -1", "--std -1; above 0"),
        ("--normalize fixed --mean nan --std 1", "--mean nan; numbers"),
        ("--clip", "--clip; only with --normalize percentile; Add"),
        ("--range 0,2", "--range; only with --normalize minmax"),
        ("--normalize minmax --range 1,0", "--range 1; rising"),
        ("--normalize minmax --range 1", "--range 1; two numbers"),
        ("--normalize percentile --percentiles 99,1", "--percentiles 99; rising numbers within 0 and 100"),
        ("--normalize percentile --percentiles -1,50", "--percentiles -1; within 0 and 100"),
        ("--scope tile", "--scope; only with --normalize standardize or minmax"),
        ("--normalize minmax --scope all", "--scope all; image, slice, tile"),
        ("--normalize minmax --stats each", "--stats each; channel, all"),
        ("--output mask", "--output mask; scores, labels, raw"),
        ("--activation relu", "--activation relu; none, sigmoid, softmax"),
        ("--activation softmax", "softmax; several channels; sigmoid"),
        ("--output raw --activation sigmoid", "--output raw with --activation sigmoid; no activation"),
        ("--threshold 0.3", "--threshold; only with --output labels"),
        ("--output labels --threshold high", "--threshold high; a number"),
        ("--output labels --dtype float16", "--dtype; only with --output scores"),
        ("--dtype float64", "--dtype float64; float32, float16"),
        ("--layout XYZ", "--layout XYZ; letters of N, C, D, H, W; NCHW"),
        ("--layout NHWC", "runs on no image; an image; --layout"),
        ("--output-name mask", "--output-name mask; one of the outputs"),
        ("--input gain", "--input gain; NAME=VALUE; exposure=0.2"),
        ("--input gain=high", "--input gain=high; NAME=VALUE"),
        ("--input gain=1", "gain; one of the model's inputs (image)"),
        ("--device gpu", "--device gpu; auto, cpu, cuda"),
        ("--workers 0", "--workers 0; at least 1"),
        ("--workers many", "--workers many; auto or a whole number"),
        ("--threads 0", "--threads 0; at least 1"),
        ("--memory 100MB", "for itself alone; at most 100 MB; more --memory"),
        ("--memory 0", "--memory 0; a size such as 4GB"),
        ("--memory -1GB", "--memory -1GB; a size such as 4GB"),
        ("--memory lots", "--memory lots; a size such as 4GB"),
        ("--scheduler tcp://127.0.0.1:1 --workers 2", "--workers 2 with --scheduler; one of the two"),
        ("--nan drop", "--nan drop; keep, error"),
        ("--missing zero", "--missing zero; error, fill"),
    ],
)
def test_an_option_that_cannot_be_met(refused, options, parts):
    error = refused("plan", "yx.zarr", "unet.onnx", "out", *options.split())
    words = [*parts.split("; "), ""]
    for said, part in zip((error.got, error.expected, error.do), words, strict=False):
        assert part in said


def test_a_level_that_the_pyramid_lacks(refused):
    error = refused("run", "ome.zarr", "one.onnx", "out", "--level", "2")
    assert "one of its levels, 0 to 1" in error.expected


def test_memory_that_the_tile_does_not_fit_into(refused):
    error = refused("plan", "yx.zarr", "unet.onnx", "--memory", "361MB", "--tile", "128", "--threads", "2")
    assert "a smaller" in error.do
    assert "in the model" in error.got


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there(refused, device):
    from tilewise.session import offers_cuda

    if offers_cuda():
        pytest.skip("this runtime has CUDA")
    error = refused("run", "yx.zarr", "one.onnx", "out", "--device", device)
    assert f"no session starts on {device}" in error.got
    assert "--device cpu" in error.do


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense:1", "127.0.0.1:1"])
def test_a_scheduler_that_does_not_answer_is_refused_at_once(refused, address):
    begin = time.monotonic()
    error = refused("run", "yx.zarr", "one.onnx", "out", "--scheduler", address)
    assert time.monotonic() - begin < 15
    assert address in error.got
    assert "dask scheduler" in error.do


@pytest.mark.parametrize("out", ["absent", "yx.zarr", "folder", "one.onnx", "dangling"])
def test_a_status_of_what_is_no_output(refused, out):
    assert "no ledger" in refused("status", out).got


@pytest.mark.parametrize(("model", "got"), [("absent.onnx", "not exist"), ("ir.onnx", "too new"), ("folder", "folder")])
def test_an_inspection_of_what_is_no_model(refused, model, got):
    assert got in refused("inspect", model).got


@pytest.mark.parametrize(
    ("words", "got"),
    [
        ("run yx.zarr one.onnx", "Missing argument 'OUT'"),
        ("run yx.zarr", "Missing argument 'MODEL'"),
        ("run yx.zarr one.onnx out --tiles 64", "--tiles"),
        ("plan", "Missing argument"),
        ("status", "Missing argument"),
        ("train", "train"),
        ("--tile 64", "--tile"),
    ],
)
def test_a_command_line_that_is_wrong(refused, words, got):
    error = refused(*words.split())
    assert got in error.got
    assert "--help" in error.do


def test_an_option_without_its_value(place, monkeypatch):
    monkeypatch.chdir(place)
    said = call("run", "--json", "yx.zarr", "one.onnx", "out", "--tile")
    assert said.code == 2
    assert "--tile" in said.json["error"]["got"]


def test_no_command_at_all_shows_the_help():
    said = call()
    assert said.code == 2
    assert "inspect" in said.out + said.err
    assert "tilewise: " not in said.err


def test_a_model_of_fixed_size_and_batch_is_taken(place, tmp_path):
    model = save(one_layer(sizes=(64, 64), batch=2), tmp_path)
    assert call("plan", place / "yx.zarr", model).code == 0
