"""Runs over a region or over scaled pixels are runs over an image that has just those pixels, to the bit."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import tilewise
from images import make_pixels, write_array, write_image
from networks import save, tiny_unet
from tilewise import Cut, Normalization, Pixels
from tilewise.errors import ImageError, OutputError
from tilewise.openers.view import read_view
from tilewise.source import _open_cached, open_view

STANDARDIZE = Normalization(kind="standardize")
REGION = (("y", 33, 190), ("x", 40, None))


@pytest.fixture(scope="module")
def client():
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0", memory_limit=0
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("views")


@pytest.fixture(scope="module")
def model(folder):
    return tilewise.Model(save(tiny_unet(2, 1), folder))


@pytest.fixture(scope="module")
def volume(folder):
    return tilewise.Model(save(tiny_unet(1, 1, ndim=3, depth=1), folder, "volume"))


@pytest.fixture(scope="module")
def slide(folder):
    pixels = make_pixels((2, 220, 260), "uint8")
    return write_image(
        folder / "slide.zarr",
        pixels,
        "cyx",
        levels=2,
        chunks=(1, 48, 56),
        scale=(1, 0.25, 0.25),
        translation=(0, 100, 200),
        units=(None, "micrometer", "micrometer"),
    )


def read(out):
    return zarr.open_array(out / "0", mode="r")[:]


def whole(spec):
    """All pixels of a view."""
    return read_view(_open_cached(spec), spec, tuple(slice(0, n) for n in spec.shape))


def test_a_region_runs_as_its_copy_does(tmp_path, client, model, slide):
    cut = Cut(tile=64, block=128)
    pixels = Pixels(normalization=STANDARDIZE, region=REGION)
    result = tilewise.run(slide, model, tmp_path / "out.zarr", cut=cut, pixels=pixels)
    copy = write_array(tmp_path / "copy.zarr", zarr.open_array(slide / "0", mode="r")[:, 33:190, 40:])
    tilewise.run(copy, model, tmp_path / "of_copy.zarr", cut=cut, pixels=Pixels(axes="cyx", normalization=STANDARDIZE))
    assert result.state == "done"
    np.testing.assert_array_equal(read(tmp_path / "out.zarr"), read(tmp_path / "of_copy.zarr"))
    ome = zarr.open_group(tmp_path / "out.zarr", mode="r").attrs["ome"]["multiscales"][0]["datasets"][0]
    moved = [t["translation"] for t in ome["coordinateTransformations"] if t["type"] == "translation"]
    assert moved == [[0.0, 108.25, 210.0]]
    lazy = tilewise.predict(
        da.from_zarr(str(slide / "0")),
        model,
        cut=cut,
        pixels=Pixels(axes="cyx", normalization=STANDARDIZE, region=REGION),
    )
    np.testing.assert_array_equal(lazy.compute(), read(tmp_path / "out.zarr"))


def test_another_region_is_refused_on_resume(tmp_path, client, model, slide):
    tilewise.run(slide, model, tmp_path / "out.zarr", pixels=Pixels(region=REGION))
    with pytest.raises(OutputError, match=r"image.region: y=33:190,x=40:260 -> y=33:190"):
        tilewise.run(slide, model, tmp_path / "out.zarr", pixels=Pixels(region=REGION[:1]))
    # the same region in other words
    again = Pixels(region=(("x", 40, 260), ("y", 33, 190), ("c", None, None)))
    assert tilewise.run(slide, model, tmp_path / "out.zarr", pixels=again).executions > 0


@pytest.mark.parametrize("block", [64, 100, 1000])
@pytest.mark.parametrize("size", [0.4, 0.7, 0.11])
def test_scaled_pixels_run_as_their_copy_does(tmp_path, client, model, slide, size, block):
    pixels = Pixels(normalization=STANDARDIZE, pixel_size=(size,), resample=True, region=(("y", 10, None),))
    cut = Cut(tile=64, block=block)
    spec = open_view(str(slide), pixels)
    assert spec.view.factor[1] != 1
    made = tilewise.plan(slide, model, tmp_path / "out.zarr", cut=cut, pixels=pixels)
    assert f"level {spec.level} is scaled on the fly (y by " in made.notes[0]
    tilewise.run(slide, model, tmp_path / "out.zarr", cut=cut, pixels=pixels)
    copy = write_array(tmp_path / "copy.zarr", whole(spec))
    tilewise.run(copy, model, tmp_path / "of_copy.zarr", cut=cut, pixels=Pixels(axes="cyx", normalization=STANDARDIZE))
    np.testing.assert_array_equal(read(tmp_path / "out.zarr"), read(tmp_path / "of_copy.zarr"))
    assert made.outputs[0].scale[1:] == pytest.approx((size, size))


def test_a_scaled_image_costs_what_is_read_for_it(model, slide):
    native = tilewise.plan(slide, model, cut=Cut(tile=64, block=128))
    shrunk = tilewise.plan(slide, model, cut=Cut(tile=64, block=128), pixels=Pixels(pixel_size=(0.35,), resample=True))
    assert native.read_amplification < shrunk.read_amplification < 2.5 * native.read_amplification
    assert shrunk.memory.read > native.memory.read
    with pytest.raises(ImageError, match="pixel_size for an array"):
        tilewise.predict(da.zeros((2, 64, 64)), model, pixels=Pixels(axes="cyx", pixel_size=(1.0,)))


@given(order=st.permutations("tczyx"), kept=st.sets(st.sampled_from("tcz")))
@settings(max_examples=5)
def test_every_order_of_axes_gives_each_plane_what_it_gets_alone(folder, client, model, order, kept):
    """A 2-D model over every plane."""
    axes = "".join(a for a in order if a in kept | {"c", "y", "x"})
    lengths = {"t": 2, "c": 2, "z": 3, "y": 40, "x": 52}
    pixels = make_pixels([lengths[a] for a in axes], "uint8", seed=len(axes))
    image = folder / f"{axes}.zarr"
    if not image.exists():
        write_array(image, pixels)
    found = tilewise.predict(da.from_zarr(str(image)), model, cut=Cut(tile=32), pixels=Pixels(axes=axes)).compute()
    placed = "".join(a for a in "tczyx" if a in axes)
    assert found.shape == tuple(1 if a == "c" else lengths[a] for a in placed)
    ordered = pixels.transpose([axes.index(a) for a in placed])
    lead = [range(lengths[a]) if a in "tz" else [slice(None)] for a in placed[:-2]]
    for place in np.ndindex(*[len(one) for one in lead]):
        index = tuple(one[k] for one, k in zip(lead, place, strict=True))
        plane = tilewise.predict(da.from_array(ordered[index]), model, cut=Cut(tile=32), pixels=Pixels(axes="cyx"))
        np.testing.assert_array_equal(found[index], plane.compute())


@given(order=st.permutations("tczyx"), kept=st.sets(st.sampled_from("tc")))
@settings(max_examples=5)
def test_every_order_of_axes_gives_each_time_point_what_it_gets_alone(folder, client, volume, order, kept):
    """A 3-D model over every time point, through the stored image."""
    axes = "".join(a for a in order if a in kept | {"z", "y", "x"})
    lengths = {"t": 2, "c": 1, "z": 12, "y": 20, "x": 28}
    pixels = make_pixels([lengths[a] for a in axes], "uint8", seed=len(axes))
    image, out = folder / f"v_{axes}.zarr", folder / f"out_{axes}.zarr"
    if not image.exists():
        write_array(image, pixels)
        tilewise.run(image, volume, out, cut=Cut(tile=16), pixels=Pixels(axes=axes))
    found = read(out)
    ordered = pixels.transpose([axes.index(a) for a in "tczyx" if a in axes])
    for t in range(2 if "t" in axes else 1):
        one = ordered[t] if "t" in axes else ordered
        one = one if "c" in axes else one[np.newaxis]
        alone = tilewise.predict(da.from_array(one), volume, cut=Cut(tile=16), pixels=Pixels(axes="czyx")).compute()
        np.testing.assert_array_equal(found[t] if "t" in axes else found, alone)
