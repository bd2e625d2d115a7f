import json

import numpy as np
import pytest
import xarray as xr
import zarr

from images import make_pixels, write_array, write_group, write_image
from tilewise.errors import ImageError
from tilewise.geometry import Box
from tilewise.source import Source, open_image


def read_whole(spec):
    return Source(spec, "yx").read(Box((), ()), (0,), Box((0, 0), spec.shape[-2:]))[0]


def write_series(path, count, listed=None, version="0.4"):
    """What bioformats2raw writes: an image a series, and beside them a group that may list them."""
    zarr_format = 2 if version == "0.4" else 3
    root = {"bioformats2raw.layout": 3}
    write_group(path, root if version == "0.4" else {"ome": {"version": "0.5", **root}}, zarr_format)
    for k in range(count):
        write_image(path / str(k), make_pixels((20 + k, 30), seed=k), "yx", version=version)
    if listed is not None:
        beside = {"series": listed}
        write_group(path / "OME", beside if version == "0.4" else {"ome": {"version": "0.5", **beside}}, zarr_format)
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("listed", [None, ["0"]])
def test_the_only_series_is_meant(tmp_path, version, listed):
    path = write_series(tmp_path / "a.zarr", 1, listed, version)
    spec = open_image(str(path))
    assert spec == open_image(f"{path}/0")
    np.testing.assert_array_equal(read_whole(spec), make_pixels((20, 30)))


@pytest.mark.parametrize("listed", [None, ["0", "1"]])
def test_of_several_series_each_is_named(tmp_path, listed):
    path = write_series(tmp_path / "a.zarr", 2, listed)
    with pytest.raises(ImageError, match=r"bioformats2raw conversion.*\(it holds 0, 1\).*for example .*a\.zarr/0"):
        open_image(str(path))
    assert open_image(f"{path}/1").shape == (21, 30)


@pytest.mark.parametrize("name", ["../b.zarr", "/etc", "a\\b", "..", 3])
def test_a_list_of_series_that_leads_outside_is_not_followed(tmp_path, name):
    write_image(tmp_path / "b.zarr", make_pixels((20, 30)), "yx", version="0.4")
    path = write_series(tmp_path / "a.zarr", 0, [name])
    with pytest.raises(ImageError, match=r"bioformats2raw conversion.*\(it holds none\)"):
        open_image(str(path))


def test_a_link_that_leads_outside_is_not_followed(tmp_path):
    write_image(tmp_path / "b.zarr", make_pixels((20, 30)), "yx", version="0.4")
    path = write_series(tmp_path / "a.zarr", 0, ["0"])
    (path / "0").symlink_to(tmp_path / "b.zarr")
    with pytest.raises(ImageError, match=r"0 of .*a\.zarr is a link to .*b\.zarr"):
        open_image(str(path))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_labels_are_images_too(tmp_path, version):
    path = write_image(tmp_path / "a.zarr", make_pixels((20, 30)), "yx", version=version)
    labels = {"labels": ["cells"]}
    zarr_format = 2 if version == "0.4" else 3
    write_group(path / "labels", labels if version == "0.4" else {"ome": {"version": "0.5", **labels}}, zarr_format)
    write_image(path / "labels" / "cells", make_pixels((20, 30), "uint16"), "yx", version=version)
    for place in ("labels/cells", "labels", "labels/cells/0"):
        spec = open_image(f"{path}/{place}")
        assert (spec.axes, spec.dtype) == ("yx", "uint16")
        np.testing.assert_array_equal(read_whole(spec), make_pixels((20, 30), "uint16"))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_dataset_of_xarray_names_its_axes(tmp_path, zarr_format):
    pixels = make_pixels((3, 20, 30), "uint16")
    array = xr.DataArray(pixels, dims=("time", "y", "x"), coords={"y": np.arange(20) * 0.5, "x": np.arange(30)})
    path = tmp_path / "a.zarr"
    array.to_dataset(name="cells").to_zarr(path, zarr_format=zarr_format, consolidated=False)
    spec = open_image(str(path))
    assert (spec.path, spec.axes, spec.name) == (f"{path}/cells", "tyx", "cells")
    source = Source(spec, "yx")
    np.testing.assert_array_equal(
        source.read(Box((0,), (3,)), (0,), Box((0, 0), (20, 30)), missing="fill")[:, 0], pixels
    )
    assert open_image(str(path), axes="zyx").axes == "zyx"


def test_of_several_arrays_each_is_named(tmp_path):
    path = write_group(tmp_path / "a.zarr", {})
    for name in ("raw", "other"):
        write_array(path / name, make_pixels((20, 30)))
    write_array(path / "x", make_pixels((30,)))
    with pytest.raises(ImageError, match=r"a zarr group without OME-Zarr metadata \(it holds .*for example"):
        open_image(str(path))


def test_a_group_within_a_group_is_looked_into(tmp_path):
    path = write_group(tmp_path / "a.zarr", {})
    write_group(path / "inner", {})
    write_array(path / "inner" / "raw", make_pixels((20, 30)))
    assert open_image(str(path)).path == f"{path}/inner/raw"
    write_array(path / "beside", make_pixels((20, 30)))
    with pytest.raises(ImageError, match=r"it holds .*beside"):
        open_image(str(path))


def test_of_several_images_in_a_group_the_first_is_read_and_said(tmp_path):
    path = write_image(tmp_path / "a.zarr", make_pixels((20, 30)), "yx", name="one")
    write_array(path / "second", make_pixels((9, 8)))
    content = json.loads((path / "zarr.json").read_text())
    images = content["attributes"]["ome"]["multiscales"]
    images.append({**images[0], "name": "two", "datasets": [{**images[0]["datasets"][0], "path": "second"}]})
    (path / "zarr.json").write_text(json.dumps(content))
    spec = open_image(str(path))
    assert spec.shape == (20, 30)
    assert "holds 2 images (one, two): the first is read" in spec.notes[0]
    assert open_image(f"{path}/second").shape == (9, 8)


def test_levels_of_a_plain_array_are_its_own(tmp_path):
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w").create_array("raw", shape=(4, 4), dtype="u1")
    with pytest.raises(ImageError, match="level 0, its only one"):
        open_image(str(tmp_path / "a.zarr"), level=1)
