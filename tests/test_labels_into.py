"""Labels that go into the image itself: nothing else of it changes but the list of its labels, and that last."""

from __future__ import annotations

import json
import signal
import threading

import numpy as np
import pytest
import zarr

import tilewise
from images import make_pixels, write_array, write_group, write_image
from networks import one_layer, save
from shell import call, digests, start, tree, until_done
from tilewise import Cut, Pixels, Results
from tilewise.demo.show import MODEL
from tilewise.errors import ImageError, OutputError, SettingError
from tilewise.sink import validate

VERSIONS = ["0.4", "0.5"]
INTO = Results(labels_into=True, name="nuclei", activation="sigmoid")


@pytest.fixture(params=VERSIONS)
def image(request, tmp_path):
    return write_image(
        tmp_path / "image.zarr", make_pixels((300, 260)), "yx", version=request.param, levels=3, chunks=(64, 64),
        scale=(0.5, 0.25), units=("micrometer", "micrometer"),
    )  # fmt: skip


def attributes(group):
    found = dict(zarr.open_group(str(group), mode="r").attrs)
    return found.get("ome", found)


def version_of(image):
    return "0.5" if (image / "zarr.json").exists() else "0.4"


def test_labels_are_those_of_an_output_and_the_image_stays_as_it_was(image, tmp_path):
    before = digests(image)
    result = tilewise.run(image, MODEL, cut=Cut(tile=64, halo=8), results=INTO)
    assert result.state == "done"
    assert result.output == str(image / "labels" / "nuclei")
    after = digests(image)
    assert {name: after[name] for name in before} == before
    new = {name for name in after if name not in before and not name.startswith("labels/nuclei/")}
    assert new == ({"labels/zarr.json"} if version_of(image) == "0.5" else {"labels/.zgroup", "labels/.zattrs"})
    assert attributes(image / "labels")["labels"] == ["nuclei"]
    own = attributes(image / "labels" / "nuclei")
    assert own["image-label"]["source"] == {"image": "../../"}
    # as many levels as the image has, as the standard asks
    scales = [entry["coordinateTransformations"][0]["scale"] for entry in own["multiscales"][0]["datasets"]]
    assert scales[0] == [0.5, 0.25]
    assert len(scales) == 3
    validate(str(image / "labels" / "nuclei"), version_of(image))
    plain = Results(output="labels", activation="sigmoid", ome_zarr=version_of(image))
    tilewise.run(image, MODEL, tmp_path / "out.zarr", cut=Cut(tile=64, halo=8), results=plain)
    inside, outside = (
        zarr.open_array(str(place / "0"), mode="r") for place in (image / "labels" / "nuclei", tmp_path / "out.zarr")
    )
    np.testing.assert_array_equal(inside[:], outside[:])
    assert inside.metadata.zarr_format == (3 if version_of(image) == "0.5" else 2)


def test_the_command_needs_no_out_and_resumes(image):
    words = ("run", image, MODEL, "--labels-into", "--name", "nuclei", "--tile", 64, "--halo", 8, "--json")
    said = call(*words)
    assert said.code == 0, said.err
    before = tree(image / "labels" / "nuclei" / "0") | tree(image / "0")
    again = call(*words)
    assert again.json["executions"] == said.json["executions"]
    assert tree(image / "labels" / "nuclei" / "0") | tree(image / "0") == before
    status = call("status", image / "labels" / "nuclei", "--json")
    assert status.json["state"] == "done"
    other = call(*words[:-2], 16, "--json")
    assert other.code == 2
    assert "other settings" in other.json["error"]["got"]
    assert call(*words, "--overwrite").code == 0
    assert attributes(image / "labels")["labels"] == ["nuclei"]


