"""Which images, under which names, and what their folder says of them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tilewise.album.entry import Album, Entry
from tilewise.errors import OutputError, SettingError, TilewiseError
from tilewise.place import resolve
from tilewise.record import read_json, write_json
from tilewise.result import status
from tilewise.source import is_plate, list_fields
from tilewise.store import join, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tilewise.result import Result
    from tilewise.settings import Pixels

INDEX = "tilewise-images.json"
"""File in the folder of the outputs that lists the images."""


ENDINGS = r"(\.ome)?\.(zarr|tiff?|n5)|\.(svs|ndpi|qptiff|scn|mrxs|vms|bif|czi|h5|hdf5|npy|nii|nii\.gz)"
"""Of names of images: what an output's name leaves out."""


def holds_many(images: Sequence[str], pixels: Pixels) -> bool:
    """True if the images that are asked for are several: more than one, or all fields of a plate."""
    if len(images) > 1 or pixels.field == "all":
        return True
    return pixels.field is None and _find_fields(images[0], None) != (None,)


def _find_fields(image: str, field: str | None) -> tuple[str | None, ...]:
    """Fields of a plate if all are meant, else the one that is asked for; what cannot be opened is refused later."""
    if field not in {None, "all"}:
        return (field,)
    try:
        return list_fields(image) if is_plate(image) else (None,)
    except TilewiseError:
        return (None,)


def list_entries(images: Sequence[str | Path], out: str, field: str | None = None) -> list[Entry]:
    """The images and their outputs; plates field by field, names as an earlier run of the folder gave them.

    Args:
        images: paths or addresses.
        out: the folder of the outputs.
        field: one field for all plates; None or all is every one.
    """
    folder = resolve(out)
    places = [(image, one) for image in map(str, images) for one in _find_fields(image, field)]
    if not places:
        raise SettingError("no image", "at least one image", "Name the images before the model.")
    before = {(entry.image, entry.field): entry.output for entry in _recall(folder)}
    taken = {output.lower() for output in before.values()}
    entries: dict[tuple[str, str | None], Entry] = {}
    for place in places:
        output = before.get(place)
        if output is None:
            output = next(o for o in _candidates(folder, *place) if o.lower() not in taken)
            taken.add(output.lower())
        entries.setdefault(place, Entry(place[0], place[1], output))
    return list(entries.values())


def _candidates(folder: str, image: str, field: str | None) -> Iterator[str]:
    """Names for an output, the plainest first."""
    name = re.sub(rf"({ENDINGS})$", "", image.rstrip("/").rpartition("/")[2], flags=re.IGNORECASE)
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", "_".join([name, *(field or "").split("/")])).strip("._") or "image"
    yield join(folder, f"{name}.ome.zarr")
    for number in range(2, 1_000_000):
        yield join(folder, f"{name}-{number}.ome.zarr")


def look(out: str) -> Result | Album:
    """What an output, or a folder of many, says of its run.

    Raises:
        OutputError: it is neither.
    """
    entries = _recall(out)
    if not entries:
        return status(out)
    return Album(out, tuple(_refresh(entry) for entry in entries))


def _refresh(entry: Entry) -> Entry:
    """With what its ledger says now."""
    try:
        result = status(entry.output)
    except OutputError:
        return entry
    return replace(entry, state="refused" if entry.state == "refused" else result.state, result=result)


def keep(folder: str, entries: list[Entry]) -> None:
    """Note the images in their folder, with those of earlier runs."""
    now = {(entry.image, entry.field): entry for entry in entries}
    before = {(entry.image, entry.field): entry for entry in _recall(folder)}
    content = [
        {"image": e.image, "field": e.field, "output": e.name, "state": e.state, "cause": e.cause}
        for e in (before | now).values()
    ]
    write_json(open_store(resolve(folder)), INDEX, {"images": content})


def _recall(folder: str) -> list[Entry]:
    """The images that earlier runs noted; none if it is no such folder."""
    try:
        place = resolve(folder)
        rows = (read_json(open_store(place), INDEX) or {})["images"]
        return [Entry(r["image"], r["field"], join(place, r["output"]), r["state"], r["cause"]) for r in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return []
