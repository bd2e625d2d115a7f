"""Stores: the same verbs over a disk and over a real S3 server; addresses; what is refused, and how it is said."""

from __future__ import annotations

import os
import threading
import uuid
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from servers import BUCKET, KEYS, serve_faults, serve_files, serve_s3
from tilewise.errors import OutputError, SettingError, StoreError
from tilewise.store import absolute, is_url, join, open_store, parents, relate


@pytest.fixture(scope="module")
def s3():
    with serve_s3() as url:
        yield url


@pytest.fixture(autouse=True)
def _environment(monkeypatch, s3):
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "AZURE_"))]:
        monkeypatch.delenv(name)
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": s3, "TILEWISE_STORE_SECONDS": "20"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["disk", "bucket"])
def store(request, tmp_path):
    name = uuid.uuid4().hex
    return open_store(str(tmp_path / name) if request.param == "disk" else f"s3://{BUCKET}/{name}")


def test_both_kinds_answer_alike(store):
    assert store.kind() == "nothing"
    assert store.names() == []
    assert store.read("a") is None
    assert store.size("a") is None
    assert store.peek("a", 1) is None
    assert not store.holds("a", "b")
    store.write("a", b"hello")
    store.write("b/c d+e%20/ü", b"")
    assert store.kind() == "folder"
    assert store.below("a").kind() == "other"
    assert store.names() == ["a", "b"]
    assert store.names("b") == ["c d+e%20"]
    assert store.names("none") == []
    assert store.read("a") == b"hello"
    assert store.below("b/c d+e%20").read("ü") == b""
    assert store.size("a") == 5
    assert store.peek("b/c d+e%20/ü", 4) == (b"", 0)
    assert store.peek("a", 2) == (b"he", 5)
    assert store.peek("a", 9) == (b"hello", 5)
    assert store.holds("none", "a")
    assert not store.holds("b")
    store.write("a", b"other")
    assert store.read("a") == b"other"
    assert store.sweep() == 0
    store.write("ab", b"stays")
    store.remove("a")
    store.remove("b")
    store.remove("none")
    assert store.names() == ["ab"]


@pytest.mark.parametrize("key", ["../a", "a/../b", "a//b", "/a", "a/", ".", "a\0"])
def test_a_key_never_leaves_its_folder(store, key):
    for verb in (store.read, store.size, store.remove, store.below, store.nodes, store.holds):
        with pytest.raises(StoreError, match="the name"):
            verb(key)
    with pytest.raises(StoreError, match="the name"):
        store.write(key, b"")
    assert store.kind() == "nothing"


def test_zarr_writes_below_its_folder_only(store):
    pixels = np.arange(48, dtype="uint16").reshape(6, 8)
    array = zarr.create_array(
        store.nodes("in/0", writable=True), shape=(6, 8), chunks=(2, 4), shards=(4, 8), dtype="uint16"
    )
    array[...] = pixels
    assert store.names() == ["in"]
    assert store.names("in") == ["0"]
    assert (zarr.open_array(store.nodes("in/0"), mode="r")[1:5, 3:] == pixels[1:5, 3:]).all()
    with pytest.raises(ValueError, match="read-only"):
        zarr.open_array(store.nodes("in/0"), mode="r+")
    group = zarr.open_group(store.nodes(writable=True), mode="a")
    group.attrs["a"] = 1
    assert zarr.open_group(store.nodes(), mode="r").attrs["a"] == 1
    assert store.names() == ["in", "zarr.json"]
    beside = store.below("in")
    beside.write("1/kept", b"")
    zarr.create_array(beside.nodes("0", writable=True), shape=(6,), chunks=(2,), dtype="uint16", overwrite=True)
    assert beside.names() == ["0", "1"]
    assert beside.names("0") == ["zarr.json"]


