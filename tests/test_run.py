"""End to end: zarr in, zarr out, through real workers; the largest difference to an untiled run is exactly 0."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from onnx import TensorProto, helper

import tilewise
from images import make_pixels, write_array, write_image
from networks import one_layer, save, tiny_unet
from oracle import infer_whole, standardize
from tilewise import Behaviour, Cut, Machine, Model, Normalization, Pixels, Results
from tilewise.demo.show import MODEL
from tilewise.errors import OutputError
from tilewise.sink import validate

STANDARDIZE = Pixels(normalization=Normalization(kind="standardize"))
SIZE = (333, 421)
TILES = (64, 96, 160, 256)
BLOCKS = ("auto", 64, 200, 1000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def image(folder):
    """Odd sizes, chunks that fit nothing."""
    return write_array(folder / "image.zarr", make_pixels(SIZE, "uint8"), chunks=(100, 130))


@pytest.fixture(scope="module")
def untiled(image):
    return infer_whole(Model(MODEL).prepared(), standardize(zarr.open_array(image, mode="r")[:])[np.newaxis], 4)


@pytest.fixture(scope="module")
def two_workers():
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.worker.daemon": False}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def read(out, level="0"):
    return zarr.open_array(Path(out) / level, mode="r")[:]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("tile", TILES)
def test_one_worker_inside_the_process(tmp_path, image, untiled, tile, block):
    cut = Cut(tile=tile, halo="exact", block=block)
    result = tilewise.run(image, MODEL, tmp_path / "out.zarr", cut=cut, pixels=STANDARDIZE)
    assert (result.state, result.failed, result.providers) == ("done", 0, {"CPU": result.blocks})
    assert np.abs(read(tmp_path / "out.zarr") - untiled).max() == 0


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("tile", TILES)
def test_two_workers_as_processes(tmp_path, image, untiled, two_workers, tile, block):
    """On the Client that is active in Python."""
    cut = Cut(tile=tile, halo="exact", block=block)
    result = tilewise.run(image, MODEL, tmp_path / "out.zarr", cut=cut, pixels=STANDARDIZE)
    assert result.state == "done"
    assert np.abs(read(tmp_path / "out.zarr") - untiled).max() == 0


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("tile", TILES)
def test_the_lazy_face(tmp_path, image, untiled, tile, block):
    cut = Cut(tile=tile, halo="exact", block=block)
    lazy = tilewise.predict(da.from_zarr(str(image)), MODEL, cut=cut, pixels=STANDARDIZE)
    with dask.config.set(scheduler="threads", num_workers=2):
        lazy.to_zarr(str(tmp_path / "lazy.zarr"))
    stored = zarr.open_array(tmp_path / "lazy.zarr", mode="r")
    assert stored.chunks == tilewise.plan(image, MODEL, tmp_path / "o.zarr", cut=cut).outputs[0].shard[:1] + tuple(
        min(n, s) for n, s in zip(stored.shape[1:], lazy.chunksize[1:], strict=True)
    )
    assert np.abs(stored[:] - untiled).max() == 0


def test_both_faces_give_the_same_labels(tmp_path, image):
    results = Results(output="labels", activation="sigmoid")
    cut = Cut(tile=128, halo="exact")
    tilewise.run(image, MODEL, tmp_path / "out.zarr", cut=cut, pixels=STANDARDIZE, results=results)
    lazy = tilewise.predict(da.from_zarr(str(image)), MODEL, cut=cut, pixels=STANDARDIZE, results=results)
    stored = read(tmp_path / "out.zarr")
    assert stored.dtype == np.uint8
    assert stored.shape == SIZE
    assert set(np.unique(stored)) == {0, 1}
    np.testing.assert_array_equal(stored, lazy.compute(scheduler="threads"))


def test_the_output_is_ome_zarr_with_the_inputs_axes_and_scale(tmp_path):
    image = write_image(
        tmp_path / "image.zarr", make_pixels((2, 3, 40, 50), "uint16"), "tzyx", scale=(1.0, 2.0, 0.5, 0.25)
    )
    model = save(one_layer(1, 2), tmp_path)
    result = tilewise.run(image, model, tmp_path / "out.zarr", cut=Cut(tile=32, halo=8))
    assert result.state == "done"
    validate(str(tmp_path / "out.zarr"))
    array = zarr.open_array(tmp_path / "out.zarr" / "0", mode="r")
    assert array.shape == (2, 2, 3, 40, 50)
    assert array.metadata.dimension_names == ("t", "c", "z", "y", "x")
    ome = zarr.open_group(tmp_path / "out.zarr", mode="r").attrs["ome"]["multiscales"][0]
    scale = ome["datasets"][0]["coordinateTransformations"][0]["scale"]
    assert scale == [1.0, 1.0, 2.0, 0.5, 0.25]


def test_a_2d_model_runs_over_every_plane(tmp_path):
    pixels = make_pixels((2, 3, 2, 60, 70), "uint8")
    image = write_image(tmp_path / "image.zarr", pixels, "tczyx")
    model = Model(save(tiny_unet(2, 1), tmp_path))
    tilewise.run(image, model, tmp_path / "out.zarr", cut=Cut(tile=56, halo="exact"), pixels=Pixels(channels=(2, 0)))
    made = read(tmp_path / "out.zarr")
    for t in range(2):
        for z in range(2):
            plane = pixels[t, :, z][[2, 0]].astype(np.float32)
            assert np.abs(made[t, :, z] - infer_whole(model.prepared(), plane, model.spec.multiple)).max() == 0


def test_a_3d_model_runs_over_every_time(tmp_path):
    pixels = make_pixels((2, 30, 33, 35), "uint8")
    image = write_image(tmp_path / "image.zarr", pixels, "tzyx")
    model = Model(save(tiny_unet(ndim=3, depth=1), tmp_path))
    tilewise.run(image, model, tmp_path / "out.zarr", cut=Cut(tile=(24, 28, 32), halo="exact"))
    made = read(tmp_path / "out.zarr")
    for t in range(2):
        whole = infer_whole(model.prepared(), pixels[t][np.newaxis].astype(np.float32), model.spec.multiple)
        assert np.abs(made[t] - whole).max() == 0


def test_channels_last_models(tmp_path):
    pixels = make_pixels((3, 70, 80), "uint8")
    image = write_image(tmp_path / "image.zarr", pixels, "cyx")
    first, last = (save(tiny_unet(3, 2, layout=layout), tmp_path, layout) for layout in ("NCHW", "NHWC"))
    for model in (first, last):
        tilewise.run(image, model, tmp_path / f"{model.stem}.zarr", cut=Cut(tile=64, halo="exact"))
    np.testing.assert_array_equal(read(tmp_path / "NCHW.zarr"), read(tmp_path / "NHWC.zarr"))


@pytest.mark.parametrize("kind", ["minmax", "percentile", "fixed"])
@pytest.mark.parametrize("scope", ["image", "slice"])
def test_normalization_does_not_depend_on_blocks_or_faces(tmp_path, kind, scope):
    pixels = make_pixels((3, 300, 310), "float32") * 50 + 7
    image = write_array(tmp_path / "image.zarr", pixels, chunks=(1, 64, 100))
    model = save(one_layer(), tmp_path)
    given = {"mean": (3.0,), "std": (2.5,)} if kind == "fixed" else {}
    asked = Pixels(normalization=Normalization(kind=kind, scope=scope, **given))
    outs = []
    for block in (64, 1000):
        out = tmp_path / f"{block}.zarr"
        tilewise.run(image, model, out, cut=Cut(tile=64, halo=4, block=block), pixels=asked)
        outs.append(read(out))
    lazy = tilewise.predict(da.from_array(pixels, chunks=(2, 77, 310)), model, cut=Cut(tile=64, halo=4), pixels=asked)
    np.testing.assert_array_equal(outs[0], outs[1])
    np.testing.assert_array_equal(outs[0], lazy.compute(scheduler="threads"))


def test_the_same_command_again_does_nothing(tmp_path, image):
    out = tmp_path / "out.zarr"
    first = tilewise.run(image, MODEL, out, cut=Cut(tile=128))
    before = {p: p.stat().st_mtime_ns for p in (out / "0").rglob("*") if p.is_file()}
    again = tilewise.run(image, MODEL, out, cut=Cut(tile=128))
    assert (again.state, again.executions, again.done) == ("done", first.executions, first.blocks)
    assert {p: p.stat().st_mtime_ns for p in (out / "0").rglob("*") if p.is_file()} == before


def test_an_output_of_other_settings_is_refused_with_what_differs(tmp_path, image):
    out = tmp_path / "out.zarr"
    tilewise.run(image, MODEL, out, cut=Cut(tile=128))
    with pytest.raises(OutputError, match=r"tile: .*128.* -> .*96"):
        tilewise.run(image, MODEL, out, cut=Cut(tile=96))
    with pytest.raises(OutputError, match=r"results\.activation: none -> sigmoid"):
        tilewise.run(image, MODEL, out, cut=Cut(tile=128), results=Results(activation="sigmoid"))
    result = tilewise.run(image, MODEL, out, cut=Cut(tile=96), behaviour=Behaviour(overwrite=True))
    assert result.state == "done"


def test_a_failed_block_is_said_and_tried_again(tmp_path, untiled, image):
    broken = tmp_path / "image.zarr"
    pixels = zarr.open_array(image, mode="r")[:]
    write_array(broken, pixels, chunks=(100, 130))
    chunk = next(p for p in broken.rglob("1/2") if p.is_file())
    good = chunk.read_bytes()
    chunk.write_bytes(good[: len(good) // 2])
    asked = Pixels(normalization=Normalization(kind="fixed", mean=(pixels.mean(),), std=(pixels.std(),)))
    cut = Cut(tile=96, halo="exact", block=64)
    result = tilewise.run(broken, MODEL, tmp_path / "out.zarr", cut=cut, pixels=asked)
    assert result.state == "failed"
    assert 0 < result.failed < result.blocks
    assert "corrupt or cut short" in result.failures[0]["cause"]
    assert tilewise.status(str(tmp_path / "out.zarr")) == result
    chunk.write_bytes(good)
    again = tilewise.run(broken, MODEL, tmp_path / "out.zarr", cut=cut, pixels=asked)
    assert (again.state, again.failures) == ("done", ())
    assert again.executions == result.executions + result.failed
    assert np.abs(read(tmp_path / "out.zarr") - untiled).max() == 0


def test_a_plain_script_needs_no_main_guard(tmp_path, image):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import json, tilewise
        print("once")
        for workers in ("auto", 1):
            result = tilewise.run({str(image)!r}, {str(MODEL)!r}, {str(tmp_path)!r} + f"/{{workers}}.zarr",
                                  cut=tilewise.Cut(tile=160), machine=tilewise.Machine(workers=workers))
            print(json.dumps(result.to_json()))
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == "once"
    assert [json.loads(line)["state"] for line in lines[1:]] == ["done", "done"]
    np.testing.assert_array_equal(read(tmp_path / "auto.zarr"), read(tmp_path / "1.zarr"))


@pytest.mark.data
def test_the_nuclei_model_gives_its_published_reference(tmp_path, data):
    pixels = np.load(data / "models" / "unet2d_nuclei_broad_test_input.npy")[0, 0]
    image = write_array(tmp_path / "image.zarr", pixels, chunks=(128, 128))
    model = data / "models" / "unet2d_nuclei_broad.onnx"
    tilewise.run(image, model, tmp_path / "o.zarr", pixels=STANDARDIZE, results=Results(activation="sigmoid"))
    expected = np.load(data / "models" / "unet2d_nuclei_broad_test_output.npy")[0]
    assert np.abs(read(tmp_path / "o.zarr") - expected).max() < 1e-5


@pytest.mark.data
def test_the_nuclei_model_over_a_real_ome_zarr(tmp_path, data):
    image = data / "images" / "ome-zarr" / "xy_8bit__nuclei_PLK1_control.ome.zarr"
    model = Model(data / "models" / "unet2d_nuclei_broad.onnx")
    tilewise.run(image, model, tmp_path / "o.zarr", cut=Cut(tile=256, halo="exact"), pixels=STANDARDIZE)
    pixels = zarr.open_array(image / "0", mode="r")[0, 0, 0]
    whole = infer_whole(model.prepared(), standardize(pixels)[np.newaxis], 8)
    assert np.abs(read(tmp_path / "o.zarr")[0, :, 0] - whole).max() == 0
    validate(str(tmp_path / "o.zarr"))


@pytest.mark.data
def test_the_3d_model_over_a_part_of_a_real_brain(tmp_path, data):
    nibabel = pytest.importorskip("nibabel")
    brain = np.asarray(nibabel.load(data / "images" / "niivue_t1_crop.nii.gz").dataobj)[60:190, 70:180, 80:182]
    image = write_array(tmp_path / "image.zarr", brain, chunks=(64, 64, 64))
    model = Model(data / "models" / "meshnet3d_niivue.onnx")
    asked = Pixels(normalization=Normalization(kind="minmax"))
    for name, cut in (("whole", Cut(tile=256)), ("tiles", Cut(tile=(112, 110, 102), halo="exact"))):
        tilewise.run(image, model, tmp_path / f"{name}.zarr", cut=cut, pixels=asked)
    assert tilewise.plan(image, model, cut=Cut(tile=(112, 110, 102), halo="exact")).grid.tiles == 7
    np.testing.assert_array_equal(read(tmp_path / "whole.zarr"), read(tmp_path / "tiles.zarr"))


def test_a_scheduler_of_ones_own(tmp_path, image, untiled, two_workers):
    machine = Machine(scheduler=two_workers.scheduler.address)
    cut = Cut(tile=160, halo="exact")
    result = tilewise.run(image, MODEL, tmp_path / "out.zarr", cut=cut, pixels=STANDARDIZE, machine=machine)
    assert result.state == "done"
    assert np.abs(read(tmp_path / "out.zarr") - untiled).max() == 0


def test_constants_of_further_inputs_do_not_outlive_their_run(tmp_path):
    """Two runs in one process, of one file with two constants: the second must not get the first one's session."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["image", "gain"], ["out"])],
        "gain",
        [
            helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, "h", "w"]),
            helper.make_tensor_value_info("gain", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 1, "h", "w"])],
    )
    model = save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path)
    pixels = make_pixels((40, 50), "uint8")
    image = write_array(tmp_path / "image.zarr", pixels)
    for gain in (2.0, 3.0):
        out = tmp_path / f"{gain}.zarr"
        tilewise.run(image, model, out, graph=tilewise.Graph(inputs=(("gain", gain),)))
        np.testing.assert_array_equal(read(out)[0], pixels * np.float32(gain))
