import json
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from images import make_pixels, write_array, write_group, write_image
from tilewise import source as source_module
from tilewise.errors import ImageError
from tilewise.geometry import Box
from tilewise.source import Source, missing_chunks, open_image

DATA = Path(__file__).parents[2] / "shared" / "data" / "images" / "ome-zarr"


def canonical(pixels, axes, spatial):
    lead = "".join(axis for axis in "tz" if axis in axes and axis not in spatial)
    order = [axis for axis in lead + "c" + spatial if axis in axes]
    found = pixels.transpose([axes.index(axis) for axis in order])
    return found if "c" in axes else np.expand_dims(found, len(lead))


def read_all(spec, spatial="yx", **options):
    source = Source(spec, spatial)
    n = len(source.lead)
    lead, spatial_box = Box((0,) * n, source.shape[:n]), Box((0,) * len(spatial), source.shape[n + 1 :])
    return source.read(lead, tuple(range(source.shape[n])), spatial_box, **options)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_ome_image_tells_all_about_itself(tmp_path, version):
    pixels = make_pixels((2, 3, 40, 50), "uint16")
    path = write_image(
        tmp_path / "cells.ome.zarr",
        pixels,
        "tcyx",
        version=version,
        levels=3,
        scale=(5, 1, 0.5, 0.25),
        translation=(0, 0, 3, 4),
        units=("second", None, "micrometer", "micrometer"),
        channels=("a", "b", "c"),
        name="",
    )
    spec = open_image(str(path), level=1)
    assert (spec.path, spec.array_path, spec.level, spec.levels) == (str(path), "1", 1, 3)
    assert (spec.axes, spec.shape, spec.dtype, spec.channels) == ("tcyx", (2, 3, 20, 25), "uint16", 3)
    assert (spec.scale, spec.translation) == ((5, 1, 1, 0.5), (0, 0, 3, 4))
    assert spec.units == ("second", None, "micrometer", "micrometer")
    assert (spec.channel_names, spec.name) == (("a", "b", "c"), "cells")
    assert spec.zarr_format == (2 if version == "0.4" else 3)
    np.testing.assert_array_equal(read_all(spec), canonical(pixels[..., ::2, ::2], "tcyx", "yx"))
    assert open_image(f"file://{path}", level=1) == spec
    assert open_image(str(path / "1")) == spec
    assert open_image(str(path / "1"), level=1) == spec
    with pytest.raises(ImageError, match="which is level 1 itself"):
        open_image(str(path / "1"), level=2)


@pytest.mark.parametrize(
    ("axes", "options", "found"),
    [
        (None, {}, "yx"),
        (None, {"shape": (4, 20, 20)}, "zyx"),
        ("XY", {}, "xy"),
        (None, {"shape": (4, 20, 20), "dimension_names": ("c", "x", "y")}, "cxy"),
        (None, {"shape": (4, 20, 20), "dimension_names": ("lat", "x", "y")}, "zyx"),
        ("cyx", {"shape": (4, 20, 20), "dimension_names": ("z", "y", "x")}, "cyx"),
        ("tczyx", {"shape": (1, 2, 3, 9, 9)}, "tczyx"),
    ],
)
def test_axes_come_from_the_user_then_the_image_then_custom(tmp_path, axes, options, found):
    pixels = make_pixels(options.get("shape", (20, 30)))
    path = write_array(tmp_path / "a.zarr", pixels, dimension_names=options.get("dimension_names"))
    spec = open_image(str(path), axes=axes)
    assert (spec.axes, spec.scale, spec.units) == (found, (1.0,) * pixels.ndim, (None,) * pixels.ndim)
    np.testing.assert_array_equal(read_all(spec), canonical(pixels, found, "yx"))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_box_of_any_array_is_what_numpy_cuts(tmp_path_factory, data):
    axes = "".join(data.draw(st.permutations(sorted({"y", "x"} | data.draw(st.sets(st.sampled_from("tcz")))))))
    spatial = data.draw(st.sampled_from(["yx", "zyx"])) if "z" in axes else "yx"
    shape = tuple(data.draw(st.integers(1, 9)) for _ in axes)
    chunks = tuple(data.draw(st.integers(1, n)) for n in shape)
    zarr_format = data.draw(st.sampled_from([2, 3]))
    sharded = zarr_format == 3 and data.draw(st.booleans())
    dtype = data.draw(st.sampled_from(["uint8", "int8", "<u2", ">u2", "float16", "<f4", ">f8", "bool", "uint64"]))
    pixels = make_pixels(shape, dtype, seed=data.draw(st.integers(0, 99)))
    order = {"order": data.draw(st.sampled_from("CF"))} if zarr_format == 2 else {}
    path = tmp_path_factory.mktemp("any") / "a.zarr"
    shards = tuple(n * data.draw(st.integers(1, 2)) for n in chunks) if sharded else None
    write_array(path, pixels, chunks=chunks, shards=shards, zarr_format=zarr_format, **order)
    spec = open_image(str(path), axes=axes)
    assert (spec.chunks, spec.shards) == (chunks, shards)
    source = pickle.loads(pickle.dumps(Source(spec, spatial)))
    whole = canonical(pixels, axes, spatial)
    assert source.shape == whole.shape
    n = len(source.lead)
    ranges = [sorted(data.draw(st.sets(st.integers(0, k), min_size=2, max_size=2))) for k in source.shape]
    channels = tuple(data.draw(st.lists(st.integers(0, source.shape[n] - 1), min_size=1, max_size=4)))
    lead = Box(tuple(a for a, _ in ranges[:n]), tuple(b for _, b in ranges[:n]))
    box = Box(tuple(a for a, _ in ranges[n + 1 :]), tuple(b for _, b in ranges[n + 1 :]))
    found = source.read(lead, channels, box)
    wanted = whole[lead.slices].take(channels, axis=n)[(slice(None),) * (n + 1) + box.slices]
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == np.dtype(spec.dtype)
    assert found.dtype.isnative
    assert found.flags.c_contiguous


