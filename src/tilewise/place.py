"""The place of an output: what stands there, whether it may be used, and how ours is cleared away."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from tilewise.errors import OutputError
from tilewise.record import FOLDER, Stamp, read_stamp, write_stamp
from tilewise.store import absolute, is_url, local, open_store, parents, relate

if TYPE_CHECKING:
    from collections.abc import Sequence

Place = Literal["free", "ours", "foreign"]
"""Nothing there yet; carries tilewise's record; holds something else."""

NODES = ("zarr.json", ".zarray", ".zgroup")
"""A folder that holds one of these is a node of a zarr hierarchy."""


def look(path: str) -> Place:
    """What stands at an output's place; writes nothing."""
    out = open_store(path)
    kind = out.kind()
    if kind != "folder":
        return "free" if kind == "nothing" else "foreign"
    if read_stamp(path) is not None:
        return "ours"
    # a run that was cut short before its first stamp leaves no more than its lock
    left = set(out.names())
    if left - {FOLDER} or out.linked(FOLDER):
        return "foreign"
    started = not left or all(re.match(r"lock|.*\.partial$", name) for name in out.names(FOLDER))
    return "free" if started else "foreign"


def check_place(path: str, inputs: Sequence[str] = (), *, overwrite: bool = False, labels: bool = False) -> Place:
    """Refuse a place where an output must not go; writes nothing.

    Args:
        path: the output.
        inputs: what is read; the output may neither lie inside of it nor hold it.
        overwrite: said to the user only: what is not tilewise's is refused all the same.
        labels: the output is one of the labels of an input, and lies where those belong.
    """
    out = resolve(path)
    around = parents(out)
    home = next((s for s in inputs if labels and around[:2] and relate(around[1], s) == "is"), None)
    for source in inputs:
        relation = relate(out, source)
        if relation is not None and source != home:
            raise OutputError(f"output {path} {relation} the input {source}", "a place of its own", "Choose another.")
    # around labels lie their image, and a plate or series that it may be part of
    for parent in around if home is None else ():
        if open_store(parent).holds(*NODES):
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
    open_store(path).check_writable()
    return found


def resolve(path: str) -> str:
    """The place that a path means, links followed; refuses what means none."""
    if not path.strip():
        raise OutputError("an empty path for the output", "a folder to be", "Name one; is a variable of yours unset?")
    if is_url(path):
        open_store(path).check_writable()
        return absolute(path)
    try:
        out = local(path).resolve()
        out.exists()
    except (OSError, ValueError, RuntimeError) as error:
        raise OutputError(
            f"output {path!r}, which is no place ({error})", "a folder to be", "Choose another place."
        ) from error
    return str(out)


def sweep(path: str) -> int:
    """Remove what writers that were killed left half written; says how many files."""
    return open_store(path).sweep()


def clear(path: str) -> None:
    """Remove what tilewise wrote, and nothing else; a lock stays. What is cut short half way stays recognisable."""
    out = open_store(resolve(path))
    stamp = read_stamp(out.place)
    if stamp is None:
        raise OutputError(f"{path} does not carry tilewise's record", "an output of tilewise", "Remove it yourself.")
    owned = {FOLDER, *NODES, ".zattrs", ".DS_Store", *stamp.owns}
    there = out.names()
    strange = [name for name in there if name not in owned and not re.fullmatch(r"\d+", name)]
    if strange:
        raise OutputError(
            f"output {path} also holds {', '.join(strange[:5])}, which tilewise did not write",
            "nothing but its own",
            "Move that away, or choose another output.",
        )
    # from here on nothing in it counts as done, even if the rest is cut short
    write_stamp(out.place, Stamp(None, stamp.owns))
    inner = [f"{FOLDER}/{name}" for name in out.names(FOLDER) if not re.match(r"lock|zarr\.json$", name)]
    for key in [*(name for name in there if name != FOLDER), *inner]:
        if read_stamp(out.place) is not None:
            out.remove(key)
