"""Groups that are no image themselves: the only image in one is meant, of several each has to be named."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from tilewise import ngff
from tilewise.errors import ImageError, StoreError
from tilewise.openers.node import enter, is_node, read_node
from tilewise.store import join

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilewise.openers.node import Node
    from tilewise.store import Store

SHOWN = 5
"""Members of a group that are named."""

VISITED = 64
"""Members of a group without OME-Zarr metadata that are looked at."""

KINDS: dict[ngff.Kind | None, str] = {
    "plate": "an OME-Zarr plate, which holds many images",
    "well": "a well of an OME-Zarr plate, which holds a field an image",
    "series": "the root of a bioformats2raw conversion, which holds a series an image",
    "labels": "a group of OME-Zarr labels",
    None: "a zarr group without OME-Zarr metadata",
}
"""What a group is, in words."""


def find_only(folder: Store, node: Node) -> Store | None:
    """The one image in a group: a series, labels, or an array beside coordinates; None if there are more, or none."""
    kind = ngff.find_kind(node.attributes)
    if kind == "series":
        names = _list_series(folder)
    elif kind == "labels":
        names = ngff.list_members(node.attributes)
    elif kind is None:
        names = _list_images(folder)
    else:
        return None
    return enter(folder, names[0]) if len(names) == 1 else None


def refuse_group(folder: Store, node: Node) -> ImageError:
    """What to say of a group whose images have to be named one by one."""
    kind = ngff.find_kind(node.attributes)
    members = ngff.list_members(node.attributes)
    if kind is None or kind == "series":
        inner = (name for name in folder.names() if name != "OME" and is_node(folder.below(name)))
        members = tuple(itertools.islice(inner, SHOWN + 1))
    # a plate's members are wells, and a field lies one further down
    example = f"{members[0]}/0" if kind == "plate" and members else (members[0] if members else "")
    shown = ", ".join(members[:SHOWN]) + (" ..." if len(members) > SHOWN else "")
    held = f" (it holds {shown})" if members else " (it holds none)"
    do = f"Give one of them, for example {join(folder.place, example)}" if example else "Check the path."
    return ImageError(
        f"{folder.place} is {KINDS[kind if kind != 'image' else None]}{held}", "one image or one array", do
    )


def _list_series(folder: Store) -> Sequence[str]:
    """Series of a conversion as it lists them itself, else the first two by their numbers."""
    beside = folder.below("OME")
    listed = ngff.find_ome(read_node(beside).attributes).get("series") if is_node(beside) else None
    if isinstance(listed, list) and listed:
        return [name for name in listed if isinstance(name, str) and ngff.is_safe(name)]
    return [name for name in ("0", "1") if is_node(folder.below(name))]


def _list_images(folder: Store) -> Sequence[str]:
    """Arrays of two axes or more: what has fewer are coordinates. A group inside may hold anything, so it counts."""
    try:
        names = sorted(folder.names())
    except StoreError:
        # a web server lists nothing
        return ()
    if len(names) > VISITED:
        return ()
    found = []
    for name in names:
        inner = folder.below(name)
        if ngff.is_safe(name) and is_node(inner):
            node = read_node(inner)
            shape = node.metadata.get("shape")
            if node.kind == "group" or (isinstance(shape, list) and len(shape) > 1):
                found.append(name)
    return found
