import gc
import subprocess
import sys

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import tilewise
from images import make_pixels, write_array
from networks import one_layer, save
from tilewise import Cut, Machine, Pixels, Results
from tilewise.errors import ImageError, SettingError
from tilewise.geometry import Box
from tilewise.openers.held import name_image
from tilewise.source import Source, open_image, sample_pixels

CUT = Cut(tile=32, halo="exact")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(one_layer(), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def pixels():
    return make_pixels((100, 90), "uint16")


@pytest.fixture(scope="module")
def wanted(tmp_path_factory, model, pixels):
    folder = tmp_path_factory.mktemp("wanted")
    tilewise.run(write_array(folder / "a.zarr", pixels), model, folder / "o.zarr", cut=CUT)
    return zarr.open_array(folder / "o.zarr" / "0", mode="r")[...]


@pytest.mark.parametrize(
    "make",
    [
        lambda a: a,
        np.asfortranarray,
        lambda a: a.astype(">u2"),
        lambda a: da.from_array(a, chunks=(40, 33)),
        lambda a: xr.DataArray(a, dims=("y", "x")),
        lambda a: xr.DataArray(da.from_array(a, chunks=(50, 50)), dims=("Y", "X")),
        lambda a: zarr.array(a, chunks=(40, 40)),
    ],
    ids=["numpy", "fortran", "big-endian", "dask", "xarray", "xarray of dask", "zarr"],
)
def test_a_run_over_an_array_is_that_over_a_copy(tmp_path, model, pixels, wanted, make):
    result = tilewise.run(make(pixels), model, tmp_path / "o.zarr", cut=CUT)
    assert result.state == "done"
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "o.zarr" / "0", mode="r")[...], wanted)


def test_dimensions_and_coordinates_name_and_place_the_axes(tmp_path, model):
    array = xr.DataArray(
        make_pixels((3, 40, 50)),
        dims=("time", "y", "x"),
        coords={"y": 10 + 0.5 * np.arange(40), "x": np.geomspace(1, 9, 50), "time": ["a", "b", "c"]},
        name="cells",
    )
    array.y.attrs["units"] = "micrometer"
    made = tilewise.plan(array, model)
    image = made.image
    assert (image.axes, image.name) == ("tyx", "cells")
    assert (image.scale, image.translation) == ((1.0, 0.5, 1.0), (0.0, 10.0, 0.0))
    assert image.units == (None, "micrometer", None)
    assert tilewise.plan(array, model, pixels=Pixels(axes="zyx")).image.axes == "zyx"
    strange = array.rename(y="lat", x="lon", time="when")
    assert tilewise.plan(strange, model).image.axes == "zyx"


def test_only_the_box_that_is_asked_for_is_computed(model):
    seen = []

    def load(block_info=None):
        seen.append(block_info[None]["chunk-location"])
        return np.zeros((100, 100), "u1")

    with dask.config.set(scheduler="synchronous"):
        array = da.map_blocks(load, chunks=((100,) * 50, (100,) * 50), dtype="u1", meta=np.zeros((0, 0), "u1"))
    spec = open_image(name_image(array))
    assert spec.chunks == (100, 100)
    sample_pixels(spec)
    assert seen == []
    source = Source(spec, "yx")
    source.read(Box((), ()), (0,), Box((250, 110), (410, 190)))
    assert sorted(seen) == [(2, 1), (3, 1), (4, 1)]


def test_the_same_array_resumes_and_another_one_is_refused(tmp_path, model, pixels):
    out = tmp_path / "o.zarr"
    assert tilewise.run(pixels, model, out, cut=CUT).executions > 0
    assert tilewise.run(pixels.copy(), model, out, cut=CUT).executions > 0
    with pytest.raises(tilewise.errors.OutputError, match="other pixels"):
        tilewise.run(pixels + 1, model, out, cut=CUT)


@pytest.mark.parametrize("machine", [Machine(workers=2), Machine(scheduler="tcp://127.0.0.1:1")])
def test_workers_that_cannot_see_an_array_are_refused(tmp_path, model, pixels, machine):
    with pytest.raises(SettingError, match=r"(--workers 2|--scheduler) for an array in memory.*tilewise\.predict"):
        tilewise.run(pixels, model, tmp_path / "o.zarr", machine=machine)
    assert not (tmp_path / "o.zarr").exists()


@pytest.mark.slow
def test_a_client_of_other_processes_is_refused(tmp_path, model, pixels):
    from distributed import Client

    with (
        Client(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None),
        pytest.raises(SettingError, match="a Client whose workers are other processes"),
    ):
        tilewise.run(pixels, model, tmp_path / "o.zarr")
    assert not (tmp_path / "o.zarr").exists()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        ([[1, 2], [3, 4]], "an image of type list"),
        (None, "an image of type NoneType"),
        (np.zeros((2, 2), "complex64"), "type complex64"),
        (np.zeros((0, 2)), "is empty"),
        (np.zeros((2, 2, 9, 9)), "without names.*--axes czyx"),
        (da.zeros((9, 9))[da.zeros((9,)) > 0], "compute_chunk_sizes"),
    ],
)
def test_what_is_no_image_is_refused(model, array, words):
    with pytest.raises(ImageError, match=words):
        tilewise.plan(array, model)


def test_an_array_is_not_kept_alive(model):
    array = make_pixels((40, 40))
    name = name_image(array)
    assert name_image(array) == name
    del array
    gc.collect()
    with pytest.raises(ImageError, match="an array that this process does not have"):
        open_image(name)


def test_a_script_needs_no_dask_to_name_an_array():
    code = "import sys, numpy; from tilewise.openers.held import name_image; name_image(numpy.zeros((2, 2)));"
    code += "assert not {'dask', 'xarray', 'zarr'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_labels_of_an_array(tmp_path, model, pixels):
    tilewise.run(pixels, model, tmp_path / "o.zarr", cut=CUT, results=Results(output="labels"))
    assert zarr.open_array(tmp_path / "o.zarr" / "0", mode="r").dtype == np.uint8
