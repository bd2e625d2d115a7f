"""The parent's part: look, ask a child, put the result in its place whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewise.convert.asking import ask
from tilewise.convert.kind import JSON, PICKLE, Kind, tell
from tilewise.convert.pickled import check_pickle
from tilewise.convert.records import Compared, Conversion, Port, Wanted
from tilewise.convert.table import TABLE, require
from tilewise.errors import ModelError, OutputError, TilewiseError, explain
from tilewise.versions import versions

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "model.onnx"
"""Of the child's result."""
AS_IS = Wanted()
"""Nothing is asked beyond the conversion."""
PIECE = 1 << 22
"""Bytes that are hashed at once."""


def convert(
    source: str | Path,
    out: str | Path,
    wanted: Wanted = AS_IS,
    *,
    inspect: bool = True,
    finish: Callable[[Path], object] | None = None,
    say: Callable[[str], None] = lambda step: None,  # noqa: ARG005 the default says nothing
) -> Conversion:
    """Make an ONNX model of what a training program saved, and compare the two.

    Args:
        source: .keras, .h5, a JSON architecture with weights, a SavedModel folder, .pt2, TorchScript, or ONNX.
        out: where the result goes; weights of more than a gigabyte lie beside it, in ``out.data``.
        wanted: how.
        inspect: say also what tilewise finds of the result, which a later run reuses.
        finish: gets the result before it is put in its place: writes a contract into it.
        say: is told each step.

    Raises:
        ModelError: the source cannot be opened or expressed, or the result differs too much.
        OutputError: the place is taken or cannot be written.
        RuntimeMissingError: the source's library is not installed.
    """
    path, place = Path(source), Path(out)
    kind, weights = _looked(path, place, wanted)
    with tempfile.TemporaryDirectory(prefix="tilewise-convert-", ignore_cleanup_errors=True) as folder:
        answer = ask(
            path.absolute(),
            kind.name,
            weights and weights.absolute(),
            wanted,
            result=Path(folder),
            data=data_of(place).name,
            say=say,
        )
        result = Path(folder, NAME)
        if finish is not None:
            finish(result)
        digest, size = _put(result, place)
    found, note = _inspected(place, say) if inspect else (None, "")
    return Conversion(
        source=str(source),
        format=kind.told,
        out=str(out),
        opset=answer["opset"],
        ir=answer["ir"],
        inputs=_ports(answer["inputs"]),
        outputs=_ports(answer["outputs"]),
        compared=_compared(answer["compared"]),
        tolerance=wanted.tolerance,
        sha256=digest,
        size=size,
        versions={**_ours(), **answer["versions"]},
        model=found,
        note=note,
    )


def _looked(path: Path, place: Path, wanted: Wanted) -> tuple[Kind, Path | None]:
    """Format and weights of the source; refuses all that can be refused without opening it."""
    kind = tell(path)
    if kind is PICKLE:
        check_pickle(path, trust=wanted.trust)
    weights = _weights(path, kind, wanted)
    _check_place(place, [path, *([weights] if weights else [])], overwrite=wanted.overwrite)
    require(TABLE[kind.name])
    return kind, weights


def _ports(told: list[dict[str, Any]]) -> tuple[Port, ...]:
    return tuple(Port(port["name"], port["dtype"], tuple(port["shape"])) for port in told)


def _compared(told: dict[str, Any]) -> Compared:
    return Compared(told["by"], told["difference"], tuple(tuple(shape) for shape in told["shapes"]))


def _ours() -> dict[str, str]:
    return {"tilewise": versions().tilewise, "onnx": versions().onnx, "onnxruntime": versions().onnxruntime}


def _weights(path: Path, kind: Kind, wanted: Wanted) -> Path | None:
    """The weights of an architecture: given, or found beside it under its name."""
    if kind is not JSON:
        if wanted.weights is not None:
            raise ModelError(
                f"--weights {wanted.weights} for {path}, a model with its own weights",
                "a Keras architecture in JSON",
                "Leave --weights away.",
            )
        return None
    if wanted.weights is not None:
        found = Path(wanted.weights)
        if not found.is_file():
            raise ModelError(f"--weights {found} does not exist", "an HDF5 file of weights", "Check the path.")
        return found
    names = [f"{path.stem}{end}" for end in (".weights.h5", ".h5", "_weights.h5", ".hdf5", ".weights.hdf5")]
    beside = [path.with_name(name) for name in names if path.with_name(name).is_file()]
    if not beside:
        raise ModelError(
            f"{path} is an architecture without weights (looked for {', '.join(names)} beside it)",
            "an HDF5 file of weights",
            "Name it: --weights FILE.h5.",
        )
    return beside[0]


def _check_place(out: Path, sources: list[Path], *, overwrite: bool) -> None:
    if out.suffix != ".onnx":
        raise OutputError(f"output {out}", "a file name that ends in .onnx", f"For example {out.with_suffix('.onnx')}.")
    if any(out.absolute() == path.absolute() or _same(out, path) for path in sources):
        raise OutputError(f"output {out} is the source", "a place of its own", "Choose another.")
    if out.is_dir():
        raise OutputError(f"output {out} is a folder", "the name of a file to be", "Choose another.")
    taken = [path for path in (out, data_of(out)) if os.path.lexists(path)]
    if taken and not overwrite:
        raise OutputError(f"{taken[0]} exists", "a new file", "Choose another place, or give --overwrite.")
    if not out.parent.is_dir():
        raise OutputError(f"folder {out.parent} does not exist", "a folder for the output", f"mkdir -p {out.parent}")
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise OutputError(f"folder {out.parent} cannot be written", "a folder of yours", "Choose another place.")


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def data_of(out: Path) -> Path:
    """Where weights lie that have a file of their own."""
    return out.with_name(f"{out.name}.data")


def _put(result: Path, out: Path) -> tuple[str, int]:
    """Move the result to its place: complete files under their names at once, the graph last.

    Returns:
        sha256 of both files one after the other, and their size.
    """
    data = data_of(out)
    parts = [(result.with_name(data.name), data), (result, out)]
    found, size, partials = hashlib.sha256(), 0, []
    try:
        for made, place in parts:
            if made.exists():
                handle, name = tempfile.mkstemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent)
                partials.append((Path(name), place))
                with os.fdopen(handle, "wb") as stream, made.open("rb") as content:
                    shutil.copyfileobj(content, stream, PIECE)
                    size += stream.tell()
                Path(name).chmod(0o666 & ~_mask())
        for partial, place in partials:
            partial.replace(place)
        for _, place in reversed(partials):
            with place.open("rb") as stream:
                while piece := stream.read(PIECE):
                    found.update(piece)
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({explain(error)})", "a place with room", "Free some.") from error
    finally:
        for partial, _ in partials:
            partial.unlink(missing_ok=True)
    if len(partials) == 1:
        data.unlink(missing_ok=True)
    return found.hexdigest(), size


def _mask() -> int:
    """The permissions that the user keeps from new files; reading it means setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _inspected(out: Path, say: Callable[[str], None]) -> tuple[dict[str, Any] | None, str]:
    """What inspect says of the result; kept for a later run. A model that it refuses was converted all the same."""
    from tilewise.model import Model

    say("inspecting the result")
    try:
        found = Model(out).inspect()
    except TilewiseError as error:
        return None, str(error)
    return {name: found[name] for name in ("verdict", "layout", "multiple", "radius")}, ""
