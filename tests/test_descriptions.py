"""A model that carries its own instructions: bioimage.io descriptions, end to end and in their variants."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from images import write_array
from rdf import nuclei_04, nuclei_05, pack, package
from shell import call


@pytest.fixture(scope="module")
def nuclei(data):
    folder = data / "models"
    tensors = [np.load(folder / f"unet2d_nuclei_broad_test_{kind}.npy") for kind in ("input", "output")]
    return folder / "unet2d_nuclei_broad.onnx", *tensors


@pytest.fixture(scope="module")
def nuclei_image(nuclei, tmp_path_factory):
    return write_array(tmp_path_factory.mktemp("nuclei") / "image.zarr", nuclei[1][0, 0], chunks=(128, 128))


@pytest.mark.data
@pytest.mark.parametrize("said", [nuclei_04(), nuclei_05()], ids=["0.4", "0.5"])
@pytest.mark.parametrize("form", ["folder", "zip", "yaml", "nested zip"])
def test_the_nuclei_model_runs_with_no_flag_and_gives_its_reference(said, form, nuclei, nuclei_image, tmp_path):
    place = package(tmp_path / "model", said, nuclei[0])
    if "zip" in form:
        place = pack(place, tmp_path / "model.zip", inside="nuclei/" if form == "nested zip" else "")
    if form == "yaml":
        place /= "rdf.yaml"
    done = call("run", nuclei_image, place, tmp_path / "out.zarr", "--json")
    assert done.code == 0, done.err
    found = zarr.open_array(tmp_path / "out.zarr" / "0")[0]
    assert np.abs(found - nuclei[2][0, 0]).max() < 1e-5


@pytest.mark.data
def test_a_halo_that_is_too_small_is_taken_measured_and_named(nuclei, nuclei_image, tmp_path):
    size = {"min": 128, "step": 8}
    place = package(tmp_path / "model", nuclei_05(size=size, halo=16), nuclei[0])
    plan = call("plan", nuclei_image, place, "--tile", "128", "--json").json
    assert plan["halo"] == [16, 16]
    assert plan["settings"]["halo"] == {"value": [16, 16], "from": "contract (bioimage.io 0.5)"}
    assert plan["verdict"] == "bounded"
    assert any("halo of [16, 16]" in note and "[56, 56]" in note for note in plan["notes"])
    done = call("run", nuclei_image, place, tmp_path / "out.zarr", "--tile", "128")
    assert done.code == 0
    assert "largest error of the scores by the smaller halo" in done.err
    exact = call("plan", nuclei_image, place, "--tile", "256", "--halo", "exact", "--json").json
    assert (exact["halo"], exact["verdict"]) == ([56, 56], "exact")
    assert exact["settings"]["halo"]["from"] == "flag"


@pytest.mark.data
@pytest.mark.parametrize(
    "said",
    [
        nuclei_04(axes="byxc", shape=(1, 512, 512, 1), halo=(0, 32, 32, 0)),
        nuclei_05(order="byxc"),
        nuclei_04(axes="bczyx", shape=(1, 1, 1, 512, 512), halo=(0, 0, 0, 32, 32)),
    ],
    ids=["0.4", "0.5", "rank"],
)
def test_wrong_axes_are_refused_and_both_are_named(said, nuclei, nuclei_image, tmp_path):
    place = package(tmp_path / "model", said, nuclei[0])
    done = call("run", nuclei_image, place, tmp_path / "out.zarr", "--json")
    assert done.code == 2
    error = done.json["error"]
    assert "description says that its input is N" in error["got"]
    assert error["expected"].startswith("NCHW")
    assert "--layout NCHW" in error["do"]
    assert not (tmp_path / "out.zarr").exists()
