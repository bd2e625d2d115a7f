import sys

import numpy as np
import openslide
import pytest
from PIL import Image

from images import make_pixels
from tilewise.errors import ImageError
from tilewise.geometry import Box
from tilewise.openers.slide import Slide
from tilewise.source import Source, missing_chunks, open_image, sample_pixels

SIZE = (512, 1024)


def paint(shape, seed=0):
    """A smooth picture, which JPEG keeps nearly as it is."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    noise = make_pixels((shape[0] // 16, shape[1] // 16, 3), seed=seed).repeat(16, 0).repeat(16, 1)
    return (noise // 2 + ((x + y) % 100)[..., np.newaxis]).astype(np.uint8)


def write_vms(folder, pixels):
    """A slide as Hamamatsu's scanners write it: pictures in JPEG, and a page of names."""
    for name, part in (("full", pixels), ("map", pixels[::4, ::4]), ("macro", pixels[::8, ::8])):
        Image.fromarray(part).save(folder / f"{name}.jpg", quality=90, subsampling=0, restart_marker_blocks=8)
    height, width = pixels.shape[:2]
    lines = {
        "NoLayers": 1,
        "NoJpegColumns": 1,
        "NoJpegRows": 1,
        "ImageFile": "full.jpg",
        "MapFile": "map.jpg",
        "MacroImage": "macro.jpg",
        "PhysicalWidth": width * 250,
        "PhysicalHeight": height * 250,
        "SourceLens": 20,
    }
    text = "[Virtual Microscope Specimen]\r\n" + "".join(f"{key}={value}\r\n" for key, value in lines.items())
    (folder / "slide.vms").write_text(text)
    return folder / "slide.vms"


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_vms(tmp_path_factory.mktemp("slide"), paint(SIZE))


def read_whole(spec):
    return Source(spec, "yx").read(Box((), ()), (0, 1, 2), Box((0, 0), spec.shape[:2])).transpose(1, 2, 0)


def show(slide, level):
    """The level as OpenSlide itself gives it, on white."""
    with openslide.OpenSlide(slide) as found:
        pixels = found.read_region((0, 0), level, found.level_dimensions[level])
        return np.asarray(Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels))[..., :3]


def test_a_slide_is_read_as_openslide_reads_it(slide):
    specs = [open_image(str(slide), level=k) for k in range(open_image(str(slide)).levels)]
    assert len(specs) > 1
    for level, spec in enumerate(specs):
        assert (spec.opener, spec.axes, spec.dtype, spec.name) == ("openslide", "yxc", "uint8", "slide")
        np.testing.assert_array_equal(read_whole(spec), show(slide, level))
        assert spec.scale[:2] == pytest.approx([0.25 * SIZE[0] / spec.shape[0]] * 2)
        assert spec.units == ("micrometer", "micrometer", None)
        assert missing_chunks(spec) == []
        assert sample_pixels(spec)
    assert np.abs(read_whole(specs[0]).astype(int) - paint(SIZE)).mean() < 10


def test_boxes_are_parts_of_the_whole(slide):
    spec = open_image(str(slide))
    whole = read_whole(spec)
    for box in (Box((0, 0), (7, 9)), Box((123, 301), (411, 640)), Box((511, 0), (512, 1024))):
        found = Source(spec, "yx").read(Box((), ()), (2, 0), box)
        np.testing.assert_array_equal(
            found, whole.transpose(2, 0, 1)[(2, 0), box.start[0] : box.stop[0]][..., box.slices[1]]
        )


def test_a_large_box_is_asked_for_in_parts(slide, monkeypatch):
    spec = open_image(str(slide))
    whole = read_whole(spec)
    monkeypatch.setattr("tilewise.openers.slide.LARGEST", 100)
    np.testing.assert_array_equal(read_whole(spec), whole)


class Glass:
    """A slide that is clear on the left, half clear in the middle."""

    level_downsamples = (1.0,)

    def read_region(self, place, level, size):
        pixels = np.full((size[1], size[0], 4), (200, 100, 0, 255), np.uint8)
        pixels[:, :10] = 0
        pixels[:, 10:20, 3] = 128
        return Image.fromarray(pixels, "RGBA")


@pytest.mark.parametrize("paper", [(255, 255, 255), (10, 20, 30)])
def test_what_is_transparent_shows_the_paper(paper):
    seen = Slide(Glass(), None, 0, (5, 30, 3), (5, 30, 3), paper).read_box(Box((0, 0, 0), (5, 30, 3)))
    front = Glass().read_region((0, 0), 0, (30, 5))
    wanted = np.asarray(Image.alpha_composite(Image.new("RGBA", front.size, (*paper, 255)), front))[..., :3]
    assert (seen[:, :10] == paper).all()
    assert (seen[:, 20:] == (200, 100, 0)).all()
    assert np.abs(seen.astype(int) - wanted).max() <= 1


def test_a_picture_that_is_not_there_is_named(tmp_path):
    path = write_vms(tmp_path, paint(SIZE))
    (tmp_path / "full.jpg").unlink()
    with pytest.raises(ImageError, match=r"slide\.vms cannot be opened \(.+\); expected a slide that OpenSlide knows"):
        open_image(str(path))


def test_damage_is_named(tmp_path):
    path = write_vms(tmp_path, paint(SIZE))
    spec = open_image(str(path))
    content = (tmp_path / "full.jpg").read_bytes()
    (tmp_path / "full.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError, match=r"chunk 0/\d+\.\d+ of .*slide\.vms is corrupt or cut short \(OpenSlideError"):
        read_whole(spec)
    # what is whole is read all the same
    assert Source(spec, "yx").read(Box((), ()), (0,), Box((0, 0), (9, 9))).shape == (1, 9, 9)


def test_content_tells_and_not_the_name(tmp_path):
    for name, content in (("a.mrxs", b"\xff\xd8\xff\xe0"), ("a.vms", b"[Other]"), ("a.dcm", bytes(200))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match="no format that is known"):
            open_image(str(tmp_path / name))
    for name, content in (("a.dat", bytes(128) + b"DICM"), ("b.dat", b"SQLite format 3\0" + bytes(99))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match="a slide that OpenSlide knows"):
            open_image(str(tmp_path / name))


def test_a_place_within_other_axes_and_levels_are_refused(slide):
    for path, options, words in (
        (f"{slide}/1", {}, "no place within a slide"),
        (str(slide), {"axes": "cyx"}, "yxc, which a slide always has"),
        (str(slide), {"level": 9}, "one of its levels"),
    ):
        with pytest.raises(ImageError, match=words):
            open_image(path, **options)


def test_a_missing_library_is_named_with_its_extra(slide, monkeypatch):
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(ImageError, match=r'pip install "tilewise\[openslide\]"'):
        open_image(str(slide))


@pytest.mark.data
def test_both_libraries_find_nearly_the_same_pixels_in_a_slide(data, tmp_path):
    """Two decoders of JPEG: they may differ in the last bits, but not by a place or an order of colours."""
    path = data / "images" / "CMU-1-Small-Region.svs"
    spec = open_image(str(path))
    assert spec.opener == "tiff"
    difference = np.abs(read_whole(spec).astype(int) - show(path, 0))
    assert difference.max() <= 2
