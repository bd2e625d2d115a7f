import itertools
import json
import pickle
import sys
import threading

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

import tilewise
from images import make_pixels, write_array
from networks import one_layer, save
from shell import call
from tilewise import Cut, Pixels
from tilewise.errors import ImageError, SettingError
from tilewise.geometry import Box
from tilewise.settings import Machine
from tilewise.source import Source, missing_chunks, open_image, sample_pixels

WORLD = (3, 2, 5, 40, 50)
"""Frames, channels, planes, rows, columns of a small world."""


def read_whole(spec):
    """All pixels in the file's own order, read the way a run reads."""
    source = Source(spec, "yx")
    n = len(source.lead)
    lengths = source.shape
    found = source.read(Box((0,) * n, lengths[:n]), tuple(range(lengths[n])), Box((0, 0), lengths[n + 1 :]))
    order = source.lead + "c" + "yx"
    if "c" not in spec.axes:
        found, order = found.squeeze(n), order.replace("c", "")
    return found.transpose([order.index(a) for a in spec.axes])


def tif(path, pixels, **options):
    tifffile.imwrite(path, pixels, **options)
    return path


ROWS = [
    ("ome", "a.ome.tif", "TCZYX", "uint16", {"metadata": {"axes": "TCZYX"}}, "tczyx"),
    (
        "ome tiles",
        "a.ome.tif",
        "TCZYX",
        "uint16",
        {"tile": (32, 16), "compression": "zlib", "predictor": True},
        "tczyx",
    ),
    ("ome zct", "a.ome.tif", "TZCYX", "uint8", {"compression": "lzw", "rowsperstrip": 7}, "tzcyx"),
    ("ome volume", "a.ome.tif", "ZYX", "float32", {"compression": "zstd"}, "zyx"),
    ("ome time", "a.ome.tif", "TYX", "int8", {}, "tyx"),
    ("ome channels", "a.ome.tif", "CYX", "uint16", {"tile": (16, 16), "bigtiff": True}, "cyx"),
    ("imagej", "a.tif", "TZCYX", "uint16", {"imagej": True}, "tzcyx"),
    ("imagej floats", "a.tif", "ZYX", "float32", {"imagej": True}, "zyx"),
    ("big-endian", "a.ome.tif", "CZYX", "uint16", {"byteorder": ">", "compression": "zlib"}, "czyx"),
    ("big-endian raw", "a.tif", "YX", "float64", {"byteorder": ">"}, "yx"),
    ("stack without names", "a.tif", "ZYX", "uint8", {"metadata": None}, "zyx"),
    ("shaped stack", "a.tif", "ZYX", "int16", {"metadata": {}}, "zyx"),
    ("strips", "a.tif", "YX", "uint32", {"rowsperstrip": 3, "compression": "packbits"}, "yx"),
    ("one strip", "a.tif", "YX", "int32", {"rowsperstrip": 40, "compression": "zlib"}, "yx"),
    ("float16", "a.tif", "YX", "float16", {"tile": (16, 32)}, "yx"),
    ("bits", "a.tif", "YX", "bool", {"metadata": None}, "yx"),
    ("volume tiles", "a.tif", "ZYX", "uint8", {"volumetric": True, "tile": (4, 16, 16), "compression": "zlib"}, "zyx"),
    ("int64", "a.tif", "YX", "int64", {"rowsperstrip": 8}, "yx"),
]


@pytest.mark.parametrize(
    ("name", "letters", "dtype", "options", "axes"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS]
)
def test_pixels_are_those_of_the_library_that_wrote_them(tmp_path, name, letters, dtype, options, axes):
    pixels = make_pixels([dict(zip("TCZYX", WORLD, strict=True))[a] for a in letters], dtype)
    options = {"metadata": {"axes": letters}, **options}
    path = tif(tmp_path / name, pixels, **options)
    spec = open_image(str(path))
    assert (spec.axes, spec.shape, spec.dtype, spec.opener) == (axes, pixels.shape, dtype, "tiff")
    np.testing.assert_array_equal(read_whole(spec), tifffile.imread(path).reshape(pixels.shape))
    np.testing.assert_array_equal(read_whole(spec), pixels)
    assert missing_chunks(spec) == []
    assert len(sample_pixels(spec)) > 0
    assert pickle.loads(pickle.dumps(spec)) == spec


