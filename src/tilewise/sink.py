"""Where results go: an OME-Zarr 0.5 image of zarr 3 shards, one shard a block, set up once and written blindly."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tilewise import ngff
from tilewise.errors import OutputError
from tilewise.place import check_place, clear, sweep
from tilewise.record import Stamp, differences, read_stamp, write_json, write_stamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from tilewise.geometry import Index


LEVEL = 3
"""zstd's level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """One result image: small and picklable, all that a worker needs to write its shards."""

    path: str
    """The output, a folder to be."""
    name: str | None = None
    """Name of this result below the output if there are several, else None."""
    axes: str
    """One letter an axis, in the order t c z y x."""
    shape: tuple[int, ...]
    """Pixels per axis."""
    dtype: str
    """NumPy's name of the pixel type."""
    chunk: tuple[int, ...]
    """Inner chunk, per axis."""
    shard: tuple[int, ...]
    """Shard, per axis: a block; a whole number of chunks."""
    fill: float = 0
    """What stands where nothing was written."""
    scale: tuple[float, ...]
    """Size of a pixel per axis."""
    translation: tuple[float, ...]
    """Where the first pixel's centre lies, per axis."""
    units: tuple[str | None, ...]
    """Unit of scale and translation, per axis."""
    image_name: str = ""
    """The image's name in its metadata."""
    channel_names: tuple[str, ...] = ()
    """One name a channel, or none."""

    def __post_init__(self) -> None:
        ndim = len(self.axes)
        lengths = (self.shape, self.chunk, self.shard, self.scale, self.translation, self.units)
        if any(len(numbers) != ndim for numbers in lengths):
            raise ValueError(f"an output of axes {self.axes} needs {ndim} of each number")
        if list(self.axes) != [axis for axis in ngff.AXES if axis in self.axes]:
            raise ValueError(f"axes {self.axes} are not in the order {ngff.AXES}")
        if any(s % c for s, c in zip(self.shard, self.chunk, strict=True)):
            raise ValueError(f"shard {self.shard} is not a whole number of chunks {self.chunk}")
        if "c" in self.axes and self.shard[self.axes.index("c")] < self.shape[self.axes.index("c")]:
            raise ValueError(f"shard {self.shard} cuts the channels of {self.shape}")
        if self.name is not None and not re.fullmatch(r"(?!tilewise$)[A-Za-z0-9_-][A-Za-z0-9._-]*", self.name):
            raise OutputError(
                f"a result named {self.name!r}", "letters, digits, dot, dash and underscore", "Choose another name."
            )

    @property
    def group(self) -> Path:
        """Folder of the image group."""
        return Path(self.path) / self.name if self.name else Path(self.path)

    @property
    def array(self) -> Path:
        """Folder of the finest level."""
        return self.group / "0"


def create(spec: OutputSpec, record: Mapping[str, Any], *, inputs: Sequence[str] = (), overwrite: bool = False) -> None:
    """Set an output up: stamp first, then the array, and the image's metadata last.

    Doing it again with the same record finishes what was cut short and leaves pixels alone. Of several results in one
    output, each is created in turn, and only the first with ``overwrite``.

    Raises:
        OutputError: the place is taken, or holds the output of a run with another record, which is told.
    """
    found = check_place(spec.path, inputs, overwrite=overwrite)
    stamp = read_stamp(spec.path)
    if found == "ours" and (overwrite or stamp is None or stamp.record is None):
        clear(spec.path)
        _forget(spec.path)
        stamp = None
    elif stamp is not None and stamp.record is not None:
        changed = differences(stamp.record, record)
        if changed:
            raise OutputError(
                f"output {spec.path} was made with other settings ({'; '.join(changed)})",
                "the same settings, to resume",
                "Give those, choose another output, or add --overwrite.",
            )
    own = spec.name or "0"
    owns = stamp.owns if stamp is not None else ()
    if stamp is None or own not in owns:
        write_stamp(spec.path, Stamp(record, (*owns, own)))
    sweep(spec.path)
    if not (spec.array / "zarr.json").exists():
        _create_array(spec)
    check(spec)
    _create_group(spec)


