"""Tiles in several positions, averaged."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import tilewise
from images import make_pixels, write_array
from networks import classifier, save, tiny_unet
from oracle import infer_whole
from tilewise import Cut, Model, Results
from tilewise.errors import SettingError
from tilewise.turns import list_turns


@given(st.sampled_from(["", "y", "x", "yx", "zyx", "zx"]), st.booleans(), st.integers(0, 2**32 - 1))
def test_every_position_is_new_and_taken_back(flip, rotate, seed):
    spatial = "zyx" if "z" in flip else "yx"
    tiles = np.random.default_rng(seed).random((2, 3) + (4,) * len(spatial))
    turns = list_turns(Results(flip=flip, rotate=rotate), spatial)
    assert all(np.array_equal(turn.back(turn.there(tiles)), tiles) for turn in turns)
    made = {turn.there(tiles).tobytes() for turn in turns}
    assert len(made) == len(turns)
    assert turns[0].there(tiles).tobytes() == tiles.tobytes()
    plane = set(flip) & {"y", "x"}
    rest = 2 ** len(set(flip) - plane)
    assert len(turns) == rest * ((8 if plane else 4) if rotate else 2 ** len(plane))


def whole(path, pixels, results):
    """The mean over positions of the untiled image, written without the package's own turning."""
    made = []
    for quarters in range(4 if results.rotate else 1):
        for y in (False, True) if "y" in results.flip else (False,):
            for x in (False, True) if "x" in results.flip else (False,):
                axes = [1] * y + [2] * x
                seen = np.flip(np.rot90(pixels, quarters, (1, 2)), axes)
                one = infer_whole(path, np.ascontiguousarray(seen), 4)
                one = np.rot90(np.flip(one, axes), -quarters, (1, 2))
                made.append(1 / (1 + np.exp(-one.astype(np.float64))) if results.average == "scores" else one)
    mean = np.mean(made, axis=0, dtype=np.float64)
    return mean if results.average == "scores" else 1 / (1 + np.exp(-mean))


@pytest.mark.parametrize("average", ["raw", "scores"])
@pytest.mark.parametrize(("flip", "rotate"), [("y", False), ("yx", False), ("yx", True), ("", True)])
def test_turned_tiles_equal_the_turned_whole(tmp_path, flip, rotate, average):
    # sides on the model's grid: what is padded at the far edge would lie at another edge when it is turned
    pixels = make_pixels((148, 148), "float32")
    image = write_array(tmp_path / "image.zarr", pixels)
    path = save(tiny_unet(), tmp_path)
    results = Results(flip=flip, rotate=rotate, average=average, activation="sigmoid")
    found = []
    for tile, block in ((72, 100), (80, 40)):
        out = tmp_path / f"out-{tile}"
        tilewise.run(image, path, out, cut=Cut(tile=tile, block=block), results=results)
        found.append(zarr.open_array(out / "0", mode="r")[:])
    lazy = tilewise.predict(da.from_zarr(image), path, cut=Cut(tile=72), results=results).compute()
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], lazy)
    truth = whole(Model(path).prepared(), pixels[np.newaxis], results)
    assert np.abs(found[0] - truth).max() < 1e-6


def test_a_plan_says_how_often(tmp_path):
    image = write_array(tmp_path / "image.zarr", make_pixels((64, 64)))
    made = tilewise.plan(image, save(tiny_unet(), tmp_path), results=Results(flip="yx", rotate=True))
    assert any("computed 8 times" in note for note in made.notes)


def test_vectors_are_averaged_too(tmp_path):
    image = write_array(tmp_path / "image.zarr", make_pixels((3, 64, 64)))
    path = save(classifier(), tmp_path)
    pixels = tilewise.Pixels(axes="cyx")
    plain, turned = (
        tilewise.run(image, path, tmp_path / name, cut=Cut(tile=32), pixels=pixels, results=Results(flip=flip)).done
        for name, flip in (("a", ""), ("b", "yx"))
    )
    assert plain == turned
    one, two = (zarr.open_array(tmp_path / name / "0", mode="r")[:] for name in "ab")
    assert one.shape == two.shape
    assert not np.array_equal(one, two)


@pytest.mark.parametrize(
    ("cut", "results", "word"),
    [
        (Cut(), Results(flip="z"), "2-D model"),
        (Cut(tile=(32, 48)), Results(rotate=True), "square tiles"),
    ],
)
def test_what_cannot_be_turned_is_refused(tmp_path, cut, results, word):
    image = write_array(tmp_path / "image.zarr", make_pixels((128, 128)))
    with pytest.raises(SettingError, match=word):
        tilewise.plan(image, save(tiny_unet(), tmp_path), cut=cut, results=results)


@pytest.mark.parametrize("flip", ["yy", "c"])
def test_axes_that_are_none_are_refused(flip):
    with pytest.raises(SettingError, match="each letter once"):
        Results(flip=flip)