@pytest.mark.parametrize(
    ("options", "axes"),
    [
        ({"tile": (16, 16), "compression": "jpeg"}, "yxc"),
        ({"rowsperstrip": 16, "compression": "jpeg", "subsampling": (2, 2)}, "yxc"),
        ({"tile": (32, 32), "compression": "jpeg2000"}, "yxc"),
        ({"compression": "webp"}, "yxc"),
        ({}, "yxc"),
        ({"planarconfig": "separate"}, "cyx"),
        ({"planarconfig": "separate", "tile": (16, 16), "compression": "zlib"}, "cyx"),
    ],
)
def test_samples_of_a_pixel_are_channels(tmp_path, options, axes):
    pixels = make_pixels((40, 50, 3))
    if "planarconfig" in options:
        pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    path = tif(tmp_path / "a.tif", pixels, photometric="rgb", **options)
    spec = open_image(str(path))
    assert (spec.axes, spec.channels) == (axes, 3)
    np.testing.assert_array_equal(read_whole(spec), tifffile.imread(path))


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_any_box_is_what_numpy_cuts(tmp_path_factory, data):
    letters = "".join(a for a in "TCZ" if data.draw(st.booleans())) + "YX"
    shape = tuple(data.draw(st.integers(2, 5)) for _ in letters[:-2]) + tuple(
        data.draw(st.integers(2, 60)) for _ in "YX"
    )
    pixels = make_pixels(shape, data.draw(st.sampled_from(["uint8", "uint16", "float32"])))
    layout = data.draw(st.sampled_from([{}, {"tile": (16, 32)}, {"rowsperstrip": 5}]))
    codec = data.draw(st.sampled_from([None, "zlib"]))
    path = tmp_path_factory.mktemp("any") / "a.ome.tif"
    byteorder = data.draw(st.sampled_from("<>"))
    tif(
        path,
        pixels,
        metadata={"axes": letters},
        photometric="minisblack",
        compression=codec,
        byteorder=byteorder,
        **layout,
    )
    source = Source(open_image(str(path)), "yx")
    n = len(source.lead)
    whole = pixels.transpose([letters.index(a) for a in "TZCYX" if a in letters])
    whole = whole if "C" in letters else np.expand_dims(whole, n)
    ranges = [sorted(data.draw(st.sets(st.integers(0, k), min_size=2, max_size=2))) for k in source.shape]
    channels = tuple(data.draw(st.lists(st.integers(0, source.shape[n] - 1), min_size=1, max_size=3)))
    box = Box(tuple(a for a, _ in ranges), tuple(b for _, b in ranges))
    found = source.read(Box(box.start[:n], box.stop[:n]), channels, Box(box.start[n + 1 :], box.stop[n + 1 :]))
    wanted = whole[box.slices[:n]].take(channels, axis=n)[(slice(None),) * (n + 1) + box.slices[n + 1 :]]
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype.isnative


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory):
    """Two channels of an odd size in three levels, tiled, compressed, with sizes and names."""
    path = tmp_path_factory.mktemp("pyramid") / "cells.ome.tif"
    pixels = make_pixels((2, 213, 301), "uint16")
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 250.0, "PhysicalSizeYUnit": "nm"}
    with tifffile.TiffWriter(path) as writer:
        about = {"axes": "CYX", **sizes, "Channel": {"Name": ["DAPI", "GFP"]}, "Name": "two cells"}
        options = {"tile": (64, 64), "compression": "zlib"}
        writer.write(pixels, subifds=2, metadata=about, **options)
        for step in (2, 4):
            writer.write(pixels[:, ::step, ::step], subfiletype=1, **options)
    return path, pixels


@pytest.mark.parametrize("level", [0, 1, 2])
def test_levels_of_a_pyramid_have_their_place(pyramid, level):
    path, pixels = pyramid
    spec, step = open_image(str(path), level=level), 2**level
    np.testing.assert_array_equal(read_whole(spec), pixels[:, ::step, ::step])
    assert (spec.level, spec.levels, spec.chunks) == (level, 3, (1, 64, 64))
    assert spec.scale == (1.0, 250.0 * step, 0.5 * step)
    assert spec.translation == (0.0, 250.0 * (step - 1) / 2, 0.5 * (step - 1) / 2)
    assert spec.units == (None, "nanometer", "micrometer")
    assert (spec.channel_names, spec.name) == (("DAPI", "GFP"), "two cells")


