"""2.5-D models: neighbouring planes as channels, against a loop over the planes written without tilewise."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import tilewise
from images import make_pixels, write_array
from networks import one_layer, save, tiny_unet
from oracle import infer_whole
from specs import image_of, model_of
from tilewise import Cut, Machine, Model, Normalization, Pixels
from tilewise.block import process, show
from tilewise.errors import ImageError, OutputError, SettingError
from tilewise.geometry import source_box
from tilewise.planning import decide
from tilewise.settings import Asked

MACHINE = Machine(memory=4 * 10**9, threads=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("neighbours")


@pytest.fixture(scope="module")
def unet(folder):
    """Three planes of two channels each."""
    return Model(save(tiny_unet(6, 2), folder, "unet"))


@pytest.fixture(scope="module")
def pixels():
    return make_pixels((2, 7, 90, 75), "uint8")


@pytest.fixture(scope="module")
def image(folder, pixels):
    return write_array(folder / "image.zarr", pixels, chunks=(2, 3, 40, 40))


def stack(pixels, k):
    """Planes [z, c, y, x] with their neighbours as channels [z, (2k + 1) c, y, x], plane by plane."""
    last = len(pixels) - 1
    return np.stack(
        [np.concatenate([pixels[min(max(z + d, 0), last)] for d in range(-k, k + 1)]) for z in range(last + 1)]
    )


def read(out, level="0"):
    return zarr.open_array(Path(out) / level, mode="r")[:]


def untiled(model, planes):
    """Every plane [c, y, x] of the model's channels, untiled, stacked as [c, z, y, x]."""
    whole = [infer_whole(model.prepared(), plane, model.spec.multiple) for plane in planes]
    return np.stack(whole, axis=1)


def standardized(planes, scope):
    """Planes [z, c, y, x], each channel over all of them or each plane alone, in double."""
    axes = (0, 2, 3) if scope == "image" else (2, 3)
    wide = planes.astype(np.float64)
    return ((wide - wide.mean(axes, keepdims=True)) / wide.std(axes, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("cut", [Cut(tile=64, halo="exact", block=40), Cut()], ids=["tiles", "auto"])
@pytest.mark.parametrize("scope", [None, "image", "slice"])
def test_run_and_predict_equal_the_planes_one_by_one(tmp_path, unet, image, pixels, cut, scope):
    planes = pixels.swapaxes(0, 1)
    ready = planes.astype(np.float32) if scope is None else standardized(planes, scope)
    expected = untiled(unet, stack(ready, 1))
    how = Normalization() if scope is None else Normalization(kind="standardize", scope=scope)
    asked = Pixels(axes="czyx", neighbours=("z", 1), normalization=how)
    assert tilewise.run(image, unet, tmp_path / "o.zarr", cut=cut, pixels=asked).state == "done"
    np.testing.assert_array_equal(read(tmp_path / "o.zarr"), expected)
    lazy = tilewise.predict(da.from_array(pixels, chunks=(1, 2, 50, 75)), unet, cut=cut, pixels=asked)
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), expected)


def test_a_block_reads_each_plane_once():
    asked = Asked(pixels=Pixels(neighbours=("z", 1)), machine=MACHINE)
    made = decide(image_of("zyx", (20, 64, 64)), model_of(channels=3), asked)
    # blocks of four planes and what stands beside them, not three planes for each of the twenty
    assert made.blocks.cores == (4, 1, 1)
    assert made.blocks.read_pixels() == (5 + 6 + 6 + 6 + 5) * 64 * 64
    assert made.redundancy == 1


def test_time_has_neighbours_too(tmp_path, folder):
    model = Model(save(one_layer(5, 1), folder, "five"))
    pixels = make_pixels((4, 2, 30, 40), "uint16")
    stored = write_array(tmp_path / "image.zarr", pixels)
    asked = Pixels(axes="tzyx", neighbours=("t", 2))
    tilewise.run(stored, model, tmp_path / "o.zarr", pixels=asked)
    for z in range(2):
        planes = stack(pixels[:, z, np.newaxis].astype(np.float32), 2)
        np.testing.assert_array_equal(read(tmp_path / "o.zarr")[:, 0, z], untiled(model, planes)[0])
    lazy = tilewise.predict(da.from_array(pixels, chunks=(1, 1, 30, 40)), model, pixels=asked)
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), read(tmp_path / "o.zarr"))


