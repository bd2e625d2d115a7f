import sys

import h5py
import numpy as np
import pytest

import tilewise
from images import make_pixels, write_array
from networks import one_layer, save
from tilewise.errors import ImageError
from tilewise.geometry import Box
from tilewise.source import Source, missing_chunks, open_image, sample_pixels


def write(path, pixels, name="volumes/raw", **options):
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=pixels, **options)
    return path


def read_box(spec, box=None):
    """A box of an image of axes zyx or yx."""
    box = box or Box((0,) * len(spec.shape), spec.shape)
    return Source(spec, spec.axes).read(Box((), ()), (0,), box)[0]


ROWS = [
    ("uint8", {}),
    ("uint16", {"chunks": (4, 8, 8), "compression": "gzip"}),
    ("int8", {"chunks": (4, 8, 8), "compression": "lzf", "shuffle": True}),
    (">f8", {"chunks": (3, 7, 11), "fletcher32": True}),
    (">i2", {}),
    ("float16", {"chunks": (9, 20, 30)}),
    ("bool", {"chunks": (2, 8, 8)}),
]


@pytest.mark.parametrize(("dtype", "options"), ROWS)
@pytest.mark.parametrize("place", ["", "/volumes", "/volumes/raw"])
def test_a_dataset_is_read_as_h5py_reads_it(tmp_path, dtype, options, place):
    pixels = make_pixels((9, 20, 30), dtype)
    spec = open_image(f"{write(tmp_path / 'a.h5', pixels, **options)}{place}")
    assert (spec.axes, spec.shape, spec.opener) == ("zyx", pixels.shape, "hdf5")
    assert (spec.dtype, spec.array_path, spec.name) == (pixels.dtype.newbyteorder("=").name, "volumes/raw", "raw")
    np.testing.assert_array_equal(read_box(spec), pixels)
    box = Box((2, 3, 5), (7, 19, 29))
    np.testing.assert_array_equal(read_box(spec, box), pixels[box.slices])
    assert missing_chunks(spec) == []
    assert sample_pixels(spec)


def test_axes_and_sizes_come_from_what_others_write(tmp_path):
    pixels = make_pixels((2, 9, 20, 30))
    with h5py.File(write(tmp_path / "a.h5", pixels), "a") as file:
        for dim, label in zip(file["volumes/raw"].dims, "CZYX", strict=True):
            dim.label = label
        file["volumes/raw"].attrs["element_size_um"] = (2.0, 0.5, 0.25)
        tagged = file.create_dataset("tagged", data=pixels)
        tagged.attrs["axistags"] = '{"axes": [{"key": "t"}, {"key": "z"}, {"key": "y"}, {"key": "x"}]}'
        file.create_dataset("plain", data=pixels)
    spec = open_image(f"{tmp_path}/a.h5/volumes/raw")
    assert (spec.axes, spec.scale) == ("czyx", (1.0, 2.0, 0.5, 0.25))
    assert spec.units == (None, "micrometer", "micrometer", "micrometer")
    assert open_image(f"{tmp_path}/a.h5/tagged").axes == "tzyx"
    assert open_image(f"{tmp_path}/a.h5/plain", axes="tcyx").axes == "tcyx"
    with pytest.raises(ImageError, match="has 4 axes without names"):
        open_image(f"{tmp_path}/a.h5/plain")


def test_a_file_of_several_datasets_lists_them(tmp_path):
    with h5py.File(write(tmp_path / "a.h5", make_pixels((9, 9))), "a") as file:
        file["other"] = make_pixels((9, 9))
        file["table"] = np.arange(5)
        file["same"] = h5py.SoftLink("/volumes/raw")
        file["round"] = h5py.SoftLink("/round")
    with pytest.raises(ImageError, match=r"holds 2 datasets \(other, volumes/raw\).*for example .*a\.h5/other"):
        open_image(f"{tmp_path}/a.h5")
    assert open_image(f"{tmp_path}/a.h5/same").array_path == "volumes/raw"
    for place, words in (
        ("none", "none is not in"),
        ("other/x", "is not in"),
        ("round", "a link that leads elsewhere"),
    ):
        with pytest.raises(ImageError, match=words):
            open_image(f"{tmp_path}/a.h5/{place}")
    with pytest.raises(ImageError, match="has 1 axes without names"):
        open_image(f"{tmp_path}/a.h5/table")


