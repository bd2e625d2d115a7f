"""Outputs with coarser levels, in zarr 2 and in zarr 3, written shard by shard as a run does."""

import json

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from images import make_pixels
from tilewise import sink
from tilewise.pyramid import shrink
from tilewise.sink import OutputSpec

VERSIONS = ("0.4", "0.5")


def make_spec(path, **changes):
    fields = {
        "path": str(path),
        "axes": "cyx",
        "shape": (2, 50, 70),
        "dtype": "float32",
        "chunk": (2, 8, 16),
        "shard": (2, 16, 32),
        "scale": (1.0, 0.5, 0.25),
        "translation": (0.0, 1.0, 0.0),
        "units": (None, "micrometer", "micrometer"),
        "image_name": "cells",
        "steps": ((1, 1, 2), (1, 2, 2)),
    }
    return OutputSpec(**(fields | changes))


def fill(spec, pixels):
    for number in range(spec.pyramid.total(0)):
        box = spec.pyramid.box(0, number)
        sink.write(spec, box.start, pixels[box.slices])
    for level in range(1, spec.pyramid.levels):
        for number in range(spec.pyramid.total(level)):
            sink.write_coarser(spec, level, number)


def open_level(spec, level):
    return zarr.open_array(str(spec.place(level)), mode="r")


@pytest.mark.parametrize("version", VERSIONS)
def test_an_output_with_levels_is_whole(tmp_path, version):
    spec = make_spec(tmp_path / "out.zarr", version=version)
    sink.create(spec, {})
    pixels = make_pixels(spec.shape, "float32")
    fill(spec, pixels)
    sink.finish(spec)
    for level, step in enumerate([(1, 1, 1), *spec.steps]):
        pixels = shrink(pixels, step, "mean")
        array = open_level(spec, level)
        np.testing.assert_array_equal(array[...], pixels)
        assert (array.chunks, array.shards) == (spec.chunk, spec.shard if version == "0.5" else None)
        assert array.metadata.zarr_format == (3 if version == "0.5" else 2)
    if version == "0.4":
        assert array.attrs["_ARRAY_DIMENSIONS"] == ["c", "y", "x"]
    group = dict(zarr.open_group(spec.path, mode="r").attrs)
    (multiscale,) = (group["ome"] if version == "0.5" else group)["multiscales"]
    transforms = [dataset["coordinateTransformations"] for dataset in multiscale["datasets"]]
    assert [t[0]["scale"] for t in transforms] == [[1.0, 0.5, 0.25], [1.0, 0.5, 0.5], [1.0, 1.0, 1.0]]
    assert [t[1]["translation"] for t in transforms] == [[0.0, 1.0, 0.0], [0.0, 1.0, 0.125], [0.0, 1.25, 0.375]]
    assert multiscale["type"] == "mean"


@settings(max_examples=25)
@given(st.data())
def test_every_level_is_that_of_the_whole_array(tmp_path_factory, data):
    shape = tuple(data.draw(st.integers(1, 40)) for _ in range(2))
    chunk = tuple(data.draw(st.integers(1, 7)) for _ in range(2))
    shard = tuple(c * data.draw(st.integers(1, 3)) for c in chunk)
    steps = tuple(
        data.draw(st.tuples(st.integers(1, 2), st.integers(1, 2))) for _ in range(data.draw(st.integers(1, 3)))
    )
    method, version = data.draw(st.sampled_from(["mean", "mode", "nearest"])), data.draw(st.sampled_from(VERSIONS))
    plain = {"scale": (1.0, 1.0), "translation": (0.0, 0.0), "units": (None, None), "axes": "yx", "dtype": "uint8"}
    spec = make_spec(
        tmp_path_factory.mktemp("out") / "o.zarr",
        shape=shape, chunk=chunk, shard=shard, steps=steps, method=method, version=version, **plain,
    )  # fmt: skip
    sink.create(spec, {})
    pixels = make_pixels(shape, "uint8") % 5
    # a stretch that is left out, as skipped blocks are
    pixels[: data.draw(st.integers(0, shape[0]))] = 0
    fill(spec, pixels)
    for level, step in enumerate(steps, 1):
        pixels = shrink(pixels, step, method)
        np.testing.assert_array_equal(open_level(spec, level)[...], pixels)


