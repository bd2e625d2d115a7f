"""The metadata of an ONNX file, read and replaced field by field: the graph is passed over, never parsed.

A model is a protobuf message; its field 14 holds one (key, value) pair of strings each time that it occurs.
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, ModelProto.metadata_props
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tilewise.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

METADATA = 14
"""Number of the field."""
LONGEST = 1 << 20
"""Bytes of an entry that is read; longer ones are no settings."""
PIECE = 1 << 22
"""Bytes that are copied at once."""
GRAPH = 7
"""Number of the field that every model has."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where one field of a message lies."""

    number: int
    """Which."""
    start: int
    """First byte of its tag."""
    body: int
    """First byte of its content."""
    stop: int
    """Behind its last byte."""


def read_metadata(path: Path) -> dict[str, str]:
    """Entries of a model's metadata; empty if the file is no protobuf message."""
    found = {}
    try:
        with path.open("rb") as stream:
            for field in _fields(stream, 0, path.stat().st_size):
                if field.number == METADATA and field.stop - field.body <= LONGEST:
                    key, value = _pair(stream, field)
                    found[key] = value
    except (OSError, ValueError):
        return {}
    return found


def write_metadata(path: Path, key: str, value: str | None, out: Path) -> None:
    """Copy a model with one entry replaced, or removed if None; every other byte stays.

    The copy appears in one step, also where it takes the model's place; data files beside the model are not touched.

    Raises:
        ModelError: the file is no ONNX model, or the copy cannot be written.
    """
    try:
        with path.open("rb") as stream:
            fields = _model(stream, path.stat().st_size)
            kept = [f for f in fields if f.number != METADATA or _pair(stream, f)[0] != key]
            entry = b"" if value is None else _entry(key, value)
            _replace(stream, kept, entry, out)
    except ValueError as error:
        raise ModelError(f"{path} is no ONNX model ({error})", "a model in ONNX format", "Check the path.") from error
    except OSError as error:
        raise ModelError(
            f"{out} cannot be written ({error.strerror})", "a place that can be written", "Choose another with --out."
        ) from error


def _replace(stream: BinaryIO, kept: list[Field], entry: bytes, out: Path) -> None:
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.", suffix=".partial")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as target:
            for field in kept:
                stream.seek(field.start)
                left = field.stop - field.start
                while left:
                    piece = stream.read(min(PIECE, left))
                    target.write(piece)
                    left -= len(piece)
            target.write(entry)
            target.flush()
            os.fsync(target.fileno())
        # a temporary file is its maker's alone: the model's own rights, or those of any new file
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(out.stat().st_mode & 0o777 if out.exists() else 0o666 & ~mask)
        part.replace(out)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _model(stream: BinaryIO, size: int) -> list[Field]:
    fields = list(_fields(stream, 0, size))
    if not any(field.number == GRAPH for field in fields):
        raise ValueError("it holds no graph")
    return fields


def _fields(stream: BinaryIO, start: int, stop: int) -> Iterator[Field]:
    """Fields of a message, one after the other; their contents are passed over."""
    while start < stop:
        stream.seek(start)
        tag = _number(stream)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("a field has no number")
        body, end = stream.tell(), 0
        if wire == 2:
            length = _number(stream)
            body = stream.tell()
            end = body + length
        elif wire == 0:
            _number(stream)
            end = stream.tell()
        elif wire in {1, 5}:
            end = body + (8 if wire == 1 else 4)
        else:
            raise ValueError(f"a field of kind {wire}")
        if end > stop:
            raise ValueError("it is cut short")
        yield Field(number, start, body, end)
        start = end


def _number(stream: BinaryIO) -> int:
    """A number of protobuf: seven bits a byte, the lowest first."""
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            raise ValueError("it is cut short")
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise ValueError("a number is too long")


def _pair(stream: BinaryIO, field: Field) -> tuple[str, str]:
    found = {1: "", 2: ""}
    for part in list(_fields(stream, field.body, field.stop)):
        if part.number in found:
            stream.seek(part.body)
            found[part.number] = stream.read(part.stop - part.body).decode(errors="replace")
    return found[1], found[2]


def _entry(key: str, value: str) -> bytes:
    pair = b"".join(_long(number, text.encode()) for number, text in ((1, key), (2, value)))
    return _long(METADATA, pair)


def _long(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])
