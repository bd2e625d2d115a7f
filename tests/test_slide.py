"""A real slide, read directly: level by pixel size, tissue by itself, and no nucleus of the unmasked run lost."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

import tilewise
from networks import save
from slides import THRESHOLD, dice, enlarge, find_lost, otsu, saturation, stain
from tilewise import Cut, Pixels, Results
from tilewise.errors import ImageError
from tilewise.geometry import Box
from tilewise.source import Source, open_view

pytestmark = pytest.mark.data

CUT = Cut(tile=256, halo="exact", block=256)
LABELS = Results(output="labels", threshold=THRESHOLD)


@pytest.fixture(scope="module")
def slide(data):
    pytest.importorskip("tifffile")
    return data / "images" / "CMU-1-Small-Region.svs"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tilewise.Model(save(stain(), tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def runs(slide, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("slide")
    found = {}
    for name, mask in (("whole", None), ("masked", "auto")):
        pixels = Pixels(pixel_size=(0.5,), mask=mask)
        result = tilewise.run(slide, model, folder / f"{name}.zarr", cut=CUT, pixels=pixels, results=LABELS)
        found[name] = (result, zarr.open_array(folder / f"{name}.zarr" / "0", mode="r")[:], folder / f"{name}.zarr")
    return found


def test_no_nucleus_is_lost_and_a_third_of_the_tiles_is_skipped(runs, slide, model):
    (whole, labels, _), (masked, kept, _) = runs["whole"], runs["masked"]
    assert (whole.state, masked.state) == ("done", "done")
    assert labels.mean() > 0.1
    assert find_lost(labels, kept) == []
    assert whole.tiles_skipped == whole.skipped == 0
    assert masked.skipped > 0
    tiles = tilewise.plan(slide, model, cut=CUT).grid.tiles
    assert 3 * masked.tiles_skipped > tiles
    np.testing.assert_array_equal(kept[kept > 0], labels[kept > 0])


def test_what_is_lost_would_be_found(runs):
    labels = runs["whole"][1]
    less = labels.copy()
    less[1000:1600, 800:1400] = 0
    assert len(find_lost(labels, less)) > 10


def test_the_mask_is_the_tissue_that_otsu_on_saturation_finds(runs, slide):
    spec = open_view(str(slide), Pixels())
    pixels = Source(spec, "yx").read(Box((), ()), (0, 1, 2), Box((0, 0), (2967, 2220)))
    colour = saturation(pixels)
    tissue = colour > otsu(colour)
    stored = zarr.open_array(runs["masked"][2] / "tilewise" / "mask", mode="r")
    found = enlarge(stored[:].astype(bool), tissue.shape)
    assert dice(found, tissue) >= 0.9
    assert "saturation above" in stored.attrs["how"]


def test_a_pixel_size_that_the_slide_lacks_is_refused_with_what_it_has(slide):
    with pytest.raises(ImageError, match=r"--pixel-size 1 for .*; expected .* there is level 0: 0.499 x 0.499 um"):
        open_view(str(slide), Pixels(pixel_size=(1.0,)))


def test_scaled_on_the_fly_it_is_the_slide_at_half_the_size(slide):
    spec = open_view(str(slide), Pixels(pixel_size=(0.998,), resample=True))
    whole = Source(open_view(str(slide), Pixels()), "yx").read(Box((), ()), (0, 1, 2), Box((0, 0), (600, 800)))
    found = Source(spec, "yx").read(Box((), ()), (0, 1, 2), Box((0, 0), (300, 400)))
    means = whole.reshape(3, 300, 2, 400, 2).astype(float).mean(axis=(2, 4))
    np.testing.assert_array_equal(found, np.rint(means))
