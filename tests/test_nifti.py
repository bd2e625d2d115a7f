import gzip
import math
import sys
import threading
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tilewise
from images import make_pixels, write_array
from networks import one_layer, save
from tilewise import Cut, Model, Normalization, Pixels, Results
from tilewise.errors import ImageError
from tilewise.geometry import Box
from tilewise.openers.gzipped import RATIO
from tilewise.source import Source, missing_chunks, open_image, sample_pixels


def write(path, pixels, *, slope=None, inter=None, kind=nibabel.Nifti1Image, zooms=None, endian="<", units=()):
    """A volume whose first axis is the fastest, as nibabel shows it."""
    header = kind.header_class(endianness=endian)
    header.set_data_dtype(pixels.dtype)
    image = kind(pixels, np.eye(4), header)
    if zooms:
        image.header.set_zooms(zooms)
    if units:
        image.header.set_xyzt_units(*units)
    if slope is not None:
        image.header.set_slope_inter(slope, inter)
    nibabel.save(image, path)
    return path


def read_whole(spec, spatial="zyx"):
    source = Source(spec, spatial)
    n = len(source.lead)
    box = Box((0,) * len(source.shape), source.shape)
    found = source.read(
        Box(box.start[:n], box.stop[:n]), tuple(range(source.shape[n])), Box(box.start[n + 1 :], box.stop[n + 1 :])
    )
    return found if "c" in spec.axes else found.squeeze(n)


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "float32", "float64", "uint64"])
def test_a_volume_is_read_as_nibabel_reads_it(tmp_path, ending, dtype):
    pixels = make_pixels((13, 11, 7), dtype)
    path = write(tmp_path / f"a.{ending}", pixels, zooms=(0.5, 1.0, 2.0), units=("mm", "sec"))
    spec = open_image(str(path))
    assert (spec.axes, spec.shape, spec.dtype, spec.opener) == ("zyx", (7, 11, 13), dtype, "nifti")
    assert (spec.scale, spec.units, spec.name) == ((2.0, 1.0, 0.5), ("millimeter",) * 3, "a")
    np.testing.assert_array_equal(read_whole(spec), np.asanyarray(nibabel.load(path).dataobj).T)
    assert missing_chunks(spec) == []
    assert sample_pixels(spec)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("endian", "<>")
def test_both_versions_in_both_byte_orders(tmp_path, kind, endian):
    path = write(tmp_path / "a.nii", make_pixels((5, 6, 7), "int16"), kind=kind, endian=endian)
    np.testing.assert_array_equal(read_whole(open_image(str(path))), np.asanyarray(nibabel.load(path).dataobj).T)


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_slope_and_intercept_are_applied_as_nibabel_applies_them(tmp_path, ending):
    path = write(tmp_path / f"a.{ending}", make_pixels((5, 6, 7), "int16"))
    content = path.read_bytes()
    header = bytearray(gzip.decompress(content) if ending == "nii.gz" else content)
    header[112:120] = np.array([0.37, -11.5], "<f4").tobytes()
    path.write_bytes(gzip.compress(bytes(header)) if ending == "nii.gz" else header)
    spec = open_image(str(path))
    wanted = np.asanyarray(nibabel.load(path).dataobj).T
    assert spec.dtype == wanted.dtype.name == "float64"
    np.testing.assert_array_equal(read_whole(spec), wanted)


@pytest.mark.parametrize(
    ("shape", "axes", "units"),
    [
        ((13, 11), "yx", ("micrometer",) * 2),
        ((13, 11, 1), "yx", ("micrometer",) * 2),
        ((13, 11, 5, 4), "tzyx", ("second", *("micrometer",) * 3)),
        ((13, 11, 5, 1, 3), "ctzyx", (None, "second", *("micrometer",) * 3)),
        ((13, 11, 5, 2, 3), "ctzyx", (None, "second", *("micrometer",) * 3)),
    ],
)
def test_axes_come_the_slowest_first(tmp_path, shape, axes, units):
    pixels = make_pixels(shape, "uint8")
    spec = open_image(str(write(tmp_path / "a.nii", pixels, units=("micron", "sec"))))
    assert (spec.axes, spec.units) == (axes, units)
    assert spec.shape == (pixels.squeeze() if len(shape) < 4 else pixels).shape[::-1]