def test_nothing_outside_of_the_file_is_read(tmp_path):
    secret = write(tmp_path / "secret.h5", make_pixels((9, 9)), "data")
    (tmp_path / "secret.bin").write_bytes(bytes(81))
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.h5"
    layout = h5py.VirtualLayout((9, 9), "u1")
    layout[...] = h5py.VirtualSource(secret, "data", (9, 9))
    with h5py.File(path, "w") as file:
        file["link"] = h5py.ExternalLink("../secret.h5", "/data")
        file["group"] = h5py.ExternalLink("../secret.h5", "/")
        file["soft"] = h5py.SoftLink("/group/data")
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("external", (9, 9), "u1", external=[(str(tmp_path / "secret.bin"), 0, 81)])
    for place in ("link", "group/data", "soft", "virtual", "external"):
        with pytest.raises(ImageError, match=r"a link that leads elsewhere|put together from other files"):
            open_image(f"{path}/{place}")
    with pytest.raises(ImageError, match=r"holds 2 datasets \(external, virtual\)"):
        open_image(str(path))


def test_chunks_that_are_not_stored_are_missing(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        found = file.create_dataset("a", (20, 30), "u1", chunks=(10, 10), fillvalue=7)
        found[:, :20] = 1
        file.create_dataset("empty", (20, 30), "u1")
    spec = open_image(f"{tmp_path}/a.h5/a")
    assert missing_chunks(spec) == ["0.2", "1.2"]
    with pytest.raises(ImageError, match=r"chunk 0\.2 of .*a\.h5/a is missing.*--missing fill"):
        read_box(spec)
    filled = Source(spec, "yx").read(Box((), ()), (0,), Box((0, 0), (20, 30)), missing="fill")[0]
    np.testing.assert_array_equal(filled[:, 20:], np.full((20, 10), 7))
    assert missing_chunks(open_image(f"{tmp_path}/a.h5/empty")) == ["0.0"]


@pytest.mark.parametrize("options", [{"compression": "gzip"}, {"fletcher32": True}])
def test_a_damaged_chunk_is_named(tmp_path, options):
    path = write(tmp_path / "a.h5", make_pixels((20, 30)), "a", chunks=(10, 10), **options)
    with h5py.File(path) as file:
        where = file["a"].id.get_chunk_info_by_coord((10, 20))
    content = bytearray(path.read_bytes())
    content[where.byte_offset : where.byte_offset + where.size] = b"\x55" * where.size
    path.write_bytes(content)
    spec = open_image(str(path))
    with pytest.raises(ImageError, match=r"chunk 1\.2 of .* is corrupt or cut short \(.+\)"):
        read_box(spec)
    assert read_box(spec, Box((0, 0), (10, 30))).shape == (10, 30)


def test_a_file_that_is_cut_short_is_refused(tmp_path):
    path = write(tmp_path / "a.h5", make_pixels((200, 300)))
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(ImageError, match=r"a\.h5 cannot be opened \(.*truncated.*\); expected a whole HDF5 file"):
        open_image(str(path))


def test_a_file_that_changed_since_is_refused(tmp_path):
    path = write(tmp_path / "a.h5", make_pixels((20, 30)))
    spec = open_image(str(path))
    write(path, make_pixels((20, 31)))
    with pytest.raises(ImageError, match="has changed since"):
        read_box(spec)


def test_a_level_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ImageError, match="level 0, its only one"):
        open_image(str(write(tmp_path / "a.h5", make_pixels((20, 30)))), level=1)


@pytest.mark.parametrize("dtype", ["complex64", "S4"])
def test_pixels_that_no_model_takes_are_refused(tmp_path, dtype):
    write(tmp_path / "a.h5", np.zeros((4, 4), dtype), "a")
    with pytest.raises(ImageError, match="pixels of type"):
        open_image(f"{tmp_path}/a.h5/a")


def test_a_missing_library_is_named_with_its_extra(tmp_path, monkeypatch):
    path = write(tmp_path / "a.h5", make_pixels((20, 30)))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImageError, match=r'pip install "tilewise\[hdf5\]"'):
        open_image(str(path))


def test_a_run_over_a_dataset_is_that_over_a_copy(tmp_path):
    pixels = make_pixels((100, 120), "uint16")
    path = write(tmp_path / "a.h5", pixels, chunks=(32, 32), compression="gzip")
    copy = write_array(tmp_path / "copy.zarr", pixels)
    model = save(one_layer(), tmp_path)
    for k, image in enumerate((path, copy)):
        assert tilewise.run(image, model, tmp_path / f"{k}.zarr").state == "done"
    one, other = (tmp_path / "0.zarr" / "0", tmp_path / "1.zarr" / "0")
    assert all((one / f.relative_to(other)).read_bytes() == f.read_bytes() for f in other.rglob("*") if f.is_file())
