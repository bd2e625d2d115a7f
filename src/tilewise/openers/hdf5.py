"""Datasets of HDF5 files: those that stand in the file itself, never what links lead to."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilewise.errors import ImageError, explain
from tilewise.openers.axes import join_names, name_axes
from tilewise.openers.files import File, locate, read_head, refuse_broken, require_extra
from tilewise.openers.plain import describe_array, require_same
from tilewise.openers.selection import read_selection
from tilewise.openers.spec import MISSING
from tilewise.openers.units import place_of, spread, walk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

    from tilewise.geometry import Box
    from tilewise.openers.selection import Selection
    from tilewise.openers.spec import ImageSpec

MAGIC = b"\x89HDF\r\n\x1a\n"
"""Stands at the beginning, or at 512, 1024, 2048 ... bytes."""

LISTED = 8
"""Datasets that are shown where several are there."""

VISITED = 10_000
"""Groups and datasets that are looked at where none was named."""

LINKS = 16
"""Soft links that may lead on to each other."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """An open dataset. Safe to use from many threads: h5py lets one in at a time."""

    found: Any
    """h5py.Dataset."""
    file: File
    """The file, for its size and for samples."""
    unit: tuple[int, ...]
    """Pixels of a chunk per axis; of all where there are none."""

    def read(self, selection: Selection) -> np.ndarray:
        """Pixels of a selection, in the byte order of the file."""
        return read_selection(selection, self.read_box)

    def read_box(self, box: Box) -> np.ndarray:
        """Pixels of a box."""
        import numpy as np

        return np.asarray(self.found[box.slices])

    def stored(self, box: Box) -> Iterator[tuple[str, Box, str | None]]:
        """Each chunk that a box touches, its place, and its fault."""
        for index in walk(box, self.unit):
            place = place_of(index, self.unit)
            where = self._locate(place)
            yield ".".join(map(str, index)), place.clip(self.found.shape), self._find_fault(where)

    def sample(self, count: int) -> dict[str, str]:
        """Digests of a few chunks spread over the dataset."""
        found = {}
        for index in spread(self.found.shape, self.unit, count):
            where = self._locate(place_of(index, self.unit))
            if where is not None:
                found[".".join(map(str, index))] = self.file.digest(*where)
        return found

    def _locate(self, place: Box) -> tuple[int, int] | None:
        """First byte and number of bytes of a chunk; None if it is not stored."""
        if self.found.chunks is None:
            offset = self.found.id.get_offset()
            return None if offset is None else (int(offset), int(self.found.id.get_storage_size()))
        info = self.found.id.get_chunk_info_by_coord(place.start)
        return None if info.byte_offset is None else (int(info.byte_offset), int(info.size))

    def _find_fault(self, where: tuple[int, int] | None) -> str | None:
        if where is None:
            return None if self.found.size and self.found.id.get_storage_size() and not self.found.chunks else MISSING
        size = self.file.size
        return None if sum(where) <= size else f"the file ends at byte {size}, it would end at {sum(where)}"


def recognize(path: str) -> bool:
    """True if the file is HDF5; it may begin behind a block of the user's."""
    head = read_head(path, 8200)
    return any(head[k : k + 8] == MAGIC for k in (0, 512, 1024, 2048, 4096, 8192))


def inspect(path: str, *, axes: str | None, level: int) -> ImageSpec:
    """Find the dataset that is meant and all that is known of it, without reading a pixel.

    Args:
        path: a file, and behind it the place of the dataset, if it holds several: ``data.h5/volumes/raw``.
        axes: names of the axes, if the dataset does not name them itself.
        level: 0, there are no others.
    """
    file, inside = locate(path)
    with _open(file) as opened:
        found = _find(file, opened, inside)
        place = found.name.strip("/")
        sizes = found.attrs.get("element_size_um")
        names = name_axes(axes, _known_axes(found), found.ndim, f"{file}/{place}")
        shape = tuple(int(n) for n in found.shape)
        unit = tuple(int(n) for n in found.chunks or (*(1,) * (found.ndim - 1), found.shape[-1]))
        scale, units = _read_sizes(sizes, names)
        return describe_array(
            file,
            place,
            opener="hdf5",
            level=level,
            axes=names,
            shape=shape,
            dtype=found.dtype,
            chunks=unit,
            scale=scale,
            units=units,
            codecs=(found.compression,) if found.compression else (),
            held=2 * math.prod(unit) * found.dtype.itemsize,
            layout=[found.chunks, found.compression, repr(found.fillvalue), found.id.get_storage_size()],
        )