def test_colours_are_channels(tmp_path):
    pixels = make_pixels((5, 6, 7, 3))
    packed = pixels.view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    spec = open_image(str(write(tmp_path / "a.nii", packed)))
    assert (spec.axes, spec.shape) == ("zyxc", (7, 6, 5, 3))
    found = read_whole(spec)
    np.testing.assert_array_equal(found, pixels.transpose(3, 2, 1, 0))


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_any_box_is_what_numpy_cuts(tmp_path_factory, data):
    shape = tuple(data.draw(st.integers(1, 30)) for _ in range(3))
    pixels = make_pixels(shape, data.draw(st.sampled_from(["uint8", "int16", "float32"])))
    ending = data.draw(st.sampled_from(["nii", "nii.gz"]))
    path = write(tmp_path_factory.mktemp("any") / f"a.{ending}", pixels)
    spec = open_image(str(path), axes="zyx" if shape[2] > 1 else None)
    whole = pixels.T if "z" in spec.axes else pixels.T[0]
    ranges = [sorted(data.draw(st.sets(st.integers(0, k), min_size=2, max_size=2))) for k in spec.shape]
    box = Box(tuple(a for a, _ in ranges), tuple(b for _, b in ranges))
    found = Source(spec, spec.axes).read(Box((), ()), (0,), box)[0]
    np.testing.assert_array_equal(found, whole[box.slices])
    assert found.dtype.isnative


def test_threads_read_a_gzipped_volume_at_once(tmp_path):
    pixels = make_pixels((64, 64, 64), "int16")
    source, errors = Source(open_image(str(write(tmp_path / "a.nii.gz", pixels))), "zyx"), []

    def read(k):
        try:
            for z in (40, 3, 60, 20):
                box = Box((z, k * 5, 7), (z + 4, k * 5 + 20, 50))
                np.testing.assert_array_equal(source.read(Box((), ()), (0,), box)[0], pixels.T[box.slices])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=read, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_a_file_that_is_cut_short_is_named(tmp_path, ending):
    path = write(tmp_path / f"a.{ending}", make_pixels((32, 32, 32), "int16"))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    spec = open_image(str(path))
    with pytest.raises(ImageError, match=r"of .*a\.nii.* is corrupt or cut short \(.+\)"):
        read_whole(spec)
    if ending == "nii":
        found = Source(spec, "zyx").read(Box((), ()), (0,), Box((0, 0, 0), (8, 32, 32)))
        assert found.shape == (1, 8, 32, 32)


