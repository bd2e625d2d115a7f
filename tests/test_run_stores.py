"""Runs from and to stores that are not disks, through servers on loopback: the bytes are those of a run on a disk."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.codecs import ZstdCodec

import tilewise
from images import make_pixels, write_array, write_image
from networks import one_layer, save
from servers import BUCKET, KEYS, serve_faults, serve_files, serve_s3
from shell import call, start, until_done
from tilewise import Behaviour, Cut, Machine, Normalization, Pixels
from tilewise.errors import ImageError, OutputError, StoreError
from tilewise.lock import find_owner
from tilewise.source import open_image
from tilewise.store import open_store

CUT = Cut(tile=64, halo=8, block=128)
SIZE = (300, 420)
OURS = re.compile(r"tilewise/|.*\.guard$")
"""Ledger and provenance: times and processes differ."""


@pytest.fixture(scope="module")
def s3():
    with serve_s3() as url:
        yield url


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stores")


@pytest.fixture(scope="module", autouse=True)
def environment(s3):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": s3, "TILEWISE_STORE_SECONDS": "20"}.items():
            patch.setenv(name, value)
        yield patch


@pytest.fixture(scope="module")
def model(folder):
    return save(one_layer(), folder)


@pytest.fixture(scope="module")
def image(folder):
    return write_image(folder / "image.zarr", make_pixels(SIZE, "uint8"), axes="yx")


@pytest.fixture(scope="module")
def there(image, environment):
    """The image, copied to the bucket."""
    return copy(image, f"s3://{BUCKET}/image.zarr")


@pytest.fixture(scope="module")
def local(folder, image, model):
    """What a run on a disk writes."""
    out = folder / "out.zarr"
    assert tilewise.run(image, model, out, cut=CUT).state == "done"
    return contents(str(out))


def copy(folder, place):
    store = open_store(str(place))
    for file in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
        store.write(file.relative_to(folder).as_posix(), file.read_bytes())
    return str(place)


def keys(store, key=""):
    """All objects below a place."""
    for name in store.names(key):
        inner = f"{key}/{name}".lstrip("/")
        if store.below(inner).kind() == "other":
            yield inner
        else:
            yield from keys(store, inner)


def contents(place):
    store = open_store(place)
    return {key: store.read(key) for key in keys(store) if not OURS.match(key)}


@pytest.fixture
def out(request):
    return f"s3://{BUCKET}/{re.sub(r'[^a-z0-9]+', '-', request.node.name)}"


def test_from_store_to_store_the_bytes_are_those_of_a_disk(there, model, out, local):
    result = tilewise.run(there, model, out, cut=CUT)
    assert (result.state, result.failed, result.output) == ("done", 0, out)
    assert contents(out) == local
    assert find_owner(out) is None
    assert not [key for key in keys(open_store(out)) if key.startswith("tilewise/lock")]
    again = tilewise.run(there, model, out, cut=CUT)
    assert again.executions == result.executions
    assert tilewise.status(out).done == result.blocks


def test_two_workers_as_processes(there, model, out, local):
    assert tilewise.run(there, model, out, cut=CUT, machine=Machine(workers=2)).state == "done"
    assert contents(out) == local


def test_from_a_web_server(folder, image, model, tmp_path, local):
    with serve_files(image.parent) as url:
        found = open_image(f"{url}/image.zarr")
        assert (found.shape, found.axes) == (SIZE, "yx")
        assert tilewise.run(f"{url}/image.zarr", model, tmp_path / "out.zarr", cut=CUT).state == "done"
        with pytest.raises(OutputError, match="a web server, which takes nothing"):
            tilewise.run(image, model, f"{url}/out.zarr", cut=CUT)
    assert contents(str(tmp_path / "out.zarr")) == local


def test_by_the_command_line(there, model, out, local):
    said = call("run", there, model, out, "--tile", "64", "--halo", "8", "--block", "128", "--json", "--quiet")
    assert said.code == 0, said.err
    assert said.json["output"] == out
    assert contents(out) == local
    assert call("status", out, "--json").json["state"] == "done"
    other = call("run", there, model, out, "--tile", "64", "--halo", "16", "--block", "128")
    assert other.code == 2
    assert "was made with other settings" in other.err
    assert call("plan", there, model, f"s3://{BUCKET}/nothing/yet").code == 0
    assert open_store(f"s3://{BUCKET}/nothing").kind() == "nothing"


def test_statistics_and_labels_are_kept_with_the_output(there, image, model, out, tmp_path):
    pixels = Pixels(normalization=Normalization(kind="standardize"))
    for image_, place in ((there, out), (image, str(tmp_path / "out.zarr"))):
        tilewise.run(image_, model, place, cut=CUT, pixels=pixels)
    assert contents(out) == contents(str(tmp_path / "out.zarr"))
    name = "tilewise/statistics.json"
    assert open_store(out).read(name) == Path(tmp_path, "out.zarr", name).read_bytes()


def test_what_is_not_ours_is_neither_used_nor_removed(there, image, model, out, local):
    open_store(out).write("notes.txt", b"mine")
    for behaviour in (Behaviour(), Behaviour(overwrite=True)):
        with pytest.raises(OutputError, match="exists and is not tilewise's"):
            tilewise.run(there, model, out, cut=CUT, behaviour=behaviour)
    with pytest.raises(OutputError, match="lies inside the input"):
        tilewise.run(there, model, f"{there}/out", cut=CUT)
    with pytest.raises(OutputError, match="lies inside the zarr store"):
        tilewise.run(image, model, f"{there}/1/deep/out", cut=CUT)
    assert open_store(out).names() == ["notes.txt"]
    open_store(out).remove("notes.txt")
    tilewise.run(there, model, out, cut=Cut(tile=64, halo=16, block=64))
    tilewise.run(there, model, out, cut=CUT, behaviour=Behaviour(overwrite=True))
    assert contents(out) == local
    open_store(out).write("notes.txt", b"mine")
    with pytest.raises(OutputError, match=r"also holds notes\.txt"):
        tilewise.run(there, model, out, cut=CUT, behaviour=Behaviour(overwrite=True))
    assert open_store(out).read("notes.txt") == b"mine"


def test_a_client_that_is_killed_half_way_is_resumed_to_the_same_bytes(there, model, out, local, s3):
    words = ("run", there, model, out, "--tile", "64", "--halo", "8", "--block", "128", "--quiet")
    with serve_faults(s3) as faults:
        faults.delay = 0.03
        process = start(*words, env={**os.environ, "AWS_ENDPOINT_URL": faults.url})
        before = until_done(out, 2, process)["done"]
        process.kill()
        process.wait()
    assert 2 <= before < 9
    assert call(*words).code == 0
    assert contents(out) == local
    counts = tilewise.status(out)
    assert counts.done == counts.blocks == 9
    assert find_owner(out) is None


def test_one_request_in_twenty_fails_and_each_answer_comes_late(there, model, out, local, s3, monkeypatch):
    with serve_faults(s3) as faults:
        monkeypatch.setenv("AWS_ENDPOINT_URL", faults.url)
        faults.every, faults.delay = 20, 0.01
        result = tilewise.run(there, model, out, cut=CUT)
        failed = len(faults.seen) // 20
    assert result.state == "done"
    assert failed > 5
    assert contents(out) == local


def test_each_chunk_is_asked_for_once_where_nothing_is_missing(there, model, tmp_path, s3, monkeypatch):
    with serve_faults(s3) as faults:
        monkeypatch.setenv("AWS_ENDPOINT_URL", faults.url)
        tilewise.run(there, model, tmp_path / "out.zarr", cut=Cut(tile=512, halo=8, block=512))
    chunks = [(verb, path) for verb, path in faults.seen if "/image.zarr/0/c/" in path]
    assert {verb for verb, _ in chunks} == {"GET"}
    # 16 more tell the image from others when the record is made
    assert len(chunks) <= 5 * 7 + 16


@pytest.fixture(scope="module")
def blosc(folder):
    from numcodecs import Blosc

    pixels = make_pixels(SIZE, "uint8") // 2
    return write_array(folder / "blosc.zarr", pixels, chunks=(64, 64), zarr_format=2, compressors=Blosc())


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_a_missing_chunk_is_an_error_or_fill(kind, image, model, tmp_path, s3):
    place = copy(image, f"s3://{BUCKET}/holes-{kind}.zarr")
    open_store(place).remove("0/c/1/2")
    copied = tmp_path / "holes.zarr"
    for key in keys(open_store(place)):
        open_store(str(copied)).write(key, open_store(place).read(key))
    with serve_files(tmp_path) as url:
        source = place if kind == "s3" else f"{url}/holes.zarr"
        result = tilewise.run(source, model, tmp_path / "error.zarr", cut=CUT, behaviour=Behaviour(missing="error"))
        assert (result.state, result.failed) == ("failed", 2)
        assert "chunk c/1/2 of" in result.failures[0]["cause"]
        assert "is missing" in result.failures[0]["cause"]
        filled = tilewise.run(source, model, tmp_path / "fill.zarr", cut=CUT)
    assert (filled.state, filled.missing) == ("done", 1)
    on_disk = tilewise.run(copied, model, tmp_path / "disk.zarr", cut=CUT)
    assert on_disk.missing == 1
    assert contents(str(tmp_path / "fill.zarr")) == contents(str(tmp_path / "disk.zarr"))


def spoil(content, how):
    flipped = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
    return {"half": content[: len(content) // 2], "empty": b"", "flipped": flipped}[how]


@pytest.fixture(scope="module")
def checked(folder):
    return write_array(folder / "checked.zarr", make_pixels(SIZE), compressors=ZstdCodec(checksum=True))


@pytest.mark.parametrize("how", ["half", "empty", "flipped"])
@pytest.mark.parametrize("which", ["checked", "blosc"])
def test_a_spoiled_chunk_is_named(which, how, checked, blosc, model, tmp_path):
    if (which, how) == ("blosc", "flipped"):
        pytest.skip("Blosc has no checksum: nobody can tell")
    source, key = {"checked": (checked, "c/1/2"), "blosc": (blosc, "1.2")}[which]
    place = copy(source, f"s3://{BUCKET}/{which}-{how}.zarr")
    open_store(place).write(key, spoil(open_store(place).read(key), how))
    result = tilewise.run(place, model, tmp_path / "out.zarr", cut=CUT)
    assert result.failed == 2
    assert f"chunk {key} of {place} is corrupt or cut short" in result.failures[0]["cause"]


def test_an_answer_that_is_cut_off_is_asked_for_again_or_named(there, model, tmp_path, s3, monkeypatch):
    monkeypatch.setenv("TILEWISE_STORE_SECONDS", "2")
    cut = Cut(tile=512, halo=8, block=512)
    with serve_faults(s3) as faults:
        monkeypatch.setenv("AWS_ENDPOINT_URL", faults.url)
        faults.cut = "image.zarr/0/c/1/2"
        with pytest.raises(StoreError, match=r"c/1/2 cannot be reached"):
            tilewise.run(there, model, tmp_path / "out.zarr", cut=cut)
        assert not (tmp_path / "out.zarr").exists()
        faults.cut, faults.cut_every = "image.zarr/0/c/", 3
        assert tilewise.run(there, model, tmp_path / "out.zarr", cut=cut).state == "done"


@pytest.mark.parametrize("path", ["../secret", "/secret", "a/../../secret", "s3://bucket/secret", "%2e%2e/secret"])
def test_a_path_in_metadata_that_leads_outside_is_refused(path, image, there, s3, monkeypatch):
    place = copy(image, f"s3://{BUCKET}/inner/hostile.zarr")
    copy(image / "0", f"s3://{BUCKET}/inner/secret")
    content = json.loads(open_store(place).read("zarr.json"))
    content["attributes"]["ome"]["multiscales"][0]["datasets"][0]["path"] = path
    open_store(place).write("zarr.json", json.dumps(content).encode())
    with serve_faults(s3) as faults:
        monkeypatch.setenv("AWS_ENDPOINT_URL", faults.url)
        with pytest.raises(ImageError, match=r"stays below|does not exist"):
            open_image(place)
    assert not [path for _, path in faults.seen if "/inner/secret" in path]


def test_a_store_that_stops_answering_ends_the_run_within_the_stated_time(there, model, out, s3, monkeypatch):
    monkeypatch.setenv("TILEWISE_STORE_SECONDS", "1")
    with serve_faults(s3) as faults:
        monkeypatch.setenv("AWS_ENDPOINT_URL", faults.url)
        faults.dead = "."
        begun = time.monotonic()
        for source, place in ((there, "unused"), (str(s3), out)):
            with pytest.raises((StoreError, ImageError), match="cannot be reached"):
                tilewise.run(source if source == there else there, model, place, cut=CUT)
        assert time.monotonic() - begun < 15


def test_a_run_that_cannot_write_its_ledger_stops_and_is_resumed(there, model, out, local, s3, monkeypatch):
    words = ("run", there, model, out, "--tile", "64", "--halo", "8", "--block", "128", "--quiet")
    monkeypatch.setenv("TILEWISE_STORE_SECONDS", "1")
    with serve_faults(s3) as faults:
        monkeypatch.setenv("AWS_ENDPOINT_URL", faults.url)
        faults.dead = "tilewise/state/c"
        said = call(*words)
        assert said.code == 3
        assert "tilewise/state/c/0 cannot be reached" in said.err
        assert said.err.count("\n") == 1
        faults.dead = ""
        assert call(*words).code == 0
    assert contents(out) == local


def test_the_bound_of_memory_counts_what_is_on_its_way(there, model, out, tmp_path):
    on_disk, far = (tilewise.plan(there, model, place, cut=CUT).memory for place in (tmp_path / "out.zarr", out))
    assert on_disk.write < far.write <= on_disk.write + 60_000_000


@pytest.mark.parametrize(
    "options",
    [
        ("--output", "labels", "--labels-into", "--name", "nuclei"),
        ("--mask", "auto"),
        ("--ome-zarr", "0.4", "--region", "y=0:200"),
    ],
    ids=lambda options: options[-2].strip("-"),
)
def test_what_else_a_run_can_do_gives_the_same_bytes(options, image, model, tmp_path, request):
    into = "--labels-into" in options
    copied = {tmp_path / "image.zarr", f"s3://{BUCKET}/{request.node.callspec.id}/image.zarr"}
    found = []
    for place in copied:
        copy(image, place)
        out = [] if into else [f"{Path(place).parent if isinstance(place, Path) else place.rpartition('/')[0]}/out"]
        said = call("run", place, model, *out, "--tile", "64", "--halo", "8", "--quiet", *options)
        assert said.code == 0, said.err
        written = contents(f"{place}/labels" if into else out[0])
        found.append({key: content for key, content in written.items() if "/tilewise/" not in key})
    assert found[0] == found[1]
    assert len(found[0]) > 4


def test_a_server_that_takes_a_request_and_never_answers_is_given_up(monkeypatch):
    monkeypatch.setenv("TILEWISE_STORE_SECONDS", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(StoreError, match="cannot be reached"):
            open_store(f"http://127.0.0.1:{silent.getsockname()[1]}/image").read("zarr.json")
        assert 1.5 < time.monotonic() - begun < 4


def test_other_axes_formats_and_shards_read_alike(tmp_path, environment):
    """Rows of the table of openers: pixels over the network equal those that zarr reads from the disk."""
    rows = [
        ("v2", (70, 90), {"zarr_format": 2}, "yx"),
        ("v3", (5, 70, 90), {}, "cyx"),
        ("sharded", (64, 96), {"chunks": (16, 16), "shards": (32, 48)}, "yx"),
        ("deep", (2, 3, 4, 33, 41), {"chunks": (1, 2, 2, 16, 16)}, "tczyx"),
        ("big", (40, 50), {"zarr_format": 2, "order": "F"}, "yx"),
    ]
    with serve_files(tmp_path) as url:
        for name, shape, options, axes in rows:
            pixels = make_pixels(shape, ">u2" if name == "big" else "uint16")
            path = write_array(tmp_path / name, pixels, **options)
            copy(path, f"s3://{BUCKET}/rows/{name}")
            for place in (f"s3://{BUCKET}/rows/{name}", f"{url}/{name}"):
                found = open_image(place, axes=axes)
                assert found.shape == shape
                assert found.fingerprint == open_image(str(path), axes=axes).fingerprint
                array = zarr.open_array(open_store(place).nodes(), mode="r")
                np.testing.assert_array_equal(array[...], pixels)


def test_many_images_and_a_mask_in_a_bucket(folder, image, there, model):
    """The folder of the outputs, its list of images and the masks of each lie there too."""
    mask = np.zeros((75, 105), np.uint8)
    mask[10, 20] = 1
    shade = copy(write_array(folder / "mask.zarr", mask), f"s3://{BUCKET}/mask.zarr")
    out = f"s3://{BUCKET}/outs"
    images = [there, str(image), f"s3://{BUCKET}/absent.zarr"]
    said = call("run", *images, model, out, "--mask", shade, "--tile", 64, "--block", 128, "--json")
    assert said.code == 3
    assert [row["state"] for row in said.json["images"]] == ["done", "done", "refused"]
    assert {row["done"] for row in said.json["images"][:2]} == {1}
    looked = call("status", out, "--json").json["images"]
    assert [row["output"] for row in looked] == [f"{out}/{name}.ome.zarr" for name in ("image", "image-2", "absent")]
    assert looked[0]["tiles_skipped"] > 20
    stored = [contents(row["output"]) for row in looked[:2]]
    assert stored[0] == stored[1]
