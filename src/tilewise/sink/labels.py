"""The list of an image's labels: the one thing of the image that changes when labels are written into it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from tilewise import ngff
from tilewise.errors import OutputError
from tilewise.record import read_json, write_json
from tilewise.store import is_url, local, open_store, parents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilewise.sink.spec import OutputSpec


def refuse_listed(spec: OutputSpec) -> None:
    """Refuse a name that the image lists, though nothing of ours lies there."""
    if _name(spec) in ngff.list_members(_read(spec)):
        raise OutputError(
            f"labels {_name(spec)} of {_folder(spec)}, which are listed and are not tilewise's",
            "a new name",
            "Choose another --name.",
        )


def list_label(spec: OutputSpec) -> None:
    """Add labels to the list of their image: one file changes, in one step. Who else adds some waits."""
    with _guard(_folder(spec)):
        found = _read(spec)
        made = ngff.add_label(found, _name(spec), spec.version)
        if made == found:
            return
        folder = open_store(_folder(spec))
        if spec.zarr_format == 3:
            write_json(folder, "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": made})
            return
        if not folder.holds(".zgroup"):
            write_json(folder, ".zgroup", {"zarr_format": 2})
        write_json(folder, ".zattrs", made)


def _folder(spec: OutputSpec) -> str:
    return parents(spec.path)[0]


def _name(spec: OutputSpec) -> str:
    return spec.path.replace(os.sep, "/").rstrip("/").rpartition("/")[2]


def _read(spec: OutputSpec) -> dict[str, Any]:
    """Attributes of the labels group; none if it is not there yet."""
    key = "zarr.json" if spec.zarr_format == 3 else ".zattrs"
    try:
        found = read_json(open_store(_folder(spec)), key)
        found = found if found is None or spec.zarr_format == 2 else found.get("attributes", {})
    except (ValueError, AttributeError):
        found = "broken"
    if not isinstance(found, dict | None):
        raise OutputError(f"{_folder(spec)}/{key} is broken", "metadata of a zarr group", "Mend it first.")
    return found or {}


@contextlib.contextmanager
def _guard(folder: str) -> Iterator[None]:
    """Let one process of this machine at a time look and change; nothing is left behind."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    if is_url(folder):
        yield
        return
    number = os.open(local(folder), os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)
