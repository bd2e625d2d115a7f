import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from images import make_pixels, write_array, write_image
from tilewise import sink
from tilewise.errors import OutputError
from tilewise.ledger import Ledger
from tilewise.lock import acquire
from tilewise.place import check_place, clear, look, sweep
from tilewise.record import Stamp, read_stamp, write_stamp
from tilewise.sink import OutputSpec, create, validate, write


def make_spec(path, **changes):
    fields = {
        "path": str(path),
        "axes": "cyx",
        "shape": (2, 50, 70),
        "dtype": "float32",
        "chunk": (2, 8, 16),
        "shard": (2, 16, 32),
        "scale": (1.0, 0.5, 0.25),
        "translation": (0.0, 0.0, 0.0),
        "units": (None, "micrometer", "micrometer"),
        "image_name": "cells",
    }
    return OutputSpec(**(fields | changes))


def starts(spec):
    return np.ndindex(*(-(-n // s) for n, s in zip(spec.shape, spec.shard, strict=True)))


def write_all(spec, pixels):
    for place in starts(spec):
        start = tuple(k * s for k, s in zip(place, spec.shard, strict=True))
        write(spec, start, pixels[tuple(slice(a, a + s) for a, s in zip(start, spec.shard, strict=True))])


def read(spec):
    return zarr.open_array(str(spec.array), mode="r")


def listing(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in Path(path).rglob("*") if p.is_file()}


def test_an_output_is_an_ome_zarr_image(tmp_path):
    spec = make_spec(tmp_path / "out.zarr", translation=(0.0, 1.5, 2.5), names=("a", "b"))
    create(spec, {"tile": 64})
    pixels = make_pixels(spec.shape, spec.dtype)
    write_all(spec, pixels)
    validate(spec.path)
    array = zarr.open_group(spec.path, mode="r")["0"]
    np.testing.assert_array_equal(array[...], pixels)
    assert (array.chunks, array.shards, array.metadata.dimension_names) == (spec.chunk, spec.shard, ("c", "y", "x"))
    content = json.loads((Path(spec.array) / "zarr.json").read_text())
    (sharding,) = content["codecs"]
    inner, index = sharding["configuration"]["codecs"], sharding["configuration"]["index_codecs"]
    assert [codec["name"] for codec in inner] == ["bytes", "zstd"]
    assert inner[1]["configuration"]["checksum"] is True
    assert [codec["name"] for codec in index] == ["bytes", "crc32c"]
    (multiscale,) = json.loads((tmp_path / "out.zarr" / "zarr.json").read_text())["attributes"]["ome"]["multiscales"]
    assert multiscale["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [1.0, 0.5, 0.25]},
        {"type": "translation", "translation": [0.0, 1.5, 2.5]},
    ]
    assert look(spec.path) == "ours"


def test_several_results_lie_side_by_side(tmp_path):
    first, second = (make_spec(tmp_path / "out.zarr", name=name) for name in ("nuclei", "cells"))
    create(first, {"a": 1})
    create(second, {"a": 1})
    pixels = make_pixels(first.shape, "float32")
    write_all(second, pixels)
    validate(str(tmp_path / "out.zarr" / "nuclei"))
    validate(str(tmp_path / "out.zarr" / "cells"))
    np.testing.assert_array_equal(zarr.open_group(first.path, mode="r")["cells/0"][...], pixels)
    assert read_stamp(first.path).owns == ("nuclei", "cells")


@pytest.mark.parametrize("name", ["tilewise", "", "../x", "a/b", ".hidden", "a b"])
def test_names_that_lead_elsewhere_are_refused(tmp_path, name):
    with pytest.raises(OutputError, match="a result named"):
        make_spec(tmp_path, name=name)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_what_is_written_block_by_block_is_what_zarr_reads(tmp_path_factory, data):
    ndim = data.draw(st.integers(2, 4))
    axes = {2: "yx", 3: "cyx", 4: "tcyx"}[ndim]
    shape = tuple(data.draw(st.integers(1, 12)) for _ in axes)
    chunk = tuple(data.draw(st.integers(1, 5)) for _ in axes)
    shard = tuple(c * data.draw(st.integers(1, 3)) for c in chunk)
    if "c" in axes:
        k = axes.index("c")
        whole = tuple(shape[k] if i == k else c for i, c in enumerate(chunk))
        shard, chunk = tuple(shape[k] if i == k else s for i, s in enumerate(shard)), whole
    dtype = data.draw(st.sampled_from(["uint8", "uint16", "float16", "float32", "float64", "int32", "bool"]))
    fill = data.draw(st.sampled_from([0, 1]))
    extra = {"scale": (1.0,) * ndim, "translation": (0.0,) * ndim, "units": (None,) * ndim}
    path = tmp_path_factory.mktemp("out") / "o.zarr"
    spec = make_spec(path, axes=axes, shape=shape, chunk=chunk, shard=shard, dtype=dtype, fill=fill, **extra)
    create(spec, {})
    pixels = make_pixels(shape, dtype, seed=data.draw(st.integers(0, 9)))
    # stretches of fill, to be left out
    pixels[..., : data.draw(st.integers(0, shape[-1]))] = fill
    # a block's pixels may come as a view in any order of memory
    write_all(spec, np.asarray(pixels, order=data.draw(st.sampled_from("CF"))))
    np.testing.assert_array_equal(read(spec)[...], pixels)


def test_zarr_writes_the_same_chunks(tmp_path):
    """Ours and zarr's differ in the order of chunks within a shard only."""
    spec = make_spec(tmp_path / "out.zarr", shape=(2, 16, 32), dtype="uint8")
    create(spec, {})
    pixels = make_pixels(spec.shape, "uint8")
    write_all(spec, pixels)
    ours = (Path(spec.array) / "c/0/0/0").read_bytes()
    zarr.open_array(str(spec.array), mode="r+")[...] = pixels
    assert len((Path(spec.array) / "c/0/0/0").read_bytes()) == len(ours)


@pytest.mark.parametrize(("value", "stored"), [(0.0, False), (-0.0, True), (float("nan"), True), (1.0, True)], ids=str)
def test_only_bits_of_fill_are_left_out(tmp_path, value, stored):
    spec = make_spec(tmp_path / "out.zarr", shape=(2, 16, 32))
    create(spec, {})
    write(spec, (0, 0, 0), np.full(spec.shape, value, "float32"))
    assert (Path(spec.array) / "c/0/0/0").exists() == stored
    found = read(spec)[...]
    assert found.tobytes() == np.full(spec.shape, value, "float32").tobytes()


def test_nan_may_be_the_fill(tmp_path):
    spec = make_spec(tmp_path / "out.zarr", shape=(2, 16, 32), fill=float("nan"))
    create(spec, {})
    write(spec, (0, 0, 0), np.full(spec.shape, np.nan, "float32"))
    assert not (Path(spec.array) / "c").exists()
    assert np.isnan(read(spec)[...]).all()


def test_a_shard_is_one_file_written_once(tmp_path):
    spec = make_spec(tmp_path / "out.zarr")
    create(spec, {})
    pixels = make_pixels(spec.shape, "float32")
    renamed = []
    real = os.replace

    def spy(part, place):
        renamed.append(place)
        return real(part, place)

    with mock.patch.object(os, "replace", spy), mock.patch.object(Path, "replace", spy):
        write(spec, (0, 0, 0), pixels[:, :16, :32])
    assert [Path(name).name for name in renamed] == ["0"]
    np.testing.assert_array_equal(read(spec)[:, :16, :32], pixels[:, :16, :32])


def test_a_damaged_shard_does_not_stop_its_own_repair(tmp_path):
    spec = make_spec(tmp_path / "out.zarr")
    create(spec, {})
    pixels = make_pixels(spec.shape, "float32")
    write(spec, (0, 0, 0), pixels[:, :16, :32])
    (Path(spec.array) / "c/0/0/0").write_bytes(b"torn")
    write(spec, (0, 0, 0), pixels[:, :16, :32])
    np.testing.assert_array_equal(read(spec)[:, :16, :32], pixels[:, :16, :32])
    # a block that is all fill now takes the old shard away
    write(spec, (0, 0, 0), np.zeros((2, 16, 32), "float32"))
    assert not (Path(spec.array) / "c/0/0/0").exists()


@pytest.mark.parametrize(
    ("start", "shape", "dtype", "words"),
    [
        ((0, 8, 0), (2, 16, 32), "float32", "not on the grid"),
        ((0, 64, 0), (2, 16, 32), "float32", "not on the grid"),
        ((0, -16, 0), (2, 16, 32), "float32", "not on the grid"),
        ((0, 0, 0), (2, 8, 32), "float32", "not the whole shard"),
        ((0, 0, 0), (1, 16, 32), "float32", "not the whole shard"),
        ((0, 48, 64), (2, 16, 32), "float32", "not the whole shard"),
        ((0, 0, 0), (2, 16, 32), "float64", "convert first"),
    ],
)
def test_writes_that_would_lose_pixels_are_refused(tmp_path, start, shape, dtype, words):
    spec = make_spec(tmp_path / "out.zarr")
    create(spec, {})
    with pytest.raises(ValueError, match=words):
        write(spec, start, np.ones(shape, dtype))
    assert not (Path(spec.array) / "c").exists()


def test_threads_write_at_once(tmp_path):
    spec = make_spec(tmp_path / "out.zarr")
    create(spec, {})
    pixels = make_pixels(spec.shape, "float32")
    places = list(starts(spec))
    errors = []

    def work(k):
        try:
            for place in places[k::4]:
                start = tuple(a * s for a, s in zip(place, spec.shard, strict=True))
                write(spec, start, pixels[tuple(slice(a, a + s) for a, s in zip(start, spec.shard, strict=True))])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    np.testing.assert_array_equal(read(spec)[...], pixels)


def test_specs_that_contradict_themselves_are_refused(tmp_path):
    cut_channels = {"shard": (1, 16, 32), "chunk": (1, 8, 16)}
    for changes in ({"axes": "yxc"}, {"shard": (2, 12, 32)}, cut_channels, {"shape": (1,)}):
        with pytest.raises(ValueError, match=r"axes|chunks|channels"):
            make_spec(tmp_path, **changes)


def test_the_same_record_resumes_and_leaves_pixels_alone(tmp_path):
    spec = make_spec(tmp_path / "out.zarr")
    create(spec, {"tile": (64, 64), "notes": {"started": 1}})
    write_all(spec, make_pixels(spec.shape, "float32"))
    before = listing(spec.path)
    create(spec, {"tile": [64, 64], "notes": {"started": 2}})
    assert listing(spec.path) == before


def test_another_record_is_refused_with_what_differs(tmp_path):
    spec = make_spec(tmp_path / "out.zarr")
    create(spec, {"cut": {"tile": 64}})
    before = listing(spec.path)
    with pytest.raises(OutputError, match=r"cut\.tile: 64 -> 128"):
        create(spec, {"cut": {"tile": 128}})
    assert listing(spec.path) == before


def test_an_output_of_another_shape_is_not_written_into(tmp_path):
    create(make_spec(tmp_path / "out.zarr"), {})
    other = make_spec(tmp_path / "out.zarr", shape=(2, 50, 71))
    with pytest.raises(OutputError, match="shape, type, chunk and shard"):
        write(other, (0, 0, 0), np.ones((2, 16, 32), "float32"))


def make_foreign(path, kind, tmp_path):
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
        (path / "notes.txt").write_text("mine")
    elif kind == "zarr":
        write_array(path, make_pixels((9, 9)))
    elif kind == "image":
        write_image(path, make_pixels((9, 9)), "yx")
    elif kind == "broken link":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "linked record":
        create(make_spec(tmp_path / "other.zarr"), {})
        path.mkdir()
        (path / "tilewise").symlink_to(tmp_path / "other.zarr" / "tilewise")
    else:
        (path / "tilewise").mkdir(parents=True)
        (path / "tilewise" / "notes.txt").write_text("mine")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["file", "folder", "zarr", "image", "broken link", "linked record", "same name"])
def test_what_is_not_tilewises_is_never_touched(tmp_path, kind, overwrite):
    path = tmp_path / "out.zarr"
    make_foreign(path, kind, tmp_path)
    before = listing(tmp_path)
    with pytest.raises(OutputError, match="exists and is not tilewise's"):
        create(make_spec(path), {}, overwrite=overwrite)
    with pytest.raises(OutputError):
        clear(str(path))
    assert listing(tmp_path) == before


def test_an_empty_folder_or_one_with_a_lock_is_free(tmp_path):
    assert look(str(tmp_path)) == look(str(tmp_path / "none")) == "free"
    spec = make_spec(tmp_path)
    with acquire(spec.path):
        assert look(spec.path) == "free"
        create(spec, {})
        create(spec, {"a": 1}, overwrite=True)
        assert (tmp_path / "tilewise" / "lock.json").exists()
    assert look(spec.path) == "ours"


def test_an_output_and_its_input_keep_apart(tmp_path):
    source = write_image(tmp_path / "deep" / "in.zarr", make_pixels((9, 9)), "yx")
    alias = tmp_path / "alias"
    alias.symlink_to(source)
    for out in (source, source / "labels" / "x", tmp_path / "deep", tmp_path, alias / "x"):
        for overwrite in (False, True):
            with pytest.raises(OutputError, match=r"the input|inside the zarr store"):
                create(make_spec(out), {}, inputs=[str(source)], overwrite=overwrite)
    with pytest.raises(OutputError, match="inside the zarr store"):
        check_place(str(source / "x"))
    assert check_place(str(tmp_path / "deep" / "out.zarr"), [str(source)]) == "free"
    assert not (tmp_path / "deep" / "out.zarr").exists()


def test_overwrite_replaces_all_that_is_ours(tmp_path):
    spec = make_spec(tmp_path / "out.zarr")
    create(spec, {"a": 1})
    write_all(spec, make_pixels(spec.shape, "float32"))
    ledger = Ledger.create(spec.path, 12, {"a": 1})
    ledger.mark(0, "done")
    ledger.flush()
    (tmp_path / "out.zarr" / "1").mkdir()
    small = make_spec(tmp_path / "out.zarr", shape=(2, 10, 10))
    create(small, {"a": 2}, overwrite=True)
    assert set(listing(spec.path)) == {"zarr.json", "0/zarr.json", "tilewise/zarr.json"}
    assert read_stamp(spec.path).record == {"a": 2}
    write_all(small, np.ones(small.shape, "float32"))
    assert read(small).shape == (2, 10, 10)


def test_overwrite_stops_at_what_others_put_there(tmp_path):
    spec = make_spec(tmp_path / "out.zarr")
    create(spec, {"a": 1})
    (tmp_path / "out.zarr" / "labels").mkdir()
    before = listing(spec.path)
    with pytest.raises(OutputError, match="also holds labels"):
        create(spec, {"a": 2}, overwrite=True)
    assert listing(spec.path) == before


def test_overwrite_never_follows_a_link_out(tmp_path):
    outside = tmp_path / "precious"
    outside.mkdir()
    (outside / "data").write_text("mine")
    spec = make_spec(tmp_path / "out.zarr")
    create(spec, {"a": 1})
    (Path(spec.array) / "c").symlink_to(outside)
    (tmp_path / "out.zarr" / "1").symlink_to(outside)
    create(spec, {"a": 2}, overwrite=True)
    assert (outside / "data").read_text() == "mine"
    assert not (tmp_path / "out.zarr" / "1").exists()


class CutError(BaseException):
    """Stands for a kill."""


def cut_after(monkeypatch, count):
    """Let so many changes of the file system happen, then die."""
    left = [count]

    def limited(real):
        def change(*args, **options):
            if left[0] == 0:
                raise CutError
            left[0] -= 1
            return real(*args, **options)

        return change

    for owner, name in ((os, "replace"), (Path, "replace"), (Path, "unlink"), (os, "unlink"), (os, "rmdir")):
        monkeypatch.setattr(owner, name, limited(getattr(owner, name)))


@pytest.mark.parametrize("count", range(12))
def test_a_create_that_was_cut_short_is_finished(tmp_path, count):
    spec = make_spec(tmp_path / "out.zarr")
    with pytest.MonkeyPatch.context() as patch:
        cut_after(patch, count)
        try:
            create(spec, {"a": 1})
        except CutError:
            assert look(spec.path) in {"free", "ours"}
    create(spec, {"a": 1})
    validate(spec.path)
    whole = make_spec(tmp_path / "whole.zarr")
    create(whole, {"a": 1})
    assert listing(spec.path) == listing(whole.path)


@pytest.mark.parametrize("count", range(0, 24, 2))
def test_an_overwrite_that_was_cut_short_never_looks_done(tmp_path, count):
    spec = make_spec(tmp_path / "out.zarr", shape=(2, 16, 64))
    create(spec, {"a": 1})
    write_all(spec, np.ones(spec.shape, "float32"))
    ledger = Ledger.create(spec.path, 2, {"a": 1})
    for number in range(2):
        ledger.mark(number, "done")
    ledger.flush()
    with pytest.MonkeyPatch.context() as patch:
        cut_after(patch, count)
        try:
            create(spec, {"a": 2}, overwrite=True)
        except CutError:
            assert look(spec.path) == "ours"
    # whoever comes now finds all the old pixels and their ledger, or none that count
    stamp = read_stamp(spec.path)
    if stamp.record == {"a": 1}:
        assert (read(spec)[...] == 1).all()
        assert Ledger.open(spec.path).counts().done == 2
    else:
        create(spec, {"a": 2})
        assert (read(spec)[...] == 0).all()
        assert Ledger.create(spec.path, 2, {"a": 2}).counts().pending == 2


WRITER = """
import sys
import numpy as np
from test_sink import make_spec
from tilewise.sink import write
spec = make_spec(sys.argv[1], shape=(2, 512, 512), shard=(2, 256, 256), chunk=(2, 32, 32))
pixels = np.random.default_rng(0).standard_normal((2, 256, 256)).astype("float32")
write(spec, (0, 256, 256), pixels)
print("go", flush=True)
while True:
    write(spec, (0, 256, 256), pixels)
"""


def test_a_killed_writer_leaves_no_torn_shard_and_is_swept_up(tmp_path):
    spec = make_spec(tmp_path / "out.zarr", shape=(2, 512, 512), shard=(2, 256, 256), chunk=(2, 32, 32))
    create(spec, {})
    wanted = np.random.default_rng(0).standard_normal((2, 256, 256)).astype("float32")
    for k in range(3):
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
        command = [sys.executable, "-c", WRITER, spec.path]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2 + 0.013 * k)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        np.testing.assert_array_equal(read(spec)[:, 256:, 256:], wanted)
    leftover = Path(spec.array) / "c/1/1/1.0123.partial"
    leftover.parent.mkdir(parents=True, exist_ok=True)
    leftover.write_bytes(b"half")
    assert sweep(spec.path) >= 1
    assert not [name for name in listing(spec.path) if name.endswith(".partial")]
    assert sweep(spec.path) == 0


def test_a_flipped_bit_in_a_shard_is_found(tmp_path):
    spec = make_spec(tmp_path / "out.zarr", shape=(2, 16, 32), shard=(2, 16, 32), chunk=(2, 16, 32))
    create(spec, {})
    pixels = make_pixels(spec.shape, "float32")
    write_all(spec, pixels)
    place = Path(spec.array) / "c/0/0/0"
    good = place.read_bytes()
    for position in range(0, len(good), 97):
        bad = bytearray(good)
        bad[position] ^= 1
        place.write_bytes(bad)
        with pytest.raises(Exception, match=r"."):
            read(spec)[...]


def test_a_stamp_of_another_format_is_said(tmp_path):
    write_stamp(str(tmp_path), Stamp({}, ()))
    place = tmp_path / "tilewise" / "zarr.json"
    place.write_text(place.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(OutputError, match="format 99"):
        look(str(tmp_path))


def test_a_shard_of_fill_alone_is_not_stored(tmp_path):
    spec = make_spec(tmp_path / "out.zarr", shape=(2, 16, 32), shard=(2, 16, 32), chunk=(2, 16, 32))
    create(spec, {})
    write_all(spec, np.ones(spec.shape, "float32"))
    write_all(spec, np.zeros(spec.shape, "float32"))
    assert not (Path(spec.array) / "c").exists() or not listing(Path(spec.array) / "c")
    assert (read(spec)[...] == 0).all()


@pytest.mark.parametrize("fill", [0.0, float("nan")])
def test_the_check_is_made_once_a_process(tmp_path, monkeypatch, fill):
    spec = make_spec(tmp_path / "out.zarr", fill=fill)
    create(spec, {})
    calls = []
    real = sink.check
    monkeypatch.setattr(sink.array, "check", lambda s, level: calls.append(s) or real(s, level))
    pixels = make_pixels(spec.shape, "float32")
    for _ in range(2):
        write_all(pickle.loads(pickle.dumps(spec)), pixels)
    assert len(calls) == 1