def test_a_level_that_is_not_there_is_refused(pyramid):
    with pytest.raises(ImageError, match=r"--level 3 for .*one of its levels, 0 to 2"):
        open_image(str(pyramid[0]), level=3)


def test_a_pyramid_of_pages_is_one_too(tmp_path):
    pixels = make_pixels((300, 400, 3))
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for step in (1, 2, 4):
            writer.write(
                pixels[::step, ::step],
                tile=(64, 64),
                photometric="rgb",
                subfiletype=int(step > 1),
                metadata=None,
                resolution=(20000 / step, 20000 / step),
                resolutionunit="CENTIMETER",
            )
    specs = [open_image(str(tmp_path / "a.tif"), level=k) for k in range(3)]
    for step, spec in zip((1, 2, 4), specs, strict=True):
        np.testing.assert_array_equal(read_whole(spec), pixels[::step, ::step])
        assert (spec.levels, spec.scale, spec.units) == (
            3,
            (0.5 * step, 0.5 * step, 1.0),
            ("micrometer",) * 2 + (None,),
        )
    assert len({spec.fingerprint for spec in specs}) == 3


def test_imagej_says_its_sizes(tmp_path):
    pixels = make_pixels((2, 3, 4, 20, 30), "uint16")
    about = {"axes": "TZCYX", "unit": "um", "spacing": 2.0, "finterval": 5.0, "tunit": "min"}
    spec = open_image(str(tif(tmp_path / "a.tif", pixels, imagej=True, metadata=about, resolution=(4.0, 2.0))))
    assert (spec.axes, spec.scale) == ("tzcyx", (5.0, 2.0, 1.0, 0.5, 0.25))
    assert spec.units == ("minute", "micrometer", None, "micrometer", "micrometer")


def test_inches_of_a_screen_are_no_size(tmp_path):
    path = tif(tmp_path / "a.tif", make_pixels((20, 30)), resolution=(72, 72), resolutionunit="INCH")
    spec = open_image(str(path))
    assert (spec.scale, spec.units) == ((1.0, 1.0), (None, None))


def write_series(path, shapes=((20, 30), (50, 60)), **options):
    with tifffile.TiffWriter(path, **options) as writer:
        for k, shape in enumerate(shapes):
            writer.write(make_pixels(shape, seed=k), metadata=None if not options else {"axes": "YX"})
    return path


def test_one_of_several_series_is_chosen_and_said(tmp_path):
    plain, ome = write_series(tmp_path / "a.tif"), write_series(tmp_path / "a.ome.tif", ome=True)
    assert open_image(str(plain)).shape == (50, 60)
    assert open_image(str(ome)).shape == (20, 30)
    assert "holds 2 series: this is 0; the others are 1" in open_image(str(ome)).notes[0]
    other = open_image(f"{ome}/1")
    assert (other.shape, other.notes, other.path, other.array_path) == ((50, 60), (), str(ome), "1")
    np.testing.assert_array_equal(read_whole(other), make_pixels((50, 60), seed=1))
    assert open_image(str(ome)).fingerprint != other.fingerprint
    for wrong in ("2", "x", "0/1"):
        with pytest.raises(ImageError, match=r"the number of one of its series: 0 .*\(20 x 30\), 1"):
            open_image(f"{ome}/{wrong}")


def test_axes_come_from_the_user_first(tmp_path):
    path = tif(tmp_path / "a.tif", make_pixels((5, 20, 30)), metadata={"axes": "QYX"})
    assert [open_image(str(path), axes=axes).axes for axes in (None, "cyx", "TYX")] == ["zyx", "cyx", "tyx"]
    path = tif(tmp_path / "b.tif", make_pixels((2, 5, 20, 30)), metadata={})
    assert open_image(str(path), axes="tcyx").axes == "tcyx"
    with pytest.raises(ImageError, match=r"has 4 axes without names.*--axes czyx"):
        open_image(str(path))


