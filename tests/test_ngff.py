import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewise import ngff
from tilewise.errors import ImageError
from tilewise.ngff import Level


def image(**changes):
    entry = {
        "axes": [{"name": "y", "type": "space", "unit": "micrometer"}, {"name": "x", "type": "space"}],
        "datasets": [
            {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.5, 0.25]}]},
            {"path": "1", "coordinateTransformations": [{"type": "scale", "scale": [1, 0.5]}]},
        ],
        "name": "cells",
    }
    return {"ome": {"version": "0.5", "multiscales": [entry | changes]}}


def test_an_image_of_either_version_is_read():
    new = image()
    old = {"multiscales": new["ome"]["multiscales"]}
    found = ngff.read_image(new, "here")
    assert found == ngff.read_image(old, "here")
    assert (found.name, found.axes, found.units) == ("cells", "yx", ("micrometer", None))
    assert found.levels == (Level("0", (0.5, 0.25), (0.0, 0.0)), Level("1", (1.0, 0.5), (0.0, 0.0)))


def test_transforms_of_the_whole_image_come_after_those_of_a_level():
    common = [{"type": "scale", "scale": [2, 4]}, {"type": "translation", "translation": [10, 20]}]
    datasets = [
        {
            "path": "0",
            "coordinateTransformations": [
                {"type": "scale", "scale": [3, 3]},
                {"type": "translation", "translation": [1, 1]},
            ],
        }
    ]
    found = ngff.read_image(image(coordinateTransformations=common, datasets=datasets), "here")
    assert found.levels[0] == Level("0", (6.0, 12.0), (12.0, 24.0))


@pytest.mark.parametrize(
    "path", ["/etc", "../x", "a/../../x", "", "a\\b", "C:x", "file:///x", "a\0b", ".", None, 3, "s3://b/x"]
)
def test_paths_that_lead_outside_are_refused(path):
    with pytest.raises(ImageError, match="stays below"):
        ngff.read_image(image(datasets=[{"path": path}]), "here")


@pytest.mark.parametrize(
    "changes",
    [
        {"axes": None},
        {"axes": []},
        {"axes": "yx"},
        {"datasets": []},
        {"datasets": None},
        {"axes": [{"name": "y"}, {"name": "y"}]},
        {"axes": [{"name": "y"}, {"name": "angle"}]},
        {"datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1]}]}]},
        {"datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": ["a", 1]}]}]},
        {"datasets": [3]},
    ],
)
def test_broken_images_are_refused(changes):
    with pytest.raises(ImageError):
        ngff.read_image(image(**changes), "here")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(["axes", "datasets", "name", "coordinateTransformations"]),
    JSON,
    st.dictionaries(st.sampled_from(["ome", "omero", "multiscales", "plate", "well", "labels"]), JSON),
)
def test_metadata_of_any_kind_are_read_or_refused_but_never_break(key, value, attributes):
    for given_attributes in (image(**{key: value}), image() | {"omero": value}, attributes):
        with contextlib.suppress(ImageError):
            ngff.read_image(given_attributes, "here")
        ngff.list_members(given_attributes)
        ngff.find_kind(given_attributes)


@pytest.mark.parametrize(
    ("ome", "kind", "members"),
    [
        ({"plate": {"wells": [{"path": "A/1"}, {"path": "../B"}]}}, "plate", ("A/1",)),
        ({"well": {"images": [{"path": "0"}, {"path": "1"}]}}, "well", ("0", "1")),
        ({"bioformats2raw.layout": 3}, "series", ()),
        ({"labels": ["nuclei", "/x"]}, "labels", ("nuclei",)),
        ({"multiscales": []}, "image", ()),
        ({}, None, ()),
    ],
)
def test_groups_are_told_apart(ome, kind, members):
    for attributes in (ome, {"ome": ome}):
        assert ngff.find_kind(attributes) == kind
        assert ngff.list_members(attributes) == members


def test_names_of_channels_count_only_if_all_have_one():
    with_names = image()
    with_names["ome"]["omero"] = {"channels": [{"label": "a"}, {"label": "b"}]}
    assert ngff.read_image(with_names, "here").channels == ("a", "b")
    with_names["ome"]["omero"] = {"channels": [{"label": "a"}, {}]}
    assert ngff.read_image(with_names, "here").channels == ()


finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@settings(deadline=None)
@given(st.data(), st.sets(st.sampled_from("tcz")), st.text(max_size=8))
def test_what_is_written_reads_back(data, extra, name):
    axes = "".join(axis for axis in ngff.AXES if axis in extra | {"y", "x"})
    each = st.lists(finite, min_size=len(axes), max_size=len(axes)).map(tuple)
    levels = tuple(Level(str(k), data.draw(each), data.draw(each)) for k in range(data.draw(st.integers(1, 3))))
    units = tuple(None if axis == "c" else data.draw(st.sampled_from([None, "micrometer"])) for axis in axes)
    version = data.draw(st.sampled_from(["0.4", "0.5"]))
    written = ngff.write_image(axes, levels=levels, name=name, units=units, version=version, method="mean")
    window = ngff.Window(0.0, 1.0, 0.0, 1.0)
    written = ngff.write_channels(written, [ngff.Channel("a", window), ngff.Channel("b", window)])
    found = ngff.read_image(written, "here")
    assert found == ngff.Multiscale(name, axes, units, levels, ("a", "b"))


def test_a_translation_of_nothing_is_not_written():
    written = ngff.write_image("yx", levels=[Level("0", (1.0, 1.0), (0.0, 0.0))], name="", units=(None, None))
    (multiscale,) = written["ome"]["multiscales"]
    assert [t["type"] for t in multiscale["datasets"][0]["coordinateTransformations"]] == ["scale"]
    assert "name" not in multiscale
    assert "omero" not in written["ome"]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_labels_say_their_colours_their_names_and_where_the_image_is(version):
    image = ngff.write_image(
        "yx", levels=[Level("0", (1.0, 1.0), (0.0, 0.0))], name="", units=(None, None), version=version
    )
    label = ngff.find_ome(ngff.write_labels(image, values=1000, names=("background", "nucleus"), source="../../"))
    colours = [tuple(entry["rgba"]) for entry in label["image-label"]["colors"]]
    assert [entry["label-value"] for entry in label["image-label"]["colors"]] == list(range(256))
    assert colours[0] == (0, 0, 0, 0)
    assert len(set(colours)) == 256
    assert len(label["image-label"]["properties"]) == 256
    assert label["image-label"]["properties"][:3] == [
        {"label-value": 0, "class": "background"},
        {"label-value": 1, "class": "nucleus"},
        {"label-value": 2, "class": "class 2"},
    ]
    assert label["image-label"]["source"] == {"image": "../../"}
    assert label["image-label"].get("version") == ("0.4" if version == "0.4" else None)


def test_a_name_is_added_to_the_labels_of_an_image_and_nothing_else_changes():
    new = {"ome": {"version": "0.5", "labels": ["cells"], "own": 1}, "other": {"a": 1}}
    assert ngff.add_label(new, "nuclei", "0.5") == {
        "ome": {"version": "0.5", "labels": ["cells", "nuclei"], "own": 1},
        "other": {"a": 1},
    }
    assert ngff.add_label({"labels": ["a"], "x": 1}, "b", "0.4") == {"labels": ["a", "b"], "x": 1}
    assert ngff.add_label({"labels": ["a"]}, "a", "0.4") == {"labels": ["a"]}
    assert ngff.add_label({}, "a", "0.5") == {"ome": {"version": "0.5", "labels": ["a"]}}
