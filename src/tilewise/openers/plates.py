"""Plates: fields of wells, each an image of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewise import ngff
from tilewise.errors import ImageError
from tilewise.openers.node import enter, open_folder, read_node

if TYPE_CHECKING:
    from tilewise.openers.node import Node
    from tilewise.store import Store


def is_plate(path: str) -> bool:
    """True if a path means an OME-Zarr plate."""
    folder = open_folder(path)
    try:
        return ngff.find_kind(read_node(folder).attributes) == "plate"
    except ImageError:
        return False


def list_fields(path: str) -> tuple[str, ...]:
    """Every field of a plate as row/column/field, in the plate's order; one file is read for each well."""
    folder, plate = _open_plate(path)
    return tuple(
        f"{well}/{field}" for well in ngff.list_members(plate.attributes) for field in _list_well(folder, well)
    )


def find_field(path: str, field: str) -> str:
    """The image of a field of a plate.

    Args:
        path: the plate.
        field: row/column/field, as ``list_fields`` gives them; row/column alone is the well's first field.

    Raises:
        ImageError: it is no plate, or it has no such field.
    """
    folder, plate = _open_plate(path)
    wells = ngff.list_members(plate.attributes)
    name = field.strip("/")
    well = next((well for well in wells if name == well or name.startswith(f"{well}/")), None)
    if well is None:
        raise _absent(path, field, wells, "wells")
    fields = _list_well(folder, well)
    wanted = name.removeprefix(well).strip("/") or (fields[0] if fields else "")
    if wanted not in fields:
        raise _absent(path, field, tuple(f"{well}/{one}" for one in fields), "fields")
    return enter(folder, f"{well}/{wanted}").place


def _open_plate(path: str) -> tuple[Store, Node]:
    folder = open_folder(path)
    node = read_node(folder)
    if ngff.find_kind(node.attributes) != "plate":
        raise ImageError(f"--field for {path}", "an OME-Zarr plate", "Leave --field out, or give a plate.")
    return folder, node


def _list_well(folder: Store, well: str) -> tuple[str, ...]:
    return ngff.list_members(read_node(enter(folder, well)).attributes)


def _absent(path: str, field: str, there: tuple[str, ...], what: str) -> ImageError:
    shown = ", ".join(there[:5]) + (" ..." if len(there) > 5 else "")
    return ImageError(f"--field {field} for {path}", f"one of its {what} ({shown or 'it has none'})", "Choose another.")