def open_pixels(spec: ImageSpec) -> Dataset:
    """Open the dataset that a spec describes."""
    require_same(inspect(f"{spec.path}/{spec.array_path}", axes=spec.axes, level=0), spec)
    file, _ = locate(spec.path)
    found = _find(file, _open(file), spec.array_path)
    return Dataset(found, File(file), found.chunks or found.shape)


def _open(file: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise require_extra(file, "an HDF5 file", "hdf5") from error
    try:
        return h5py.File(file, "r", locking="best-effort", rdcc_nbytes=0)
    except OSError as error:
        raise refuse_broken(file, explain(error), "HDF5") from error


def _find(file: Path, opened: Any, inside: str) -> Any:
    """The dataset at a place, or the only one below it."""
    import h5py

    found = _follow(file, opened, "/", inside, LINKS)
    if isinstance(found, h5py.Dataset):
        return _require_own(file, found)
    images = list(_list_images(found))
    if len(images) != 1:
        shown = ", ".join(name.strip("/") for name in images[:LISTED]) + (" ..." if len(images) > LISTED else "")
        where = f"{file}{found.name}".rstrip("/")
        do = f"Give one of them, for example {file}{images[0]}" if images else "Check the path."
        raise ImageError(
            f"{where} holds {len(images)} datasets ({shown or 'none'})", "one dataset that is an image", do
        )
    return _require_own(file, opened[images[0]])


def _follow(file: Path, opened: Any, start: str, inside: str, left: int) -> Any:
    """What stands at a place, a step at a time: a link that leads out of the file is not followed."""
    import h5py

    here = opened[start]
    for part in inside.strip("/").split("/") if inside.strip("/") else []:
        link = here.get(part, getlink=True) if isinstance(here, h5py.Group) and part in here.keys() else None  # noqa: SIM118
        if link is None:
            raise ImageError(
                f"{inside} is not in {file}", "a dataset in it", f"Give {file} alone to see what is there."
            )
        if isinstance(link, h5py.ExternalLink) or left == 0:
            raise _refuse_elsewhere(file, inside, "a link that leads elsewhere")
        if isinstance(link, h5py.SoftLink):
            target = link.path if link.path.startswith("/") else f"{here.name}/{link.path}"
            here = _follow(file, opened, "/", target, left - 1)
        else:
            here = here[part]
    return here


def _list_images(group: Any) -> Iterator[str]:
    """Places of all datasets below a group that could be images; links are not followed."""
    import h5py

    waiting, visited = [group], 0
    while waiting and visited < VISITED:
        here = waiting.pop(0)
        for name in here:
            visited += 1
            if not isinstance(here.get(name, getlink=True), h5py.HardLink):
                continue
            found = here[name]
            if isinstance(found, h5py.Group):
                waiting.append(found)
            elif isinstance(found, h5py.Dataset) and found.ndim >= 2 and found.dtype.kind in "biuf":
                yield found.name


def _require_own(file: Path, found: Any) -> Any:
    if found.is_virtual or found.external:
        raise _refuse_elsewhere(file, found.name, "put together from other files")
    return found


def _refuse_elsewhere(file: Path, place: str, what: str) -> ImageError:
    return ImageError(f"{place} of {file} is {what}", "pixels in the file itself", "Give the file that holds them.")


def _known_axes(found: Any) -> str | None:
    """Labels of its dimensions, or what vigra and ilastik write."""
    labels = [dim.label for dim in found.dims]
    if all(labels):
        return join_names(labels)
    try:
        return join_names([axis["key"] for axis in json.loads(found.attrs["axistags"])["axes"]])
    except (KeyError, TypeError, ValueError):
        return None


def _read_sizes(sizes: Any, axes: str) -> tuple[tuple[float, ...] | None, tuple[str | None, ...] | None]:
    """Scale and units from what Fiji and ilastik write: micrometres along z, y, x."""
    try:
        known = dict(zip("zyx", (float(n) for n in sizes), strict=True))
    except (TypeError, ValueError):
        return None, None
    if any(not 0 < n < math.inf for n in known.values()):
        return None, None
    return tuple(known.get(a, 1.0) for a in axes), tuple("micrometer" if a in known else None for a in axes)