def test_planes_of_an_ome_tiff_may_lie_in_files_side_by_side(tmp_path):
    pixels = make_pixels((2, 20, 30), "uint16")
    write_halves(tmp_path, pixels)
    np.testing.assert_array_equal(read_whole(open_image(str(tmp_path / "one.ome.tif"))), pixels)
    (tmp_path / "two.ome.tif").unlink()
    spec = open_image(str(tmp_path / "one.ome.tif"))
    assert missing_chunks(spec) == ["1.0"]
    with pytest.raises(ImageError, match=r"chunk 1\.0 of .* is missing"):
        read_whole(spec)


def write_halves(folder, pixels, second="two.ome.tif", planes="2"):
    """Two files of a plane each; the first one's metadata speak of both."""
    parts = "".join(
        f'<TiffData FirstC="{k}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{k}</UUID></TiffData>'
        for k, name in enumerate(("one.ome.tif", second))
    )
    about = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:0">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="30" SizeY="20" '
        f'SizeC="{planes}" SizeZ="1" SizeT="1"><Channel ID="c:0"/><Channel ID="c:1"/>{parts}</Pixels></Image></OME>'
    )
    tif(folder / "one.ome.tif", pixels[0], description=about, metadata=None)
    tif(folder / "two.ome.tif", pixels[1], description=about.replace("urn:uuid:0", "urn:uuid:1", 1), metadata=None)


@pytest.fixture(scope="module")
def watched():
    """Every file that is opened, until the module's tests are over."""
    opened, on = [], [True]
    # a hook cannot be taken away again
    sys.addaudithook(lambda event, given: opened.append(str(given[0])) if on and event == "open" else None)
    yield opened
    on.clear()


@pytest.mark.parametrize("name", ["../two.ome.tif", "/etc/two.ome.tif", "a/two.ome.tif", "..", "link.ome.tif", "a\\b"])
def test_metadata_that_lead_out_of_the_folder_are_refused(tmp_path, name, watched):
    folder = tmp_path / "inside"
    folder.mkdir()
    write_halves(folder, make_pixels((2, 20, 30), "uint16"), name)
    outside = tif(tmp_path / "two.ome.tif", make_pixels((20, 30), "uint16"))
    (folder / "link.ome.tif").symlink_to(outside)
    watched.clear()
    with pytest.raises(ImageError, match=r"some of its pixels lie in .*files of its own folder"):
        open_image(str(folder / "one.ome.tif"))
    assert any("one.ome" in path for path in watched)
    assert not [path for path in watched if "two.ome" in path or "link.ome" in path]


def test_claims_without_pixels_are_refused_before_they_cost_anything(tmp_path):
    write_halves(tmp_path, make_pixels((2, 20, 30), "uint16"), planes="99999999999")
    with pytest.raises(ImageError, match="claims 99999999999 planes"):
        open_image(str(tmp_path / "one.ome.tif"))


def test_a_huge_image_of_few_bytes_costs_nothing(tmp_path):
    """A page whose tags claim a million pixels a side, and which stores nothing of them."""
    path = tif(tmp_path / "a.tif", make_pixels((64, 64)), tile=(32, 32), compression="zlib", metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as found:
        for name in ("ImageWidth", "ImageLength"):
            found.pages[0].tags[name].overwrite(1_000_000, dtype="I")
    spec = open_image(str(path))
    assert spec.shape == (1_000_000, 1_000_000)
    with pytest.raises(ImageError, match=r"chunk 0\.31251 of .* is missing"):
        Source(spec, "yx").read(Box((), ()), (0,), Box((32, 32), (64, 64)))


def damage(path, what):
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as found:
        page = found.pages[0]
        start, count = page.dataoffsets[5], page.databytecounts[5]
    if what == "noise":
        content[start + 20 : start + count - 2] = bytes(k * 37 % 251 for k in range(count - 22))
    elif what == "zeros":
        content[start : start + count] = bytes(count)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"compression": "jpeg", "photometric": "rgb"}, "zeros"),
        ({"compression": "zlib"}, "noise"),
        ({"compression": "zlib"}, "zeros"),
        ({"compression": "zstd"}, "zeros"),
        ({"compression": "jpeg2000"}, "zeros"),
    ],
)
def test_a_damaged_tile_is_named(tmp_path, options, what):
    shape = (96, 96, 3) if "photometric" in options else (96, 96)
    path = tif(tmp_path / "a.tif", make_pixels(shape), tile=(32, 32), metadata=None, **options)
    spec = open_image(str(path))
    damage(path, what)
    for missing in ("error", "fill"):
        with pytest.raises(ImageError, match=r"chunk 0\.5 of .*a\.tif is corrupt or cut short \(.+\)"):
            Source(spec, "yx").read(Box((), ()), (0,), Box((0, 0), (96, 96)), missing=missing)
    assert Source(spec, "yx").read(Box((), ()), (0,), Box((64, 0), (96, 96))).shape == (1, 32, 96)


