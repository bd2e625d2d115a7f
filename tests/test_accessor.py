"""DataArrays in and out: names, coordinates, attributes, and the accessor that is there in either order of imports."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import tilewise
from images import make_pixels
from networks import Net, classifier, one_layer, save, wrap
from tilewise import Cut, Pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("accessor")


def run(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    "imports",
    [
        "import tilewise, xarray",
        "import xarray, tilewise",
        "import tilewise; import xarray as xr; import importlib; importlib.reload(tilewise)",
        "from tilewise import Cut; from xarray import DataArray",
    ],
)
def test_the_accessor_is_there_in_either_order(imports):
    said = run(
        f"import sys\n{imports}\nimport xarray\n"
        "print(type(xarray.zeros_like(xarray.DataArray([1])).tilewise).__name__)\n"
        "print(any(type(f).__name__ == '_Waiter' for f in sys.meta_path))\n"
        "print(xarray.__spec__.loader.exec_module.__name__, xarray.__spec__.name)"
    )
    assert said[:2] == ["Accessor", "False"]


def test_importing_tilewise_imports_no_xarray():
    assert run("import sys, tilewise; print('xarray' in sys.modules, 'numpy' in sys.modules)") == ["False", "False"]


def test_looking_for_xarray_does_not_import_it():
    code = (
        "import sys, tilewise, importlib.util as u; print(u.find_spec('xarray') is not None, 'xarray' in sys.modules)"
    )
    assert run(code) == ["True", "False"]


def array_of(shape=(2, 40, 50), dims=("t", "y", "x")):
    sizes = dict(zip(dims, shape, strict=True))
    return xr.DataArray(
        make_pixels(shape, "float32"),
        dims=dims,
        name="cells",
        attrs={"microscope": "old", "pixel": 0.5},
        coords={
            "y": ("y", 10 + 0.5 * np.arange(sizes["y"]), {"units": "um"}),
            "x": ("x", 0.25 * np.arange(sizes["x"])),
            "row": ("y", [f"r{k}" for k in range(sizes["y"])]),
            "t": np.array(["2024-01-01", "2024-01-03"], "datetime64[ns]"),
            "plate": 7,
            "depth": (("y", "x"), np.zeros((sizes["y"], sizes["x"]))),
        },
    )


def test_a_result_of_the_same_pixels_keeps_all_there_is(folder):
    array = array_of()
    found = array.tilewise.predict(save(one_layer(), folder), cut=Cut(tile=16))
    assert isinstance(found, xr.DataArray)
    assert (found.dims, found.name, found.attrs) == (("t", "c", "y", "x"), "cells", array.attrs)
    assert set(found.coords) == set(array.coords)
    for name in array.coords:
        assert found.coords[name].identical(array.coords[name])
    again = tilewise.predict(array, save(one_layer(), folder), cut=Cut(tile=16))
    np.testing.assert_array_equal(found, again)


def test_the_users_own_names_of_dimensions_stay(folder):
    array = array_of().rename(y="Y", x="X")
    found = array.tilewise.predict(save(one_layer(), folder), cut=Cut(tile=16))
    assert found.dims == ("t", "c", "Y", "X")
    assert found.coords["Y"].identical(array.coords["Y"])


def test_a_region_keeps_its_coordinates(folder):
    array = array_of()
    found = array.tilewise.predict(save(one_layer(), folder), pixels=Pixels(region=(("y", 8, 30), ("t", 1, 2))))
    assert found.sizes["y"] == 22
    assert found.coords["y"].identical(array.coords["y"][8:30])
    assert found.coords["t"].identical(array.coords["t"][1:2])


def shrinking():
    """One convolution of stride 4: an output pixel every 4 pixels."""
    net = Net(2)
    return wrap(net, lambda x: net.conv(x, 1, 4, stride=4, pads=0))


@pytest.mark.parametrize(("make", "factor"), [(shrinking, 4.0), (lambda: upscaling(2), 0.5)])
def test_coordinates_of_scaled_results_are_those_of_their_centres(folder, make, factor):
    array = array_of((2, 48, 64))
    found = array.tilewise.predict(save(make(), folder, f"by{factor}"), cut=Cut(tile=16))
    assert found.sizes["y"] == 48 / factor
    places = (np.arange(found.sizes["y"]) + 0.5) * factor - 0.5
    np.testing.assert_allclose(found.coords["y"], 10 + 0.5 * places)
    assert found.coords["y"].attrs == {"units": "um"}
    assert found.coords["t"].identical(array.coords["t"])
    assert "plate" in found.coords
    # names and grids have no place between the image's pixels
    assert not {"row", "depth"} & set(found.coords)


def upscaling(scale):
    net = Net(2)
    return wrap(net, lambda x: net.conv(net.resize(x, scale), 1))


def test_coordinates_of_vectors_are_those_of_their_tiles(folder):
    array = array_of((2, 48, 64))
    found = array.tilewise.predict(save(classifier(1), folder, "vector"), cut=Cut(tile=16, stride=8))
    np.testing.assert_allclose(found.coords["x"], 0.25 * (7.5 + 8 * np.arange(found.sizes["x"])))
