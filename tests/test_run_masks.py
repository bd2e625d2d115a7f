"""Masked runs: what is kept equals the unmasked run to the bit, what is not is neither read nor computed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import zarr

import tilewise
from images import make_pixels, write_array, write_image
from networks import classifier, one_layer, save, tiny_unet
from tilewise import Behaviour, Cut, Normalization, Pixels, Results
from tilewise.errors import ImageError, OutputError
from tilewise.geometry import source_box
from tilewise.spot import choose_spots

CUT = Cut(tile=48, halo="exact", block=64)
STANDARDIZE = Normalization(kind="standardize")


@pytest.fixture(scope="module", autouse=True)
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
    return tmp_path_factory.mktemp("masks")


@pytest.fixture(scope="module")
def model(folder):
    return tilewise.Model(save(tiny_unet(1, 1), folder))


@pytest.fixture(scope="module")
def image(folder):
    return write_array(folder / "image.zarr", make_pixels((300, 420)), chunks=(32, 32))


@pytest.fixture(scope="module")
def unmasked(folder, image, model):
    tilewise.run(image, model, folder / "unmasked.zarr", cut=CUT, pixels=Pixels(normalization=STANDARDIZE))
    return read(folder / "unmasked.zarr")


def read(out):
    return zarr.open_array(out / "0", mode="r")[:]


def spread(tiles, made):
    """One value a tile as one a pixel."""
    found = np.zeros(made.grid.shape, bool)
    for tile in np.ndindex(*made.grid.counts):
        own = tuple(k if n > 1 else 0 for k, n in zip(tile, tiles.shape, strict=True))
        found[made.grid.core(tile).slices] = tiles[own]
    return found


def test_kept_tiles_equal_the_unmasked_run_and_others_are_fill(tmp_path, image, model, unmasked):
    mask = np.zeros((75, 105), np.uint8)
    mask[10:22, 40:41] = 7
    mask[70, 100] = 1
    path = write_array(tmp_path / "mask.zarr", mask)
    pixels = Pixels(normalization=STANDARDIZE, mask=str(path))
    made = tilewise.plan(image, model, cut=CUT, pixels=pixels)
    result = tilewise.run(image, model, tmp_path / "out.zarr", cut=CUT, pixels=pixels)
    kept = spread(made.mask.tiles, made)
    assert 0 < kept.mean() < 0.2
    found = read(tmp_path / "out.zarr")
    np.testing.assert_array_equal(found[0][kept], unmasked[0][kept])
    assert not found[0][~kept].any()
    assert kept[40:88, 160:164].all()
    assert (result.state, result.skipped, result.tiles_skipped) == ("done", made.blocks_skipped, made.tiles_skipped)
    assert result.done + result.skipped == result.blocks
    assert result.done < result.blocks // 4
    assert made.tiles_skipped == (~made.mask.tiles).sum() == made.to_json()["tiles_skipped"]
    assert f"{made.tiles_skipped:,} tiles and {made.blocks_skipped:,} whole blocks are skipped" in repr(made)
    assert f"{result.skipped:,} skipped ({result.tiles_skipped:,} tiles)" in repr(
        tilewise.status(tmp_path / "out.zarr")
    )
    stored = zarr.open_array(tmp_path / "out.zarr" / "tilewise" / "tiles", mode="r")
    np.testing.assert_array_equal(stored[:].astype(bool), made.mask.tiles)
    assert "any pixel above 0" in stored.attrs["how"]


def test_only_windows_of_kept_tiles_are_read(tmp_path, model, unmasked, image, folder):
    """Chunks that no kept tile needs are gone, and nobody misses them."""
    mask = np.zeros((300, 420), bool)
    mask[150, 200] = True
    path = write_array(tmp_path / "mask.zarr", mask)
    pixels = Pixels(mask=str(path))
    made = tilewise.plan(image, model, cut=CUT, pixels=pixels)
    number = next(n for n in range(made.blocks.total) if made.span(n).kept)
    window = source_box(made.span(number).window, made.grid.shape, "reflect")
    assert len(made.span(number).kept) == 1
    copy = write_array(tmp_path / "copy.zarr", zarr.open_array(image, mode="r")[:], chunks=(32, 32))
    for y in range(10):
        for x in range(14):
            inside = all(
                32 * k < b and 32 * (k + 1) > a for k, a, b in zip((y, x), window.start, window.stop, strict=True)
            )
            if not inside:
                (copy / "c" / str(y) / str(x)).unlink()
    behaviour = Behaviour(missing="error")
    result = tilewise.run(copy, model, tmp_path / "out.zarr", cut=CUT, pixels=pixels, behaviour=behaviour)
    assert (result.done, result.failed, result.missing) == (1, 0, 0)


def test_statistics_do_not_depend_on_the_mask(tmp_path, folder, image, model, unmasked):
    path = write_array(tmp_path / "mask.zarr", np.eye(3, dtype="uint8"))
    out = tmp_path / "out.zarr"
    tilewise.run(image, model, out, cut=CUT, pixels=Pixels(normalization=STANDARDIZE, mask=str(path)))
    known = [json.loads((one / "tilewise" / "statistics.json").read_text()) for one in (out, folder / "unmasked.zarr")]
    assert known[0] == known[1]
    found = read(out)
    kept = found != 0
    np.testing.assert_array_equal(found[kept], unmasked[kept])


def test_another_mask_is_refused_on_resume_and_the_same_goes_on(tmp_path, image, model):
    mask = np.zeros((30, 42), np.uint8)
    mask[3, 5] = 1
    path = write_array(tmp_path / "mask.zarr", mask)
    out = tmp_path / "out.zarr"
    first = tilewise.run(image, model, out, cut=CUT, pixels=Pixels(mask=str(path)))
    again = tilewise.run(image, model, out, cut=CUT, pixels=Pixels(mask=str(path)))
    assert replace(again, seconds=first.seconds) == first
    zarr.open_array(path, mode="r+")[29, 41] = 1
    with pytest.raises(OutputError, match=r"mask.sha256: another file"):
        tilewise.run(image, model, out, cut=CUT, pixels=Pixels(mask=str(path)))
    with pytest.raises(OutputError, match=r"mask"):
        tilewise.run(image, model, out, cut=CUT)


def test_a_flat_mask_holds_for_each_plane_and_one_of_planes_for_its_own(tmp_path, model):
    image = write_array(tmp_path / "stack.zarr", make_pixels((3, 100, 120)))
    flat, stack = np.zeros((50, 60), np.uint8), np.zeros((3, 50, 60), np.uint8)
    flat[5, 50], stack[1, 5, 50], stack[2, 45, 5] = 1, 1, 1
    results = Results(output="labels")
    whole = tmp_path / "whole.zarr"
    tilewise.run(image, model, whole, cut=CUT, results=results)
    for name, mask in (("flat", flat), ("stack", stack)):
        path = write_array(tmp_path / f"mask_{name}.zarr", mask)
        pixels = Pixels(mask=str(path))
        made = tilewise.plan(image, model, cut=CUT, pixels=pixels)
        tilewise.run(image, model, tmp_path / f"out_{name}.zarr", cut=CUT, pixels=pixels, results=results)
        kept = spread(made.mask.tiles, made)
        found = read(tmp_path / f"out_{name}.zarr")
        np.testing.assert_array_equal(found[kept], read(whole)[kept])
        assert not found[~kept].any()
        planes = kept.any(axis=(1, 2)).tolist()
        assert planes == ([True] * 3 if name == "flat" else [False, True, True])
        assert made.tiles_skipped == (sum(1 for t in np.ndindex(*made.grid.counts)) - (3 if name == "flat" else 2))


def test_a_mask_lies_on_the_whole_image_whatever_the_region(tmp_path, image, model):
    mask = np.zeros((30, 42), np.uint8)
    mask[20, 30] = 1
    path = write_array(tmp_path / "mask.zarr", mask)
    pixels = Pixels(mask=str(path), region=(("y", 150, None), ("x", 200, 400)))
    made = tilewise.plan(image, model, cut=CUT, pixels=pixels)
    kept = spread(made.mask.tiles, made)
    assert kept[200 - 150 : 210 - 150, 300 - 200 : 310 - 200].all()
    assert kept.sum() <= 4 * 48 * 48


@pytest.mark.parametrize("shape", [(42, 30), (300, 210)])
def test_the_mask_of_another_image_is_refused(tmp_path, image, model, shape):
    path = write_array(tmp_path / "mask.zarr", np.ones(shape, np.uint8))
    with pytest.raises(ImageError, match=r"--mask .* for an image of 300 x 420 yx"):
        tilewise.plan(image, model, pixels=Pixels(mask=str(path)))


def blobs(shape=(1200, 1400)):
    """Signal in one corner of a dark image."""
    pixels = np.random.default_rng(0).poisson(8, shape).astype("uint8")
    pixels[100:180, 150:400] += 120
    pixels[600, 900] = 255
    return pixels


@pytest.mark.parametrize("levels", [1, 3])
def test_auto_finds_signal_with_and_without_a_pyramid(tmp_path, model, levels, monkeypatch):
    monkeypatch.setattr("tilewise.masking.GOAL", {2: 256, 3: 64})
    monkeypatch.setattr("tilewise.masking.MOST", 1 << 17)
    monkeypatch.setattr("tilewise.masking.TOGETHER", 1 << 16)
    image = write_image(tmp_path / "image.zarr", blobs(), "yx", levels=levels, chunks=(128, 128), scale=(2.0, 2.0))
    pixels = Pixels(mask="auto")
    made = tilewise.plan(image, model, cut=CUT, pixels=pixels)
    kept = spread(made.mask.tiles, made)
    assert kept[100:180, 150:400].all()
    assert kept.mean() < 0.2
    assert f"from level {levels - 1} at" in made.mask.how
    out = tmp_path / "out.zarr"
    result = tilewise.run(image, model, out, cut=CUT, pixels=pixels)
    assert (result.state, result.tiles_skipped) == ("done", made.tiles_skipped)
    seen = zarr.open_array(out / "tilewise" / "mask", mode="r")
    size = seen.attrs["scale"][0]
    rows = np.flatnonzero(seen[:, : int(800 / size)].any(axis=1))
    first, last = (rows[[0, -1]] * size + seen.attrs["translation"][0]) / 2
    assert abs(first - 100) <= size
    assert abs(last - 179) <= size
    # the same overview again: the record holds
    assert tilewise.run(image, model, out, cut=CUT, pixels=pixels).executions == result.executions


def test_auto_finds_signal_in_any_plane_of_a_stack_and_in_volumes(tmp_path, model):
    stack = np.random.default_rng(1).poisson(6, (3, 200, 260)).astype("uint16")
    stack[2, 20:60, 30:80] += 400
    image = write_array(tmp_path / "stack.zarr", stack)
    made = tilewise.plan(image, model, cut=CUT, pixels=Pixels(mask="auto"))
    kept = spread(made.mask.tiles, made)
    assert kept[:, 20:60, 30:80].all()
    assert kept.mean() < 0.4
    volume = tilewise.Model(save(tiny_unet(1, 1, ndim=3, depth=1), tmp_path, "volume"))
    deep = np.random.default_rng(1).poisson(6, (40, 70, 80)).astype("uint16")
    deep[10:14, 20:30, 50:60] += 400
    image = write_array(tmp_path / "deep.zarr", deep)
    cut = Cut(tile=24, halo="exact", block=24)
    made = tilewise.plan(image, volume, cut=cut, pixels=Pixels(mask="auto"))
    kept = spread(made.mask.tiles, made)
    assert kept[10:14, 20:30, 50:60].all()
    assert kept.mean() < 0.7


def test_tiles_are_small_enough_to_skip_some_unless_that_cost_the_exact_halo(tmp_path, image, model):
    large = write_image(tmp_path / "large.zarr", blobs(), "yx")
    open_, masked = (tilewise.plan(large, model, pixels=Pixels(mask=mask)) for mask in (None, "auto"))
    assert max(open_.tile) > 1000
    assert max(masked.tile) <= 512
    assert masked.verdict == open_.verdict
    assert masked.tiles_skipped > masked.grid.tiles // 2
    asked = tilewise.plan(large, model, cut=Cut(tile=1024), pixels=Pixels(mask="auto"))
    assert asked.tile == (1024, 1024)


def test_spots_are_computed_tiles(tmp_path, image, model):
    mask = np.zeros((30, 42), np.uint8)
    mask[20:25, 30:35] = 1
    path = write_array(tmp_path / "mask.zarr", mask)
    made = tilewise.plan(image, model, cut=CUT, pixels=Pixels(mask=str(path)))
    spots = choose_spots(made)
    assert spots
    assert made.mask.tiles.ravel()[spots].all()
    nothing = write_array(tmp_path / "nothing.zarr", mask * 0)
    assert choose_spots(tilewise.plan(image, model, cut=CUT, pixels=Pixels(mask=str(nothing)))) == []


def test_a_mask_of_nothing_skips_all(tmp_path, image, model):
    path = write_array(tmp_path / "mask.zarr", np.zeros((30, 42), np.uint8))
    result = tilewise.run(image, model, tmp_path / "out.zarr", cut=CUT, pixels=Pixels(mask=str(path)))
    assert (result.state, result.done, result.skipped, result.executions) == ("done", 0, result.blocks, 0)
    assert not read(tmp_path / "out.zarr").any()


def test_coarser_levels_of_a_masked_run_are_those_of_its_finest(tmp_path, model):
    image = write_image(tmp_path / "image.zarr", blobs(), "yx", scale=(2.0, 2.0))
    tilewise.run(image, model, tmp_path / "out.zarr", cut=CUT, pixels=Pixels(mask="auto"))
    fine, coarse = (zarr.open_array(tmp_path / "out.zarr" / level, mode="r")[0] for level in "01")
    np.testing.assert_allclose(coarse, fine.reshape(600, 2, 700, 2).mean(axis=(1, 3)), atol=1e-6)


@pytest.mark.parametrize("kind", ["planes together", "vectors"])
def test_planes_taken_together_and_vectors_are_masked_too(tmp_path, kind):
    mask = np.zeros((6, 50, 60), np.uint8)
    mask[2, 5:8, 10:12], mask[5, 40, 50] = 1, 1
    path = str(write_array(tmp_path / "mask.zarr", mask))
    image = write_array(tmp_path / "stack.zarr", make_pixels((6, 100, 120)))
    build = one_layer(3) if kind == "planes together" else classifier(1)
    own = tilewise.Model(save(build, tmp_path))
    cut = Cut(tile=32, block=64) if kind == "planes together" else Cut(tile=16, stride=8)
    whole, masked = (
        Pixels(mask=one, neighbours=("z", 1) if kind == "planes together" else None) for one in (None, path)
    )
    result = tilewise.run(image, own, tmp_path / "whole.zarr", cut=cut, pixels=whole)
    assert result.tiles_skipped == 0
    result = tilewise.run(image, own, tmp_path / "masked.zarr", cut=cut, pixels=masked)
    assert 0 < result.done <= 2
    every, some = read(tmp_path / "whole.zarr"), read(tmp_path / "masked.zarr")
    kept = some != 0
    assert kept.any()
    np.testing.assert_array_equal(some[kept], every[kept])