@pytest.mark.parametrize("options", [{}, {"tile": (32, 32), "compression": "zlib"}])
def test_a_file_that_is_cut_short_is_named(tmp_path, options):
    path = tif(tmp_path / "a.tif", make_pixels((96, 96)), metadata=None, **options)
    spec, whole = open_image(str(path)), path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ImageError, match="has changed since"):
        read_whole(spec)
    spec = open_image(str(path))
    with pytest.raises(ImageError, match=r"a\.tif is corrupt or cut short \(the file ends at byte \d+"):
        read_whole(spec)
    assert Source(spec, "yx").read(Box((), ()), (0,), Box((0, 0), (32, 96))).shape == (1, 32, 96)


@pytest.mark.parametrize("part", [0.02, 0.5, 0.9, 0.999])
def test_a_chain_of_pages_that_breaks_off_is_refused(tmp_path, part):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for k in range(6):
            writer.write(make_pixels((40, 40), seed=k), compression="zlib", metadata=None)
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(ImageError) as caught:
        read_whole(open_image(str(tmp_path / "a.tif")))
    assert "\n" not in str(caught.value)


def test_tiles_that_are_not_stored_are_missing(tmp_path):
    path = tmp_path / "a.tif"
    tif(path, make_pixels((96, 96)), tile=(32, 32), metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as found:
        for name in ("TileOffsets", "TileByteCounts"):
            tag = found.pages[0].tags[name]
            tag.overwrite([0 if k == 4 else v for k, v in enumerate(tag.value)])
    spec = open_image(str(path))
    assert missing_chunks(spec) == ["0.4"]
    with pytest.raises(ImageError, match=r"chunk 0\.4 of .*--missing fill"):
        read_whole(spec)
    source = Source(spec, "yx")
    found = source.read(Box((), ()), (0,), Box((0, 0), (96, 96)), missing="fill")[0]
    assert found[32:64, 32:64].sum() == 0
    assert found[:32].sum() > 0


@pytest.mark.parametrize("content", [b"II*\0", b"MM\0*\0\0\0\x08", b"II*\0\x08\0\0\0\xff\xff", b"II+\0" + b"\xff" * 40])
def test_what_only_begins_like_a_tiff_is_refused(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.tif cannot be opened \(.+\); expected a whole TIFF file"):
        open_image(str(tmp_path / "a.tif"))


@pytest.mark.parametrize("dtype", ["complex64"])
def test_pixels_that_no_model_takes_are_refused(tmp_path, dtype):
    with pytest.raises(ImageError, match="pixels of type complex64"):
        open_image(str(tif(tmp_path / "a.tif", make_pixels((9, 9)).astype(dtype))))


def test_content_tells_and_not_the_name(tmp_path):
    path = tif(tmp_path / "picture.dat", make_pixels((20, 30)))
    assert open_image(str(path)).opener == "tiff"
    assert open_image(f"file://{path}").opener == "tiff"


def test_threads_read_at_once(pyramid):
    path, pixels = pyramid
    source, errors = Source(open_image(str(path)), "yx"), []

    def read(k):
        try:
            for row in range(0, 200, 16):
                box = Box((row, k * 20), (row + 13, k * 20 + 90))
                np.testing.assert_array_equal(source.read(Box((), ()), (1,), box)[0], pixels[1][box.slices])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=read, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_a_strip_that_is_decoded_whole_is_counted_and_said(tmp_path):
    pixels = make_pixels((9000, 8000))
    path = tif(tmp_path / "a.tif", pixels, rowsperstrip=9000, compression="packbits", metadata=None)
    spec = open_image(str(path))
    assert spec.held >= pixels.nbytes
    assert "stored in strips of 68 MiB that can only be decoded whole" in spec.notes[0]
    model = save(one_layer(), tmp_path)
    assert spec.notes[0] in tilewise.plan(path, model).notes
    with pytest.raises(SettingError, match="a worker would need"):
        tilewise.plan(path, model, cut=Cut(tile=64), machine=Machine(memory=500_000_000))
    source = Source(spec, "yx")
    for row in (0, 4000, 8900):
        found = source.read(Box((), ()), (0,), Box((row, 5), (row + 100, 900)))[0]
        np.testing.assert_array_equal(found, pixels[row : row + 100, 5:900])


def test_a_missing_library_is_named_with_its_extra(tmp_path, monkeypatch):
    path = tif(tmp_path / "a.tif", make_pixels((20, 30)))
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(ImageError, match=r'the extra tiff\. Install it: pip install "tilewise\[tiff\]"'):
        open_image(str(path))


def test_a_run_over_a_pyramid_is_that_over_a_copy_of_its_pixels(tmp_path, pyramid):
    path, pixels = pyramid
    copy = write_array(tmp_path / "copy.zarr", pixels[:, ::2, ::2], dimension_names="cyx")
    model = save(one_layer(channels_in=2), tmp_path)
    cut = Cut(tile=64, halo="exact")
    results = [
        tilewise.run(image, model, tmp_path / f"{k}.zarr", cut=cut, pixels=Pixels(level=level))
        for k, (image, level) in enumerate(((path, 1), (copy, 0)))
    ]
    assert [result.state for result in results] == ["done", "done"]
    one, other = ((tmp_path / f"{k}.zarr" / "0") for k in range(2))
    files = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(other) for p in other.rglob("*") if p.is_file())
    assert all((one / f).read_bytes() == (other / f).read_bytes() for f in files)
    placed = json.loads((tmp_path / "0.zarr" / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]
    assert placed["datasets"][0]["coordinateTransformations"][0]["scale"][-2:] == [500.0, 1.0]


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "axes", "scale"),
    [
        ("CMU-1-Small-Region.svs", "yxc", (0.499, 0.499, 1)),
        ("neubias_celegans_em_volume.tif", "zyx", (1, 1, 1)),
        ("neubias_xyc_16bit__cell_dna_mts_actin.tif", "cyx", (1, 0.1325, 0.1325)),
        ("neubias_xyc_8bit__dapi_tublin.tif", "cyx", (1, 0.454, 0.454)),
        ("neubias_xyz_8bit__chromosomes.tif", "zyx", (0.15, 0.03385, 0.03385)),
        ("neubias_xyz_8bit_calibrated_anisotropic__mri_head.tif", "zyx", None),
        ("neubias_xyzc_16bit__dna_conf_wf.tif", "zcyx", (0.4994, 1, 0.5119, 0.5119)),
        ("stardist_img2d.tif", "yx", (1, 1)),
        ("stardist_mask2d.tif", "yx", (1, 1)),
    ],
)
def test_real_files_have_the_pixels_that_tifffile_finds(data, name, axes, scale):
    path = data / "images" / name
    spec = open_image(str(path))
    assert spec.axes == axes
    assert scale is None or spec.scale == pytest.approx(scale, rel=1e-3)
    np.testing.assert_array_equal(read_whole(spec), tifffile.imread(path))