def check(spec: OutputSpec) -> None:
    """Refuse to write into an array that is not what the spec says."""
    array = _open_array(spec)
    found = (array.shape, array.dtype.name, array.chunks, array.shards)
    wanted = (spec.shape, spec.dtype, spec.chunk, spec.shard)
    if found != wanted:
        raise OutputError(
            f"{spec.array} has shape, type, chunk and shard {found}",
            f"{wanted}, as this run writes them",
            "Choose another output, or add --overwrite.",
        )


def write(spec: OutputSpec, start: Index, pixels: np.ndarray) -> None:
    """Write one whole shard, in one file that appears in one step. Safe from many threads.

    Args:
        spec: the output.
        start: first pixel in the output, one number an axis, on the grid of shards.
        pixels: the shard, or what of it lies within the image, in the output's order of axes.

    Raises:
        ValueError: a write that would share its shard with another and lose pixels.
    """
    array = _open_once(spec)
    expected = tuple(min(s, n - a) for a, s, n in zip(start, spec.shard, spec.shape, strict=True))
    if any(a % s or not 0 <= a < n for a, s, n in zip(start, spec.shard, spec.shape, strict=True)):
        raise ValueError(f"write at {start}: not on the grid of shards {spec.shard} of an output of {spec.shape}")
    if pixels.shape != expected:
        raise ValueError(f"write of {pixels.shape} at {start}: not the whole shard, which has {expected} there")
    if pixels.dtype.name != spec.dtype:
        raise ValueError(f"write of {pixels.dtype.name} into an output of {spec.dtype}: convert first")
    region = tuple(slice(a, a + n) for a, n in zip(start, expected, strict=True))
    stored = spec.array.joinpath("c", *(str(a // s) for a, s in zip(start, spec.shard, strict=True)))
    try:
        array[region] = pixels
    except ValueError:
        # zarr reads a shard that is there before it replaces it: a damaged one must not stop its own repair
        if not stored.exists():
            raise
        stored.unlink()
        array[region] = pixels


def validate(path: str) -> None:
    """Have ome-zarr-models read an image group; raises what it raises."""
    import zarr
    from ome_zarr_models.v05.image import Image

    Image.from_zarr(zarr.open_group(path, mode="r"))


_open: dict[str, tuple[str, Any]] = {}
_lock = threading.Lock()


def _open_once(spec: OutputSpec) -> Any:
    """The array, opened and looked at once a process, before the first write into it."""
    # not the spec itself: with a fill of NaN it does not equal its own copy
    key = repr(spec)
    with _lock:
        if key not in _open:
            check(spec)
            _open[key] = (spec.path, _open_array(spec, mode="r+"))
        return _open[key][1]


def _forget(path: str) -> None:
    with _lock:
        for key in [key for key, (out, _) in _open.items() if out == path]:
            del _open[key]


def _open_array(spec: OutputSpec, *, mode: Literal["r", "r+"] = "r") -> Any:
    import zarr
    from zarr.storage import LocalStore

    try:
        return zarr.open_array(LocalStore(spec.array, read_only=mode == "r"), mode=mode, zarr_format=3)
    except Exception as error:
        raise OutputError(
            f"{spec.array} cannot be opened ({type(error).__name__})", "the output that was set up", "Run again."
        ) from error


def _create_array(spec: OutputSpec) -> None:
    import zarr
    from zarr.codecs import BytesCodec, ZstdCodec
    from zarr.storage import LocalStore

    zarr.create_array(
        LocalStore(spec.array),
        shape=spec.shape,
        dtype=spec.dtype,
        chunks=spec.chunk,
        shards=spec.shard,
        serializer=BytesCodec(endian="little"),
        compressors=ZstdCodec(level=LEVEL, checksum=True),
        fill_value=spec.fill,
        dimension_names=list(spec.axes),
        zarr_format=3,
    )


def _create_group(spec: OutputSpec) -> None:
    level = ngff.Level("0", spec.scale, spec.translation)
    attributes = ngff.write_image(
        spec.axes, levels=[level], name=spec.image_name, units=spec.units, channels=spec.channel_names
    )
    if spec.name:
        _write_group(Path(spec.path), {})
    _write_group(spec.group, attributes)


def _write_group(folder: Path, attributes: Mapping[str, Any]) -> None:
    if not (folder / "zarr.json").exists():
        write_json(folder / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": attributes})