def test_a_killed_run_leaves_the_image_but_for_the_group_that_is_not_listed(tmp_path):
    image = write_image(tmp_path / "image.zarr", make_pixels((480, 430)), "yx", chunks=(64, 64))
    words = ("run", image, MODEL, "--labels-into", "--name", "nuclei", "--tile", 64, "--halo", 8, "--block", 48)
    before = digests(image)
    process = start(*words)
    until_done(image / "labels" / "nuclei", 1, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = digests(image)
    assert {name: left[name] for name in before} == before
    assert all(name.startswith("labels/nuclei/") for name in left if name not in before)
    assert call(*words).code == 0
    assert attributes(image / "labels")["labels"] == ["nuclei"]


def test_other_labels_stay_in_the_list(image):
    zarr_format = 3 if version_of(image) == "0.5" else 2
    listed = {"ome": {"version": "0.5", "labels": ["old"]}, "x": 1} if zarr_format == 3 else {"labels": ["old"], "x": 1}
    write_group(image / "labels", listed, zarr_format)
    tilewise.run(image, MODEL, cut=Cut(tile=64, halo=8), results=INTO)
    assert attributes(image / "labels")["labels"] == ["old", "nuclei"]
    assert zarr.open_group(str(image / "labels"), mode="r").attrs["x"] == 1


def test_names_that_are_taken_are_refused(image):
    zarr_format = 3 if version_of(image) == "0.5" else 2
    listed = {"ome": {"version": "0.5", "labels": ["nuclei"]}} if zarr_format == 3 else {"labels": ["nuclei"]}
    write_group(image / "labels", listed, zarr_format)
    before = digests(image)
    with pytest.raises(OutputError, match="listed and are not tilewise's"):
        tilewise.run(image, MODEL, cut=Cut(tile=64, halo=8), results=INTO)
    write_group(image / "labels" / "nuclei", {}, zarr_format)
    with pytest.raises(OutputError, match="exists and is not tilewise's"):
        tilewise.run(image, MODEL, cut=Cut(tile=64, halo=8), results=INTO)
    before |= digests(image / "labels" / "nuclei") and {}
    assert {name: value for name, value in digests(image).items() if "nuclei" not in name} == before


def test_a_broken_list_is_not_written_over(image):
    (image / "labels").mkdir()
    place = image / "labels" / ("zarr.json" if version_of(image) == "0.5" else ".zattrs")
    place.write_text("{ torn")
    with pytest.raises(OutputError, match="broken"):
        tilewise.run(image, MODEL, cut=Cut(tile=64, halo=8), results=INTO)
    assert place.read_text() == "{ torn"


def test_two_that_add_labels_at_once_are_both_listed(tmp_path):
    image = write_image(tmp_path / "image.zarr", make_pixels((64, 64)), "yx")
    model = save(one_layer(), tmp_path)
    names = [f"n{k}" for k in range(4)]
    made = [tilewise.plan(image, model, results=Results(labels_into=True, name=name)).outputs[0] for name in names]
    from tilewise.sink.labels import list_label

    for spec in made:
        (image / "labels" / spec.path.rpartition("/")[2]).mkdir(parents=True)
    threads = [threading.Thread(target=list_label, args=(spec,)) for spec in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(attributes(image / "labels")["labels"]) == names


@pytest.mark.parametrize(
    ("words", "got"),
    [
        (("--labels-into",), "--labels-into without --name"),
        (("--name", "x"), "--name x without --labels-into"),
        (("--labels-into", "--name", "../x"), "--name '../x'"),
        (("--labels-into", "--name", "tilewise"), "--name 'tilewise'"),
        (("--labels-into", "--name", "x", "--output", "raw"), "--labels-into with --output raw"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, words, got):
    image = write_image(tmp_path / "image.zarr", make_pixels((64, 64)), "yx")
    before = tree(tmp_path)
    said = call("run", image, MODEL, *words, "--json")
    assert said.code == 2
    assert got in said.json["error"]["got"]
    assert tree(tmp_path) == before


def test_an_output_beside_it_a_plain_array_and_another_version_are_refused(tmp_path, image):
    with pytest.raises(SettingError, match="beside the output"):
        tilewise.run(image, MODEL, tmp_path / "out.zarr", results=INTO)
    array = write_array(tmp_path / "array.zarr", make_pixels((64, 64)))
    with pytest.raises(ImageError, match="no OME-Zarr image"):
        tilewise.run(array, MODEL, results=INTO)
    other = {"0.4": "0.5", "0.5": "0.4"}[version_of(image)]
    with pytest.raises(SettingError, match="for labels of an image of OME-Zarr"):
        tilewise.run(image, MODEL, results=Results(labels_into=True, name="x", ome_zarr=other))
    # without the flag the image is as safe as before
    with pytest.raises(OutputError, match="inside the input"):
        tilewise.run(image, MODEL, image / "labels" / "nuclei", results=Results(output="labels"))
    with pytest.raises(SettingError, match="without an OUT"):
        tilewise.run(image, MODEL)


def test_scores_were_asked_for_in_words(tmp_path):
    image = write_image(tmp_path / "image.zarr", make_pixels((64, 64)), "yx")
    said = call("run", image, MODEL, "--labels-into", "--name", "x", "--output", "scores", "--json")
    assert said.code == 2
    assert "--output scores" in json.dumps(said.json)


def test_labels_of_a_region_say_where_they_lie(tmp_path):
    image = write_image(tmp_path / "image.zarr", make_pixels((200, 200)), "yx", scale=(0.5, 0.5))
    asked = Pixels(region=(("y", 32, 160), ("x", 64, 192)))
    tilewise.run(image, MODEL, pixels=asked, results=INTO, cut=Cut(tile=64, halo=8))
    (level,) = attributes(image / "labels" / "nuclei")["multiscales"][0]["datasets"]
    assert level["coordinateTransformations"][1] == {"type": "translation", "translation": [16.0, 32.0]}
