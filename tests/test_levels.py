"""Coarser levels of real runs: every level is that of the whole finest one, however the run was cut or killed."""

from __future__ import annotations

import json
import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import zarr

import tilewise
from images import make_pixels, write_array, write_image
from networks import one_layer, save, tiny_unet
from shell import call, digests, start, until_done
from tilewise import Cut, Machine, Results
from tilewise.demo.show import MODEL
from tilewise.ledger import Ledger
from tilewise.pyramid import shrink
from tilewise.sink import validate

CUT = Cut(tile=64, halo=8, block=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("levels")


@pytest.fixture(scope="module")
def image(folder):
    return write_array(folder / "image.zarr", make_pixels((333, 421), "uint8"), chunks=(100, 130))


def levels_of(out):
    attributes = dict(zarr.open_group(str(out), mode="r").attrs)
    (multiscale,) = (attributes.get("ome") or attributes)["multiscales"]
    return [zarr.open_array(str(Path(out) / entry["path"]), mode="r")[...] for entry in multiscale["datasets"]]


def hold(out, method, step):
    found = levels_of(out)
    for finer, coarser in pairwise(found):
        np.testing.assert_array_equal(coarser, shrink(finer, step(finer.shape), method))
    return [level.shape for level in found]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("given", "method"),
    [
        (Results(), "mean"),
        (Results(activation="sigmoid", dtype="uint8"), "mean"),
        (Results(output="labels", activation="sigmoid"), "mode"),
        (Results(activation="sigmoid", dtype="float16", downsample="nearest"), "nearest"),
    ],
    ids=["scores", "uint8", "labels", "nearest"],
)
def test_every_level_is_that_of_the_finest(tmp_path, image, version, given, method):
    from dataclasses import replace

    out = tmp_path / "out.zarr"
    result = tilewise.run(image, MODEL, out, cut=CUT, results=replace(given, levels=4, ome_zarr=version))
    assert result.state == "done"
    assert result.levels.done == result.levels.shards == result.levels.executions > 0
    labels = given.output == "labels"
    shapes = hold(out, method, lambda shape: (2, 2) if len(shape) == 2 else (1, 2, 2))
    assert [shape[-2:] for shape in shapes] == [(333, 421), (167, 211), (84, 106), (42, 53)]
    assert levels_of(out)[0].any()
    validate(str(out), version)
    assert zarr.open_array(str(out / "2"), mode="r").metadata.zarr_format == (2 if version == "0.4" else 3)
    attributes = dict(zarr.open_group(str(out), mode="r").attrs)
    ome = attributes.get("ome") or attributes
    assert ("image-label" in ome, "omero" in ome) == (labels, not labels)