def test_a_gzipped_file_with_damage_is_named(tmp_path):
    path = write(tmp_path / "a.nii.gz", make_pixels((32, 32, 32), "int16"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.nii\.gz is corrupt or cut short"):
        read_whole(open_image(str(path)))


def test_a_file_that_changed_since_is_refused(tmp_path):
    path = write(tmp_path / "a.nii", make_pixels((5, 6, 7), "int16"))
    spec = open_image(str(path))
    write(path, make_pixels((5, 6, 8), "int16"))
    with pytest.raises(ImageError, match="has changed since"):
        read_whole(spec)


def claim(path, lengths):
    """A header that claims other lengths than the file has."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[42:48] = np.array(lengths, "<i2").tobytes()
    path.write_bytes(gzip.compress(bytes(content)))
    return path


def test_a_claim_that_no_gzip_can_hold_is_refused_unread(tmp_path):
    path = claim(write(tmp_path / "a.nii.gz", np.zeros((9, 9, 9), "int16")), (30000, 30000, 30000))
    with pytest.raises(ImageError, match="claims 54000000000000 bytes of pixels, more than gzip can pack"):
        open_image(str(path))


def test_gzip_packs_no_more_than_is_believed():
    size = 1 << 24
    assert size / RATIO < len(gzip.compress(bytes(size), 9)) < size / 900


def test_memory_does_not_grow_with_a_gzipped_volume(tmp_path):
    small = open_image(str(write(tmp_path / "a.nii.gz", np.zeros((9, 9, 9), "int16"))))
    large = open_image(str(claim(write(tmp_path / "b.nii.gz", make_pixels((90, 90, 90), "uint8")), (900, 900, 900))))
    assert math.prod(large.shape) > 700e6
    assert small.held < large.held < 50e6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c[:344] + b"ni1\0" + c[348:], "the header of two files"),
        (lambda c: c[:40] + b"\x08\0" + c[42:], "cannot be opened|two to five axes"),
        (lambda c: c[:70] + b"\x20\0" + c[72:], "type complex64"),
        (lambda c: c[:70] + b"\xff\xff" + c[72:], "cannot be opened"),
        (lambda c: c[:42] + b"\xff\xff" + c[44:], "two to five axes|cannot be opened"),
    ],
)
def test_what_is_no_volume_is_refused(tmp_path, change, words):
    path = write(tmp_path / "a.nii", make_pixels((5, 6, 7), "int16"))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ImageError, match=words) as caught:
        open_image(str(path))
    assert "\n" not in str(caught.value)


def test_content_tells_and_not_the_name(tmp_path):
    path = write(tmp_path / "a.nii.gz", make_pixels((5, 6, 7)))
    path = path.rename(tmp_path / "picture.dat")
    assert open_image(str(path)).opener == "nifti"
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(b"no volume" * 100))
    with pytest.raises(ImageError, match="no format that is known"):
        open_image(str(tmp_path / "b.nii.gz"))
    with pytest.raises(ImageError, match="no place within a NIfTI"):
        open_image(f"{path}/0")


def test_a_missing_library_is_named_with_its_extra(tmp_path, monkeypatch):
    path = write(tmp_path / "a.nii", make_pixels((5, 6, 7)))
    monkeypatch.setitem(sys.modules, "indexed_gzip", None)
    with pytest.raises(ImageError, match=r'pip install "tilewise\[nifti\]"'):
        open_image(str(path))


def test_a_run_over_a_gzipped_volume_is_that_over_a_copy(tmp_path):
    pixels = make_pixels((40, 30, 20), "int16")
    path = write(tmp_path / "a.nii.gz", pixels)
    copy = write_array(tmp_path / "copy.zarr", np.ascontiguousarray(pixels.T))
    model = save(one_layer(ndim=3), tmp_path)
    cut = Cut(tile=16, halo="exact")
    for k, image in enumerate((path, copy)):
        tilewise.run(image, model, tmp_path / f"{k}.zarr", cut=cut)
    one, other = (tmp_path / "0.zarr" / "0", tmp_path / "1.zarr" / "0")
    files = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(other) for p in other.rglob("*") if p.is_file())
    assert all((one / f).read_bytes() == (other / f).read_bytes() for f in files)


@pytest.mark.data
def test_a_real_brain_is_read_as_nibabel_reads_it(data):
    path = data / "images" / "niivue_t1_crop.nii.gz"
    spec = open_image(str(path))
    assert (spec.axes, spec.shape, spec.dtype) == ("zyx", (256, 256, 256), "uint8")
    np.testing.assert_array_equal(read_whole(spec), np.asanyarray(nibabel.load(path).dataobj).T)


@pytest.mark.data
@pytest.mark.slow
def test_the_3d_model_over_a_real_brain_in_its_own_file(tmp_path, data):
    image = data / "images" / "niivue_t1_crop.nii.gz"
    brain = np.ascontiguousarray(np.asanyarray(nibabel.load(image).dataobj).T)
    copy = write_array(tmp_path / "copy.zarr", brain, chunks=(64, 64, 64))
    model = Model(data / "models" / "meshnet3d_niivue.onnx")
    asked = Pixels(normalization=Normalization(kind="minmax"))
    for k, path in enumerate((image, copy)):
        tilewise.run(path, model, tmp_path / f"{k}.zarr", pixels=asked, results=Results(output="labels"))
    one, other = (Path(tmp_path, f"{k}.zarr", "0") for k in range(2))
    assert all((one / f.relative_to(other)).read_bytes() == f.read_bytes() for f in other.rglob("*") if f.is_file())
