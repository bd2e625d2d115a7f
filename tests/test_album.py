"""Many images in one run: an output each, one cluster, and one that fails does not stop the others."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import zarr

import tilewise
from images import make_pixels, write_array
from networks import one_layer, save
from shell import call
from test_plates import write_plate
from tilewise import Cut, Pixels
from tilewise.album.listing import list_entries
from tilewise.errors import ImageError, SettingError

CUT = Cut(tile=32, block=32)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(one_layer(), tmp_path_factory.mktemp("album"))


@pytest.fixture
def images(tmp_path):
    return [str(write_array(tmp_path / f"{name}.zarr", make_pixels((40, 50), seed=k))) for k, name in enumerate("ab")]


def read(out):
    return zarr.open_array(out / "0", mode="r")[:]


def test_each_image_has_the_output_that_it_has_alone(tmp_path, images, model):
    album = tilewise.run_many(images, model, tmp_path / "outs", cut=CUT)
    assert [entry.state for entry in album.entries] == ["done", "done"]
    for entry, image in zip(album.entries, images, strict=True):
        tilewise.run(image, model, tmp_path / "alone.zarr", cut=CUT, behaviour=tilewise.Behaviour(overwrite=True))
        np.testing.assert_array_equal(read(tmp_path / "outs" / entry.name), read(tmp_path / "alone.zarr"))


def test_they_share_one_cluster(tmp_path, images, model, monkeypatch):
    from tilewise import cluster
    from tilewise.album import run

    started = []
    monkeypatch.setattr(run, "connect", lambda **asked: started.append(asked) or cluster.connect(**asked))
    tilewise.run_many(images, model, tmp_path / "outs", cut=CUT)
    assert len(started) == 1


def test_one_that_cannot_be_run_does_not_stop_the_others(tmp_path, images, model):
    flawed = write_array(tmp_path / "flawed.zarr", make_pixels((40, 50)), chunks=(20, 50))
    (flawed / "c" / "1" / "0").write_bytes(b"rubbish")
    words = [
        images[0],
        tmp_path / "none.zarr",
        flawed,
        images[1],
        model,
        tmp_path / "outs",
        "--tile",
        16,
        "--block",
        16,
    ]
    said = call("run", *words, "--json")
    assert said.code == 3
    assert "2 of 4 images are not done; the same command tries them again" in said.err
    assert [row["state"] for row in said.json["images"]] == ["done", "refused", "failed", "done"]
    assert "none.zarr does not exist" in said.json["images"][1]["cause"]
    assert "c/1/0" in said.json["images"][2]["failures"][0]["cause"]
    assert {"output", "blocks", "done", "skipped", "failed", "executions"} <= set(said.json["images"][0])
    looked = call("status", tmp_path / "outs", "--json")
    assert [(row["state"], row["image"]) for row in looked.json["images"]] == [
        (row["state"], row["image"]) for row in said.json["images"]
    ]
    # mended, the same command finishes what is left, and nothing else is done again
    write_array(tmp_path / "none.zarr", make_pixels((40, 50)))
    (flawed / "c" / "1" / "0").write_bytes((flawed / "c" / "0" / "0").read_bytes())
    again = call("run", *words)
    assert again.code == 0, again.err
    assert "4 of 4 images done" in again.out
    assert "image 2 of 4: none.ome.zarr" in again.err
    executions = [entry.result.executions for entry in tilewise.album.look(str(tmp_path / "outs")).entries]
    assert executions[0] == said.json["images"][0]["executions"]


def test_where_none_can_be_run_nothing_is_written(tmp_path, images, model):
    with pytest.raises(ImageError, match=r"x.zarr does not exist"):
        tilewise.run_many([tmp_path / "x.zarr", tmp_path / "y.zarr"], model, tmp_path / "outs")
    said = call("run", *images, tmp_path / "no.onnx", tmp_path / "outs")
    assert said.code == 2
    assert not (tmp_path / "outs").exists()
    with pytest.raises(SettingError, match="no image; expected at least one"):
        tilewise.run_many([], model, tmp_path / "outs")


def test_names_are_the_images_own_and_stay_theirs(tmp_path):
    one = list_entries(["/a/Slide 1.svs", "/b/slide_1.ome.tif", "/c/x.ome.zarr", "/c/x.ome.zarr"], "/outs")
    assert [entry.name for entry in one] == ["Slide_1.ome.zarr", "slide_1-2.ome.zarr", "x.ome.zarr"]
    folder = tmp_path / "outs"
    folder.mkdir()
    rows = [{"image": "/b/x.zarr", "field": None, "output": "x.ome.zarr", "state": "done", "cause": None}]
    (folder / "tilewise-images.json").write_text(json.dumps({"images": rows}))
    two = list_entries(["/a/x.zarr", "/b/x.zarr"], str(folder))
    assert [entry.name for entry in two] == ["x-2.ome.zarr", "x.ome.zarr"]


def test_a_plate_is_all_its_fields(tmp_path, model):
    plate = write_plate(tmp_path / "p.zarr")
    said = call("run", plate, model, tmp_path / "outs", "--json")
    assert said.code == 0, said.err
    fields = [row["field"] for row in said.json["images"]]
    assert fields == list(tilewise.source.list_fields(str(plate)))
    assert len(fields) > 2
    assert {row["state"] for row in said.json["images"]} == {"done"}
    one = call("run", plate, model, tmp_path / "one.zarr", "--field", fields[1], "--json")
    assert one.json["state"] == "done"
    name = "p_" + fields[1].replace("/", "_") + ".ome.zarr"
    np.testing.assert_array_equal(read(tmp_path / "outs" / name), read(tmp_path / "one.zarr"))
    every = call("run", plate, model, tmp_path / "outs", "--field", "all", "--json")
    assert [row["executions"] for row in every.json["images"]] == [row["executions"] for row in said.json["images"]]


def test_a_defect_in_one_is_told_with_its_place(tmp_path, images, model, monkeypatch):
    from tilewise.album import run

    real = run.execute_on

    def stumble(client, made, *rest, **options):
        if made.image.name == "a":
            raise RuntimeError("out of luck")
        return real(client, made, *rest, **options)

    monkeypatch.setattr(run, "execute_on", stumble)
    album = tilewise.run_many(images, model, tmp_path / "outs", cut=CUT, pixels=Pixels())
    assert [entry.state for entry in album.entries] == ["failed", "done"]
    assert album.entries[0].cause.startswith("RuntimeError: out of luck (test_album.py:")
    assert "failed: RuntimeError" in repr(album)
    assert replace(album, entries=album.entries[1:]).failed == 0