def test_levels_do_not_depend_on_blocks_or_workers(tmp_path, image):
    results = Results(levels=3)
    for name, block, machine in (("a", 64, Machine()), ("b", 150, Machine()), ("c", 64, Machine(workers=2, threads=1))):
        cut = Cut(tile=64, halo=8, block=block)
        assert tilewise.run(image, MODEL, tmp_path / name, cut=cut, results=results, machine=machine).state == "done"
    for a, b, c in zip(*(levels_of(tmp_path / name) for name in "abc"), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    assert digests(tmp_path / "a") == digests(tmp_path / "c")


def test_large_results_get_levels_by_themselves_and_the_plan_says_so(tmp_path):
    image = write_image(tmp_path / "image.zarr", make_pixels((600, 1300)), "yx", scale=(0.5, 0.5))
    model = save(one_layer(), tmp_path)
    made = tilewise.plan(image, model, tmp_path / "out.zarr")
    assert made.to_json()["levels"] == [3]
    assert made.bytes_written == 4 * (600 * 1300 + 300 * 650 + 150 * 325)
    assert "float32 in 3 levels" in repr(made)
    assert tilewise.plan(image, model, results=Results(levels=1)).bytes_written == 4 * 600 * 1300
    result = tilewise.run(image, model, tmp_path / "out.zarr")
    assert result.to_json()["levels"]["done"] == result.levels.shards == 2
    assert hold(tmp_path / "out.zarr", "mean", lambda _: (1, 2, 2)) == [(1, 600, 1300), (1, 300, 650), (1, 150, 325)]


def test_levels_of_a_3d_model_halve_z_once_its_pixels_are_no_longer_long(tmp_path):
    image = write_image(tmp_path / "image.zarr", make_pixels((20, 60, 50)), "zyx", scale=(2.0, 0.5, 0.5))
    model = save(tiny_unet(ndim=3, depth=1), tmp_path)
    cut = Cut(tile=(16, 32, 32), halo=4, block=(8, 24, 24))
    tilewise.run(image, model, tmp_path / "out.zarr", cut=cut, results=Results(levels=4))
    assert [level.shape for level in levels_of(tmp_path / "out.zarr")] == [
        (1, 20, 60, 50), (1, 20, 30, 25), (1, 20, 15, 13), (1, 10, 8, 7),
    ]  # fmt: skip
    _, one, two, three = levels_of(tmp_path / "out.zarr")
    np.testing.assert_array_equal(two, shrink(one, (1, 1, 2, 2), "mean"))
    np.testing.assert_array_equal(three, shrink(two, (1, 2, 2, 2), "mean"))


@pytest.mark.parametrize(
    "more",
    [(), pytest.param(("--ome-zarr", "0.4", "--output", "labels", "--activation", "sigmoid"), marks=pytest.mark.slow)],
)
def test_killed_anywhere_and_run_again_every_level_is_the_same(tmp_path, more):
    image = write_array(tmp_path / "image.zarr", make_pixels((480, 430), "uint8"), chunks=(100, 130))
    words = ("run", image, MODEL, "--tile", 64, "--halo", 8, "--block", 48, "--levels", 4, "--normalize", "standardize")
    whole, cut = tmp_path / "whole.zarr", tmp_path / "cut.zarr"
    assert call(*words[:3], whole, *words[3:], *more).code == 0
    for count in (1, 30):
        process = start(*words[:3], cut, *words[3:], *more)
        until_done(cut, count, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    said = call(*words[:3], cut, *words[3:], *more, "--json")
    assert said.code == 0, said.err
    assert said.json["levels"]["done"] == said.json["levels"]["shards"]
    assert digests(cut) == digests(whole)


def test_a_block_that_is_done_again_renews_what_stands_on_it(tmp_path, image):
    out = tmp_path / "out.zarr"
    first = tilewise.run(image, MODEL, out, cut=CUT, results=Results(levels=3))
    before = digests(out)
    book = Ledger.create(str(out), first.blocks, {})
    book.mark(5, "failed", executions=0)
    book.flush()
    # what stands on it is wrong now
    for level in (1, 2):
        array = zarr.open_array(str(out / str(level)), mode="r+")
        array[:, :64, :64] = 7
    again = tilewise.run(image, MODEL, out, cut=CUT, results=Results(levels=3))
    assert again.executions == first.executions + 1
    assert again.levels.executions > first.levels.executions
    found = digests(out)
    changed = {name for name in before if before[name] != found[name]}
    # other shards that were touched above are not the run's to mend
    assert all(not name.startswith("1/c/0/0/1") for name in changed)
    assert before["2/c/0/0/0"] == found["2/c/0/0/0"]


def test_a_shard_that_cannot_be_made_is_said_and_made_by_the_same_command(tmp_path, image):
    out = tmp_path / "out.zarr"
    words = ("run", image, MODEL, out, "--tile", 64, "--halo", 8, "--block", 64, "--levels", 3, "--json")
    assert call(*words).code == 0
    before = digests(out)
    (shard,) = list((out / "1" / "c" / "0" / "1").glob("1"))
    shard.unlink()
    book = Ledger.create(
        f"{out}/tilewise/levels", json.loads(call("status", out, "--json").out)["levels"]["shards"], {}
    )
    for row in range(book.blocks):
        book.mark(row, "pending", executions=0)
    book.flush()
    # a folder where the shard belongs: nothing can be written there
    shard.mkdir()
    (shard / "x").write_text("in the way")
    said = call(*words)
    assert said.code == 3
    assert "shard" in said.err
    assert "level 1 failed" in said.err
    assert said.json["state"] == "failed"
    assert said.json["failed"] == 0
    assert said.json["levels"]["failed"] == 1
    assert said.json["levels"]["failures"][0].startswith("shard ")
    (shard / "x").unlink()
    shard.rmdir()
    assert call(*words).code == 0
    assert digests(out) == before


def test_uint8_scores_say_what_they_stand_for(tmp_path, image):
    for name, given in (("float", {}), ("byte", {"dtype": "uint8"})):
        tilewise.run(image, MODEL, tmp_path / name, cut=CUT, results=Results(activation="sigmoid", **given))
    exact, stored = (levels_of(tmp_path / name)[0] for name in ("float", "byte"))
    about = zarr.open_group(str(tmp_path / "byte"), mode="r").attrs["tilewise"]
    assert about == {"provenance": "tilewise/provenance.json", "scale": 1 / 255, "offset": 0.0}
    assert np.abs(stored * about["scale"] + about["offset"] - exact).max() <= 0.5 / 255 + 1e-7
    omero = zarr.open_group(str(tmp_path / "byte"), mode="r").attrs["ome"]["omero"]
    assert omero["channels"][0]["window"] == {"min": 0.0, "max": 255.0, "start": 0.0, "end": 255.0}


def test_windows_of_unbounded_scores_do_not_depend_on_how_the_run_went(tmp_path, image):
    windows = []
    for name, block in (("a", 64), ("b", 200)):
        cut = Cut(tile=64, halo=8, block=block)
        tilewise.run(image, MODEL, tmp_path / name, cut=cut, results=Results(levels=2))
        windows.append(zarr.open_group(str(tmp_path / name), mode="r").attrs["ome"]["omero"])
    assert windows[0] == windows[1]
    coarse = levels_of(tmp_path / "a")[-1]
    assert windows[0]["channels"][0]["window"]["min"] == coarse.min()
