"""The place of an output: what stands there, whether it may be used, and how ours is cleared away."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tilewise.errors import OutputError
from tilewise.record import FOLDER, Stamp, folder_of, read_stamp, write_stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

Place = Literal["free", "ours", "foreign"]
"""Nothing there yet; carries tilewise's record; holds something else."""

NODES = ("zarr.json", ".zarray", ".zgroup")
"""A folder that holds one of these is a node of a zarr hierarchy."""


def look(path: str) -> Place:
    """What stands at an output's place; writes nothing."""
    out = Path(path)
    if not os.path.lexists(out):
        return "free"
    if not out.is_dir():
        return "foreign"
    if read_stamp(path) is not None:
        return "ours"
    # a run that was cut short before its first stamp leaves no more than its lock
    left = {entry.name for entry in out.iterdir()}
    folder = folder_of(path)
    if left - {FOLDER} or folder.is_symlink():
        return "foreign"
    started = not left or all(re.match(r"lock|.*\.partial$", entry.name) for entry in folder.iterdir())
    return "free" if started else "foreign"


def check_place(path: str, inputs: Sequence[str] = (), *, overwrite: bool = False) -> Place:
    """Refuse a place where an output must not go; writes nothing.

    Args:
        path: the output.
        inputs: what is read; the output may neither lie inside of it nor hold it.
        overwrite: said to the user only: what is not tilewise's is refused all the same.
    """
    out = _resolve(path)
    for source in inputs:
        place = Path(source).resolve()
        if out == place or out.is_relative_to(place) or place.is_relative_to(out):
            relation = "is" if out == place else "lies inside" if out.is_relative_to(place) else "holds"
            raise OutputError(f"output {path} {relation} the input {source}", "a place of its own", "Choose another.")
    for parent in out.parents:
        if any((parent / name).exists() for name in NODES):
            raise OutputError(
                f"output {path} lies inside the zarr store {parent}", "a place of its own", "Choose another."
            )
    found = look(path)
    if found == "foreign":
        which = "; --overwrite replaces only an output that carries tilewise's record" if overwrite else ""
        raise OutputError(
            f"output {path} exists and is not tilewise's",
            f"a new place, an empty folder or an output of tilewise{which}",
            "Choose another place, or remove it yourself.",
        )
    _require_writable(path, out)
    return found


def _resolve(path: str) -> Path:
    """The place that a path means; refuses what means none on this machine."""
    if not path.strip():
        raise OutputError("an empty path for the output", "a folder to be", "Name one; is a variable of yours unset?")
    if "://" in path:
        raise OutputError(
            f"output {path}, on a store of kind {path.partition('://')[0]}",
            "a path on this machine",
            "Write to a disk or a mount, and copy the result.",
        )
    try:
        out = Path(path).resolve()
        out.exists()
    except (OSError, ValueError, RuntimeError) as error:
        raise OutputError(
            f"output {path!r}, which is no place ({error})", "a folder to be", "Choose another place."
        ) from error
    return out


def _require_writable(path: str, out: Path) -> None:
    """Refuse a folder that cannot be made or written, as far as can be told without writing."""
    base = next(p for p in (out, *out.parents) if os.path.lexists(p))
    if not base.is_dir():
        raise OutputError(f"output {path} lies below {base}, a file", "a folder to be", "Choose another place.")
    if not os.access(base, os.W_OK | os.X_OK):
        raise OutputError(
            f"output {path}: {base} cannot be written", "a folder with the right to write", "Choose another place."
        )


def sweep(path: str) -> int:
    """Remove what writers that were killed left half written; says how many files."""
    count = 0
    for folder, _, names in os.walk(path):
        for name in names:
            if name.endswith(".partial"):
                Path(folder, name).unlink(missing_ok=True)
                count += 1
    return count


def clear(path: str) -> None:
    """Remove what tilewise wrote, and nothing else; a lock stays. What is cut short half way stays recognisable."""
    out = Path(path).resolve()
    stamp = read_stamp(str(out))
    if stamp is None:
        raise OutputError(f"{path} does not carry tilewise's record", "an output of tilewise", "Remove it yourself.")
    owned = {FOLDER, *NODES, ".zattrs", ".DS_Store", *stamp.owns}
    strange = sorted(e.name for e in out.iterdir() if e.name not in owned and not re.fullmatch(r"\d+", e.name))
    if strange:
        raise OutputError(
            f"output {path} also holds {', '.join(strange[:5])}, which tilewise did not write",
            "nothing but its own",
            "Move that away, or choose another output.",
        )
    # from here on nothing in it counts as done, even if the rest is cut short
    write_stamp(str(out), Stamp(None, stamp.owns))
    folder = folder_of(str(out))
    for entry in [*out.iterdir(), *folder.iterdir()]:
        keep = entry == folder or (entry.parent == folder and re.match(r"lock|zarr\.json$", entry.name))
        if not keep and read_stamp(str(out)) is not None:
            _remove(entry)


def _remove(entry: Path) -> None:
    """A link is removed, never followed."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