def test_a_bucket_decides_who_creates_and_who_replaces():
    store = open_store(f"s3://{BUCKET}/race")
    first = store.create("lock", b"1")
    assert first is not None
    assert store.create("lock", b"2") is None
    second = store.replace("lock", b"3", first)
    assert second is not None
    assert store.replace("lock", b"4", first) is None
    assert store.read_marked("lock") == (b"3", second)
    assert store.replace("none", b"5", first) is None
    won = []
    threads = [
        threading.Thread(target=lambda n=n: won.append(store.create("other", str(n).encode()))) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(mark is not None for mark in won) == 1


def test_a_web_server_is_read_only(tmp_path):
    (tmp_path / "my image.zarr").mkdir()
    zarr.create_array(tmp_path / "my image.zarr/0", shape=(4,), chunks=(2,), dtype="uint8")[:] = 7
    with serve_files(tmp_path) as url:
        store = open_store(f"{url}/my%20image.zarr")
        assert store.holds("0/zarr.json")
        assert store.names() == []
        assert store.read("0/none") is None
        assert store.peek("0/zarr.json", 1)[0] == b"{"
        assert (zarr.open_array(store.nodes("0"), mode="r")[:] == 7).all()
        with pytest.raises(OutputError, match="a web server, which takes nothing"):
            store.check_writable()


def test_addresses_are_told_from_paths_and_joined(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_url("s3://b/k")
    assert not is_url("file:///a")
    assert not is_url("a/b")
    assert absolute("a") == str(tmp_path / "a")
    assert absolute("file:///a/b%20c") == "/a/b c"
    assert absolute("S3A://b/k/") == "s3://b/k"
    assert join("s3://b", "k/l") == "s3://b/k/l"
    assert join("/a", "b") == "/a/b"
    assert join("/a", "") == "/a"
    assert parents("s3://b/k/l") == ["s3://b/k", "s3://b"]
    assert parents("s3://b") == []
    assert parents("/a/b") == ["/a", "/"]


@pytest.mark.parametrize(
    ("place", "other", "relation"),
    [
        ("s3://b/k", "s3://b/k/", "is"),
        ("s3://b/k", "s3a://b/k", "is"),
        ("s3://b/k/l", "s3://b/k", "lies inside"),
        ("s3://b/k", "s3://b/k/l", "holds"),
        ("s3://b/k", "s3://b/kl", None),
        ("s3://b/k", "s3://c/k", None),
        ("s3://b/k", "gs://b/k", None),
        ("s3://b/k", "/b/k", None),
        ("/a/b", "/a", "lies inside"),
        ("/a", "/ab", None),
    ],
)
def test_places_are_compared_name_by_name(place, other, relation):
    assert relate(place, other) == relation


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/%?#"), min_size=1), min_size=1, max_size=4))
def test_a_joined_address_lies_inside_or_is_refused(names):
    key = "/".join(names)
    for base in ("s3://b/k", "/a/b"):
        try:
            made = join(base, key)
        except StoreError:
            continue
        assert relate(made, base) == "lies inside"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("ftp://host/x", "of kind ftp"),
        ("s3:///x", "names no bucket"),
        ("s3://b/../x", "without '.', '..'"),
        ("s3://b//x", "without '.', '..'"),
        ("https://host/%2e%2e/x", "without '.', '..'"),
        ("https://host/x?sig=secret", "with a query behind it"),
    ],
)
def test_an_address_that_cannot_be_is_refused(place, words):
    with pytest.raises(StoreError, match=words) as caught:
        open_store(place)
    assert "secret" not in str(caught.value)


def test_what_a_store_refuses_is_one_line_with_a_cure(monkeypatch, s3):
    with pytest.raises(StoreError, match=r"there is no such bucket.*Make it"):
        open_store("s3://nowhere/x").kind()
    with pytest.raises(StoreError, match="no such bucket"):
        open_store("s3://nowhere/x").write("a", b"")
    with serve_faults(s3) as faults:
        monkeypatch.setenv("AWS_ENDPOINT_URL", faults.url)
        faults.dead = "private"
        faults.status = 403
        for verb in (lambda store: store.kind(), lambda store: store.read("a"), lambda store: store.write("a", b"")):
            with pytest.raises(StoreError, match=r"is refused by its store.*AWS_ACCESS_KEY_ID") as caught:
                verb(open_store(f"s3://{BUCKET}/private"))
            assert "\n" not in str(caught.value)
        assert not open_store(f"s3://{BUCKET}/private").holds("zarr.json")
    monkeypatch.setenv("TILEWISE_STORE_SECONDS", "1")
    with pytest.raises(StoreError, match=r"cannot be reached.*a store that answers"):
        open_store(f"s3://{BUCKET}/x").read("a")
    monkeypatch.setenv("TILEWISE_STORE_SECONDS", "soon")
    with pytest.raises(SettingError, match="TILEWISE_STORE_SECONDS=soon"):
        open_store(f"s3://{BUCKET}/x").read("a")


def test_one_request_in_five_fails_and_nothing_is_lost(monkeypatch, s3):
    with serve_faults(s3) as faults:
        monkeypatch.setenv("AWS_ENDPOINT_URL", faults.url)
        faults.every = 5
        store = open_store(f"s3://{BUCKET}/shaky")
        for number in range(20):
            store.write(str(number), bytes([number]))
        assert [store.read(str(number)) for number in range(20)] == [bytes([n]) for n in range(20)]
        assert len(faults.seen) > 45


def test_no_credentials_means_unsigned_requests(monkeypatch, s3):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert open_store(f"s3://{BUCKET}/public").read("a") is None


@pytest.mark.parametrize(
    ("place", "variables", "name"),
    [
        ("gs://b/k", {"GOOGLE_SKIP_SIGNATURE": "true"}, "GCSStore"),
        ("az://c/k", {"AZURE_STORAGE_ACCOUNT_NAME": "a", "AZURE_STORAGE_ACCOUNT_KEY": "a2V5"}, "AzureStore"),
        ("abfs://c@a.dfs.core.windows.net/k", {"AZURE_STORAGE_ACCOUNT_KEY": "a2V5"}, "AzureStore"),
    ],
)
def test_the_other_clouds_are_opened_as_far_as_that_goes_without_them(monkeypatch, place, variables, name):
    """Never run against the real services: what is held here is that the library takes our address and settings."""
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    store = open_store(place)
    assert store.address.key == "k"
    assert type(store._client).__name__ == name


def test_an_account_that_is_not_named_is_refused():
    with pytest.raises(StoreError, match=r"Account must be specified.*AZURE_"):
        open_store("az://c/k").read("a")


def test_a_half_written_file_is_swept(tmp_path):
    (tmp_path / "deep").mkdir()
    Path(tmp_path, "deep/zarr.json.0123.partial").write_text("{")
    store = open_store(str(tmp_path))
    assert store.sweep() == 1
    assert store.names("deep") == []