def windows(spec):
    attributes = dict(zarr.open_group(spec.path, mode="r").attrs)
    return [channel["window"] for channel in (attributes.get("ome") or attributes)["omero"]["channels"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_windows_are_those_of_the_scores_or_of_the_coarsest_level(tmp_path, version):
    known = make_spec(tmp_path / "known.zarr", window=(0.0, 1.0), names=("a", "b"), version=version)
    sink.create(known, {})
    sink.finish(known)
    assert windows(known) == [{"min": 0.0, "max": 1.0, "start": 0.0, "end": 1.0}] * 2
    measured = make_spec(tmp_path / "measured.zarr", version=version)
    sink.create(measured, {})
    pixels = make_pixels(measured.shape, "float32")
    pixels[1] = 7
    pixels[0, 0, 0] = np.nan
    fill(measured, pixels)
    sink.finish(measured)
    coarse = shrink(shrink(pixels, (1, 1, 2), "mean"), (1, 2, 2), "mean")[0]
    first, second = windows(measured)
    assert (first["min"], first["max"]) == (np.nanmin(coarse), np.nanmax(coarse))
    assert first["min"] < first["start"] < first["end"] <= first["max"]
    assert second == {"min": 0.0, "max": 7.0, "start": 0.0, "end": 7.0}
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "measured.zarr").rglob("*")}
    sink.finish(measured)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "measured.zarr").rglob("*")} == before


def test_the_look_at_many_planes_is_bounded(tmp_path):
    spec = make_spec(
        tmp_path / "o.zarr", axes="tzyx", shape=(5, 9, 6, 2000), chunk=(1, 1, 6, 500), shard=(1, 1, 6, 500), steps=(),
        scale=(1.0,) * 4, translation=(0.0,) * 4, units=(None,) * 4, dtype="uint8",
    )  # fmt: skip
    sink.create(spec, {})
    for t, z in np.ndindex(5, 9):
        sink.write(spec, (t, z, 0, 500), np.full((1, 1, 6, 500), 9 * t + z, "uint8"))
    sink.finish(spec)
    assert windows(spec) == [{"min": 0.0, "max": 44.0, "start": 0.0, "end": 44.0}]


def test_labels_carry_colours_and_integers_their_scale(tmp_path):
    for version in VERSIONS:
        spec = make_spec(tmp_path / f"{version}.zarr", values=3, names=("no", "one"), dtype="uint8", version=version)
        sink.create(spec, {})
        sink.finish(spec)
        attributes = dict(zarr.open_group(spec.path, mode="r").attrs)
        label = (attributes.get("ome") or attributes)["image-label"]
        assert [entry["label-value"] for entry in label["colors"]] == [0, 1, 2]
        assert "omero" not in json.dumps(attributes)
    scaled = make_spec(tmp_path / "scaled.zarr", dtype="uint8", real=(-1.0, 1.0), window=(0.0, 255.0))
    sink.create(scaled, {})
    assert zarr.open_group(scaled.path, mode="r").attrs["tilewise"] == {
        "provenance": "tilewise/provenance.json",
        "scale": 2 / 255,
        "offset": -1.0,
    }


def test_metadata_that_break_the_standard_do_not_pass(tmp_path):
    spec = make_spec(tmp_path / "out.zarr", units=(None, "micrometer", "micrometer"))
    sink.create(spec, {})
    place = tmp_path / "out.zarr" / "zarr.json"
    place.write_text(place.read_text().replace('"type": "scale"', '"type": "sale"'))
    with pytest.raises(Exception, match=r"scale|sale"):
        sink.validate(spec.path)


def test_a_create_of_zarr_2_that_was_cut_short_is_finished(tmp_path):
    spec = make_spec(tmp_path / "out.zarr", version="0.4")
    sink.create(spec, {})
    for name in ("1/.zattrs", "2/.zarray", ".zattrs"):
        (tmp_path / "out.zarr" / name).unlink()
    sink.create(spec, {})
    fill(spec, make_pixels(spec.shape, "float32"))
    sink.finish(spec)
    sink.create(spec, {}, overwrite=True)
    assert not (tmp_path / "out.zarr" / "0" / "0").exists()


@pytest.mark.parametrize("version", VERSIONS)
def test_xarray_opens_each_level_with_named_axes(tmp_path, version):
    import xarray

    spec = make_spec(tmp_path / "out.zarr", version=version)
    sink.create(spec, {})
    pixels = make_pixels(spec.shape, "float32")
    fill(spec, pixels)
    sink.finish(spec)
    for level in range(3):
        others = [str(other) for other in range(3) if other != level]
        found = xarray.open_dataset(spec.path, engine="zarr", consolidated=False, drop_variables=others)[str(level)]
        assert found.dims == ("c", "y", "x")
        np.testing.assert_array_equal(found, open_level(spec, level)[...])