@pytest.mark.data
def test_the_other_images_of_a_slide_are_not_taken_for_it(data):
    path = data / "images" / "CMU-1-Small-Region.svs"
    assert (open_image(str(path)).shape, open_image(str(path)).notes) == ((2967, 2220, 3), ())
    assert open_image(f"{path}/1").shape == (768, 574, 3)


def test_names_of_steps_are_whole_where_sizes_are_odd():
    from tilewise.openers.tiff import _find_step

    for fine, step in itertools.product((70, 213, 301, 1001), (2, 4, 8)):
        assert _find_step(fine, -(-fine // step)) == _find_step(fine, fine // step) == step


@pytest.mark.data
def test_the_command_over_a_slide_is_that_over_a_copy(tmp_path, data):
    slide = data / "images" / "CMU-1-Small-Region.svs"
    copy = write_array(tmp_path / "copy.zarr", tifffile.imread(slide), chunks=(512, 512, 3), dimension_names="yxc")
    model = save(one_layer(channels_in=3), tmp_path)
    for k, image in enumerate((slide, copy)):
        done = call("run", image, model, tmp_path / f"{k}.zarr", "--tile", "512", "--output", "labels", "--quiet")
        assert done.code == 0, done.err
    one, other = (tmp_path / f"{k}.zarr" / "0" for k in range(2))
    files = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(other) for p in other.rglob("*") if p.is_file())
    assert all((one / f).read_bytes() == (other / f).read_bytes() for f in files)
    placed = json.loads((tmp_path / "0.zarr" / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]
    assert placed["datasets"][0]["coordinateTransformations"][0]["scale"] == [0.499, 0.499]


def test_a_scan_in_qptiff_has_its_channels_and_levels(tmp_path):
    """As Akoya's scanners write it: a page a channel, a picture of all, then the coarser levels, and the label."""
    pixels = make_pixels((3, 128, 192))
    about = "<PerkinElmer-QPI-ImageDescription><Name>{}</Name></PerkinElmer-QPI-ImageDescription>"
    options = {"metadata": None, "software": "PerkinElmer-QPI", "tile": (32, 32), "compression": "lzw"}
    size = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(tmp_path / "a.qptiff") as writer:
        for plane, name in zip(pixels, ("DAPI", "CD8", "CK"), strict=True):
            writer.write(plane, description=about.format(name), **size, **options)
        writer.write(make_pixels((20, 30, 3)), photometric="rgb", metadata=None)
        for plane in pixels:
            writer.write(plane[::2, ::2], subfiletype=1, **options)
        writer.write(make_pixels((40, 50, 3)), photometric="rgb", metadata=None)
    for level, step in enumerate((1, 2)):
        spec = open_image(str(tmp_path / "a.qptiff"), level=level)
        np.testing.assert_array_equal(read_whole(spec), pixels[:, ::step, ::step])
        assert (spec.axes, spec.levels, spec.scale) == ("cyx", 2, (1.0, 0.5 * step, 0.5 * step))
        assert (spec.channel_names, spec.units[1:]) == (("DAPI", "CD8", "CK"), ("micrometer",) * 2)
    assert "holds 3 series: this is 0; the others are 1 Thumbnail" in spec.notes[0]


def test_a_scan_in_scn_is_its_largest_image(tmp_path):
    """As Leica's scanners write it: the whole slide first, then the scan in its levels."""
    pixels = make_pixels((128, 192, 3))
    levels = "".join(f'<dimension sizeX="{192 >> r}" sizeY="{128 >> r}" r="{r}" ifd="{r + 1}"/>' for r in range(2))
    about = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01"><collection>'
        '<image name="whole"><pixels sizeX="30" sizeY="20"><dimension sizeX="30" sizeY="20" r="0" ifd="0"/></pixels>'
        f'</image><image name="scan"><pixels sizeX="192" sizeY="128">{levels}</pixels></image></collection></scn>'
    )
    options = {"photometric": "rgb", "metadata": None, "tile": (32, 32), "compression": "jpeg"}
    with tifffile.TiffWriter(tmp_path / "a.scn", bigtiff=True) as writer:
        writer.write(make_pixels((20, 30, 3)), description=about, **options)
        for step in (1, 2):
            writer.write(pixels[::step, ::step], **options)
    with tifffile.TiffFile(tmp_path / "a.scn") as found:
        assert [series.kind for series in found.series] == ["scn", "scn"]
        wanted = [level.asarray() for level in found.series[1].levels]
    for level in range(2):
        spec = open_image(str(tmp_path / "a.scn"), level=level)
        assert (spec.axes, spec.levels, spec.scale[0]) == ("yxc", 2, 2.0**level)
        np.testing.assert_array_equal(read_whole(spec), wanted[level])
