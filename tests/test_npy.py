import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from images import make_pixels
from tilewise.errors import ImageError
from tilewise.geometry import Box
from tilewise.source import Source, open_image, sample_pixels


def write(path, pixels):
    np.save(path, pixels)
    return path


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_box_of_any_array_is_what_numpy_cuts(tmp_path_factory, data):
    axes = data.draw(st.sampled_from(["yx", "zyx", "cyx", "yxc", "tyx"]))
    shape = tuple(data.draw(st.integers(1, 40)) for _ in axes)
    pixels = make_pixels(shape, data.draw(st.sampled_from(["uint8", ">u2", "<f4", ">f8", "bool", "int64"])))
    pixels = np.asarray(pixels, order=data.draw(st.sampled_from("CF")))
    spec = open_image(str(write(tmp_path_factory.mktemp("any") / "a.npy", pixels)), axes=axes)
    assert sorted(spec.axes) == sorted(axes)
    source = Source(spec, "yx")
    n = len(source.lead)
    order = [axes.index(a) for a in source.lead + "c" + "yx" if a in axes]
    whole = pixels.transpose(order) if "c" in axes else np.expand_dims(pixels.transpose(order), n)
    ranges = [sorted(data.draw(st.sets(st.integers(0, k), min_size=2, max_size=2))) for k in source.shape]
    box = Box(tuple(a for a, _ in ranges), tuple(b for _, b in ranges))
    channels = tuple(range(box.start[n], box.stop[n]))
    found = source.read(Box(box.start[:n], box.stop[:n]), channels, Box(box.start[n + 1 :], box.stop[n + 1 :]))
    np.testing.assert_array_equal(found, whole[box.slices])
    assert sample_pixels(spec)


def test_a_file_that_is_cut_short_is_named(tmp_path):
    path = write(tmp_path / "a.npy", make_pixels((40, 50)))
    path.write_bytes(path.read_bytes()[:1000])
    source = Source(open_image(str(path)), "yx")
    with pytest.raises(ImageError, match=r"bytes 128 to 2128 of .*a\.npy is corrupt or cut short \(the file ends at"):
        source.read(Box((), ()), (0,), Box((0, 0), (40, 50)))
    assert source.read(Box((), ()), (0,), Box((0, 0), (9, 50))).shape == (1, 9, 50)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.array([[{}, 1], [2, 3]], dtype=object), "pixels of type object"),
        (np.zeros((4, 4), "complex64"), "type complex64"),
        (np.zeros((0, 4)), "is empty"),
        (np.zeros((2, 2, 3, 3)), "--axes czyx"),
    ],
)
def test_what_is_no_image_is_refused_and_never_unpickled(tmp_path, pixels, words):
    with pytest.raises(ImageError, match=words):
        open_image(str(write(tmp_path / "a.npy", pixels)))


def test_a_header_that_is_broken_is_refused(tmp_path):
    path = write(tmp_path / "a.npy", make_pixels((4, 5)))
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ImageError, match="expected a whole NumPy file"):
        open_image(str(path))
    with pytest.raises(ImageError, match="no place within"):
        open_image(f"{path}/x")


def test_a_file_that_changed_since_is_refused(tmp_path):
    spec = open_image(str(write(tmp_path / "a.npy", make_pixels((4, 5)))))
    write(tmp_path / "a.npy", make_pixels((4, 6)))
    with pytest.raises(ImageError, match="has changed since"):
        Source(spec, "yx").read(Box((), ()), (0,), Box((0, 0), (4, 5)))
