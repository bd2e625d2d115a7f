"""An output says where it comes from: model, settings and their origins, statistics, versions, and how it went."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version

import zarr

import tilewise
from images import make_pixels, write_array
from shell import call, digests
from tilewise import Cut, Normalization, Pixels, Results
from tilewise.demo.show import MODEL

CUT = Cut(tile=64, halo=8, block=48)
ASKED = Pixels(normalization=Normalization(kind="standardize"))


def read(out):
    return json.loads((out / "tilewise" / "provenance.json").read_text())


def test_an_output_tells_where_it_comes_from(tmp_path):
    image = write_array(tmp_path / "image.zarr", make_pixels((150, 140)))
    out = tmp_path / "out.zarr"
    result = tilewise.run(image, MODEL, out, cut=CUT, pixels=ASKED, results=Results(levels=2))
    told = read(out)
    assert told["model"]["sha256"] == hashlib.sha256(MODEL.read_bytes()).hexdigest()
    assert told["model"]["name"] == MODEL.stem
    assert told["settings"]["tile"] == {"value": [64, 64], "from": "flag"}
    assert told["settings"]["pad"]["from"] == "default"
    assert told["statistics"] is not None
    assert told["versions"]["tilewise"] == version("tilewise")
    assert told["versions"]["zarr"] == zarr.__version__
    assert told["providers"] == result.providers
    assert told["ledger"]["done"] == result.blocks
    assert told["ledger"]["levels"]["done"] == result.levels.shards
    (one,) = told["runs"]
    assert one["state"] == "done"
    assert one["started"] <= one["ended"]
    assert zarr.open_group(str(out), mode="r").attrs["tilewise"]["provenance"] == "tilewise/provenance.json"


def test_a_run_that_has_nothing_to_do_tells_nothing(tmp_path):
    image = write_array(tmp_path / "image.zarr", make_pixels((150, 140)))
    words = ("run", image, MODEL, tmp_path / "out.zarr", "--tile", 64, "--halo", 8, "--json")
    first = call(*words)
    before = read(tmp_path / "out.zarr")
    again = call(*words)
    assert read(tmp_path / "out.zarr") == before
    assert again.json == first.json
    (tmp_path / "out.zarr" / "tilewise" / "provenance.json").unlink()
    call(*words)
    assert len(read(tmp_path / "out.zarr")["runs"]) == 1


def test_metadata_of_the_image_are_the_same_for_all_runs(tmp_path):
    image = write_array(tmp_path / "image.zarr", make_pixels((150, 140)))
    for name in ("a", "b"):
        tilewise.run(image, MODEL, tmp_path / name, cut=CUT, pixels=ASKED)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