@settings(max_examples=30)
@given(data=st.data())
def test_what_the_model_sees(data):
    """Any number of planes, channels and neighbours, whatever the padding in the plane."""
    t, z, c, k = (data.draw(st.integers(1, n)) for n in (2, 6, 3, 3))
    pad = data.draw(st.sampled_from(["reflect", "edge", "constant"]))
    pixels = np.random.default_rng(z).normal(size=(t, z, c, 11, 13)).astype(np.float32)
    channels = c * (2 * k + 1)
    model = model_of(channels=channels, out_channels=channels, reach=0)
    asked = Asked(
        pixels=Pixels(neighbours=("z", k)), cut=Cut(pad=pad, batch=data.draw(st.integers(1, 3))), machine=MACHINE
    )
    made = decide(image_of("tzcyx", pixels.shape, "float32"), model, asked)
    found = np.full((t, z, channels, 11, 13), np.nan, np.float32)
    for number in range(made.blocks.total):
        span = made.blocks.span(made.blocks.index(number))
        box = source_box(span.window, made.grid.shape, pad)
        part = pixels[(*box.slices[:2], slice(None), *box.slices[2:])]
        (result,) = process(
            show(part, box, span.window, made.recipe), span, made.recipe, statistics=None, infer=lambda batch: [batch]
        )
        found[(*span.placed.slices[:2], slice(None), *span.placed.slices[2:])] = result
    for time in range(t):
        np.testing.assert_array_equal(found[time], stack(pixels[time], k))


def test_a_tile_of_its_own_statistics_counts_all_its_planes(tmp_path, folder):
    model = Model(save(one_layer(3, 1), folder, "three"))
    pixels = make_pixels((3, 20, 24), "uint8")
    stored = write_array(tmp_path / "image.zarr", pixels)
    how = Normalization(kind="minmax", scope="tile")
    tilewise.run(stored, model, tmp_path / "o.zarr", pixels=Pixels(neighbours=("z", 1), normalization=how))
    seen = stack(pixels[:, np.newaxis].astype(np.float64), 1)
    low, high = (f(seen, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    np.testing.assert_array_equal(
        read(tmp_path / "o.zarr"), untiled(model, ((seen - low) / (high - low)).astype(np.float32))
    )


def refused(axes, shape, model, **pixels):
    with pytest.raises((SettingError, ImageError)) as error:
        decide(image_of(axes, shape), model, Asked(pixels=Pixels(**pixels), machine=MACHINE))
    return error.value


def test_channels_that_do_not_fit_name_the_neighbours_that_would():
    error = refused("czyx", (2, 9, 50, 50), model_of(channels=6))
    assert (error.got, "--neighbours z:1" in error.do) == ("2 channels of the image", True)
    assert "--neighbours t:2" in refused("tyx", (9, 50, 50), model_of(channels=5)).do
    # an even number of planes, no planes at all, or a volume's own z
    for axes, shape, model in (
        ("zyx", (9, 50, 50), model_of(channels=4)),
        ("yx", (50, 50), model_of(channels=3)),
        ("zyx", (9, 50, 50), model_of(ndim=3, channels=3)),
    ):
        assert "--neighbours" not in refused(axes, shape, model).do


def test_neighbours_that_cannot_be():
    three = model_of(channels=3)
    assert "along z, of an image of axes tyx" in refused("tyx", (9, 50, 50), three, neighbours=("z", 1)).got
    volume = model_of(ndim=3, channels=3)
    assert "which the model sees whole" in refused("zyx", (9, 50, 50), volume, neighbours=("z", 1)).got
    error = refused("zyx", (9, 50, 50), three, neighbours=("z", 2))
    assert (error.got, error.expected[:8]) == ("1 channels of each of 5 planes", "3 in all")
    for wrong in (("y", 1), ("z", 0)):
        with pytest.raises(SettingError, match="--neighbours"):
            Pixels(neighbours=wrong)


def test_other_neighbours_do_not_resume(tmp_path, folder, image):
    model = Model(save(one_layer(6, 1), folder, "six"))
    asked = Pixels(axes="czyx", neighbours=("z", 1))
    tilewise.run(image, model, tmp_path / "o.zarr", pixels=asked)
    other = Pixels(axes="zcyx", neighbours=("z", 1), channels=(0, 2))
    with pytest.raises(OutputError, match="axes: czyx -> zcyx"):
        tilewise.run(image, model, tmp_path / "o.zarr", pixels=other)
    single = Pixels(axes="tzyx", neighbours=("t", 1))
    three = Model(save(one_layer(3, 1), folder, "t"))
    tilewise.run(image, three, tmp_path / "t.zarr", pixels=single)
    with pytest.raises(OutputError, match=r'neighbours: \["t", 1\] -> \["z", 1\]'):
        tilewise.run(image, three, tmp_path / "t.zarr", pixels=Pixels(axes="tzyx", neighbours=("z", 1)))