def test_threads_read_at_once(tmp_path):
    pixels = make_pixels((256, 256), "uint16")
    source = Source(open_image(str(write_array(tmp_path / "a.zarr", pixels, chunks=(32, 32)))), "yx")
    errors = []

    def read(k):
        try:
            for row in range(0, 256, 16):
                box = Box((row, k * 8), (row + 16, k * 8 + 100))
                np.testing.assert_array_equal(source.read(Box((), ()), (0,), box)[0], pixels[box.slices])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=read, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_an_image_is_opened_once_a_process(tmp_path, monkeypatch):
    spec = open_image(str(write_array(tmp_path / "a.zarr", make_pixels((20, 20)))))
    calls = []
    inner = source_module.OPENERS["zarr"].open_pixels
    monkeypatch.setattr(source_module.OPENERS["zarr"], "open_pixels", lambda s: calls.append(s) or inner(s))
    read_all(spec)
    read_all(spec)
    assert len(calls) == 1


def make_plain(tmp_path, **options):
    return write_array(tmp_path / "a.zarr", make_pixels((20, 30)), chunks=(10, 10), **options)


def make_broken(path, name, content):
    path.mkdir(parents=True, exist_ok=True)
    (path / name).write_text(content)
    return path


def make_plate(tmp_path):
    return write_group(tmp_path / "p.zarr", {"ome": {"plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}]}}})


def make_series(tmp_path):
    path = write_group(tmp_path / "s.zarr", {"bioformats2raw.layout": 3}, 2)
    for k in range(2):
        write_image(path / str(k), make_pixels((9, 9)), "yx", version="0.4")
    return path


def make_group(tmp_path):
    path = write_group(tmp_path / "g.zarr", {})
    for name in "bc":
        write_array(path / name, make_pixels((9, 9)))
    return path


def make_file(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"pixels")
    return tmp_path / "a.txt"


def make_typed(tmp_path, dtype, zarr_format=2):
    array = zarr.create_array(str(tmp_path / "t.zarr"), shape=(4, 4), dtype=dtype, zarr_format=zarr_format)
    assert array.shape == (4, 4)
    return tmp_path / "t.zarr"


def make_empty(tmp_path):
    zarr.create_array(str(tmp_path / "e.zarr"), shape=(0, 4), dtype="u1")
    return tmp_path / "e.zarr"


def make_level(tmp_path, dataset):
    path = write_image(tmp_path / "i.zarr", make_pixels((9, 9)), "yx")
    content = json.loads((path / "zarr.json").read_text())
    content["attributes"]["ome"]["multiscales"][0]["datasets"][0]["path"] = dataset
    (path / "zarr.json").write_text(json.dumps(content))
    return path


def make_link(tmp_path):
    outside = write_array(tmp_path / "outside.zarr", make_pixels((9, 9)))
    path = make_level(tmp_path, "link")
    (path / "link").symlink_to(outside)
    return path


def make_strange_codec(tmp_path):
    path = make_plain(tmp_path, zarr_format=2)
    content = json.loads((path / ".zarray").read_text())
    content["compressor"] = {"id": "no_such_codec"}
    (path / ".zarray").write_text(json.dumps(content))
    return path


REFUSED = [
    ("nothing", lambda p: p / "none.zarr", {}, "does not exist"),
    ("file", make_file, {}, "a.txt is a file of no format"),
    ("folder", lambda p: p, {}, "a folder without zarr metadata"),
    ("plate", make_plate, {}, r"OME-Zarr plate.*A/1, B/2.*p\.zarr/A/1/0"),
    ("series", make_series, {}, r"bioformats2raw.*s\.zarr/0"),
    ("group", make_group, {}, r"without OME-Zarr metadata \(it holds b, c\).*g\.zarr/b"),
    ("level of a plain array", make_plain, {"level": 1}, "level 0, its only one"),
    ("level", lambda p: write_image(p / "i.zarr", make_pixels((9, 9)), "yx", levels=2), {"level": 2}, "levels, 0 to 1"),
    ("level below", lambda p: write_image(p / "i.zarr", make_pixels((9, 9)), "yx"), {"level": -1}, "its only one"),
    ("complex", lambda p: make_typed(p, "complex64"), {}, "type complex64"),
    ("text", lambda p: make_typed(p, "<U4"), {}, "pixels of type <U4"),
    ("structured", lambda p: make_typed(p, [("a", "u1"), ("b", "u1")]), {}, "pixels of type"),
    ("dates", lambda p: make_typed(p, "datetime64[s]"), {}, "pixels of type datetime64"),
    ("empty", make_empty, {}, r"is empty, its shape is \(0, 4\)"),
    ("axes too many", make_plain, {"axes": "zyx"}, "expected 2 letters"),
    ("axes unknown", make_plain, {"axes": "yq"}, "from t c z y x"),
    ("axes twice", make_plain, {"axes": "yy"}, "from t c z y x"),
    ("axes not spatial", make_plain, {"axes": "cx"}, "y and x among them"),
    ("axes missing", lambda p: write_array(p / "a.zarr", make_pixels((2, 2, 9, 9))), {}, "--axes czyx"),
    ("broken json", lambda p: make_broken(p / "b", "zarr.json", "{"), {}, "is broken"),
    ("broken attributes", lambda p: make_broken(make_plain(p, zarr_format=2), ".zattrs", "[1"), {}, "is broken"),
    ("no object", lambda p: make_broken(p / "b", "zarr.json", "[]"), {}, "a JSON object"),
    ("no node", lambda p: make_broken(p / "b", "zarr.json", '{"node_type": 1}'), {}, "node_type 1"),
    ("half an array", lambda p: make_broken(p / "b", "zarr.json", '{"node_type": "array"}'), {}, "cannot be opened"),
    ("deep json", lambda p: make_broken(p / "b", "zarr.json", "[" * 100_000), {}, "is broken"),
    ("codec", make_strange_codec, {}, "no_such_codec"),
    ("path outside", lambda p: make_level(p, "../x"), {}, "stays below"),
    ("path absolute", lambda p: make_level(p, str(p)), {}, "stays below"),
    ("path to nothing", lambda p: make_level(p, "7"), {}, "7 does not exist"),
    ("link outside", make_link, {}, "is a link to"),
]


@pytest.mark.parametrize(("make", "options", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_no_image_is_refused_in_one_line(tmp_path, make, options, words):
    with pytest.raises(ImageError, match=words) as caught:
        open_image(str(make(tmp_path)), **options)
    assert all((caught.value.got, caught.value.expected, caught.value.do))
    assert "\n" not in str(caught.value)


def test_a_3d_model_needs_a_third_axis(tmp_path):
    with pytest.raises(ImageError, match="axes yx for a model over zyx"):
        Source(open_image(str(make_plain(tmp_path))), "zyx")


def test_channels_and_boxes_outside_are_refused(tmp_path):
    source = Source(open_image(str(make_plain(tmp_path))), "yx")
    with pytest.raises(ImageError, match="channels 1"):
        source.read(Box((), ()), (1,), Box((0, 0), (2, 2)))
    with pytest.raises(ValueError, match="y from 0 to 21"):
        source.read(Box((), ()), (0,), Box((0, 0), (21, 2)))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_the_fingerprint_follows_what_fixes_the_pixels(tmp_path, version):
    def make(name, **options):
        pixels = make_pixels((40, 40), options.pop("dtype", "uint8"))
        path = write_image(tmp_path / name, pixels, "yx", version=version, levels=2, **options)
        return open_image(str(path), level=options.pop("level", 0)).fingerprint

    same = make("a")
    assert make("b") == same
    others = [make("c", dtype="int8"), make("d", chunks=(20, 40)), make("e", scale=(2, 2))]
    assert len({same, *others}) == 4
    assert open_image(str(tmp_path / "a"), level=1).fingerprint != same


def test_an_image_that_changed_since_is_refused(tmp_path):
    spec = open_image(str(make_plain(tmp_path)))
    content = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())
    content["fill_value"] = 3
    (tmp_path / "a.zarr" / "zarr.json").write_text(json.dumps(content))
    with pytest.raises(ImageError, match="have changed since"):
        read_all(spec)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({}, "c/1/2"),
        ({"shards": (10, 20)}, "c/1/1"),
        ({"zarr_format": 2}, "1.2"),
        ({"chunk_key_encoding": {"name": "v2", "separator": "/"}}, "1/2"),
    ],
)
def test_missing_chunks_are_named_or_filled(tmp_path, options, key):
    spec = open_image(str(make_plain(tmp_path, fill_value=9, **options)))
    assert missing_chunks(spec) == []
    (tmp_path / "a.zarr" / key).unlink()
    assert missing_chunks(spec) == [key]
    assert missing_chunks(spec, Box((0, 0), (10, 30))) == []
    with pytest.raises(ImageError, match=rf"chunk {key} of .* is missing.*--missing fill"):
        read_all(spec)
    assert (read_all(spec, missing="fill")[0, 10:, 20:] == 9).all()
    # a box that does not touch it is read all the same
    assert Source(spec, "yx").read(Box((), ()), (0,), Box((0, 0), (10, 30))).shape == (1, 10, 30)


ZSTD = {"compressors": zarr.codecs.ZstdCodec(checksum=True)}


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
@pytest.mark.parametrize(
    "options",
    [
        ZSTD,
        {"zarr_format": 2},
        {"shards": (10, 20), **ZSTD},
        {"compressors": [zarr.codecs.Crc32cCodec()]},
        {"compressors": zarr.codecs.BloscCodec()},
        {"compressors": zarr.codecs.GzipCodec()},
        {"compressors": None},
    ],
    ids=["zstd", "v2", "shard", "crc32c", "blosc", "gzip", "none"],
)
def test_damaged_chunks_are_named(tmp_path, options, damage):
    codec = options.get("compressors", "")
    if damage == "flip" and (codec is None or isinstance(codec, zarr.codecs.BloscCodec) or "zarr_format" in options):
        pytest.skip("nothing checks these bytes")
    spec = open_image(str(make_plain(tmp_path, **options)))
    key = {"zarr_format": "1.1", "shards": "c/1/1"}.get(next(iter(options)), "c/1/1")
    chunk = tmp_path / "a.zarr" / key
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 16
    chunk.write_bytes({"flip": content, "cut": content[: len(content) // 2], "empty": b""}[damage])
    for missing in ("error", "fill"):
        with pytest.raises(ImageError, match=rf"chunk {key} of .* is corrupt or cut short \(.+\)"):
            read_all(spec, missing=missing)


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
@pytest.mark.parametrize("name", ["4d_dataset", "5d_dataset"])
def test_twins_of_two_versions_have_the_same_pixels(name):
    old, new = (open_image(str(DATA / f"{name}_v{v}.ome.zarr"), level=1) for v in (4, 5))
    assert (old.zarr_format, new.zarr_format) == (2, 3)
    assert (old.axes, old.shape, old.scale, old.channel_names) == (new.axes, new.shape, new.scale, new.channel_names)
    wanted = zarr.open_array(str(DATA / f"{name}_v4.ome.zarr" / "1"), mode="r")[...]
    for spec in (old, new):
        for spatial in ("yx", "zyx"):
            np.testing.assert_array_equal(read_all(spec, spatial), canonical(wanted, spec.axes, spatial))


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
@pytest.mark.parametrize(("level", "size"), [(0, 682), (1, 341), (2, 170)])
def test_a_published_image_is_read_at_every_level(level, size):
    path = DATA / "xy_8bit__nuclei_PLK1_control.ome.zarr"
    spec = open_image(str(path), level=level)
    assert (spec.axes, spec.shape, spec.levels) == ("tczyx", (1, 1, 1, size, size), 3)
    assert spec.units == ("second", None, None, "micrometer", "micrometer")
    assert spec.channel_names == ("Channel 0",)
    assert missing_chunks(spec) == []
    np.testing.assert_array_equal(read_all(spec)[0, 0, 0], zarr.open_array(str(path / str(level)), mode="r")[0, 0, 0])
