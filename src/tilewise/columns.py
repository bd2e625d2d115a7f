"""The arrays of a ledger: one fact of each block, on a flat numbering of the blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilewise.errors import OutputError, StoreError
from tilewise.record import folder_of

if TYPE_CHECKING:
    import numpy as np

COLUMNS = {"seconds": "float32", "attempts": "uint16", "nan": "uint64", "inf": "uint64", "state": "uint8"}
"""One array a fact, with its type. The state is written last: a block that reads as done has all its facts."""

ROWS = 65536
"""Blocks in a chunk of an array: 1.5 MB over all columns."""


def create_column(path: str, name: str, blocks: int) -> None:
    """Set one array up; nothing is stored for blocks that are pending."""
    import zarr
    from zarr.codecs import ZstdCodec

    zarr.create_array(
        folder_of(path).nodes(name, writable=True),
        shape=(blocks,),
        chunks=(min(ROWS, blocks),),
        dtype=COLUMNS[name],
        compressors=ZstdCodec(level=1, checksum=True),
        fill_value=0,
        zarr_format=3,
    )


def store_mask(path: str, name: str, pixels: np.ndarray, attributes: dict[str, Any]) -> None:
    """Keep a mask beside the ledger, as bytes of 0 and 1: what was computed can be looked at.

    Args:
        path: the output.
        name: of the array.
        pixels: the mask.
        attributes: how it was made, and where it lies.
    """
    import zarr
    from zarr.codecs import ZstdCodec

    array = zarr.create_array(
        folder_of(path).nodes(name, writable=True),
        shape=pixels.shape,
        chunks=tuple(min(n, 1024) for n in pixels.shape),
        dtype="uint8",
        compressors=ZstdCodec(level=1, checksum=True),
        fill_value=0,
        zarr_format=3,
        dimension_names=list(attributes["axes"]),
        attributes=attributes,
        overwrite=True,
    )
    array[...] = pixels.astype("uint8")


def open_column(path: str, name: str, blocks: int, writable: bool) -> Any:
    """Open one array and refuse it if it counts other blocks."""
    import zarr

    store = folder_of(path).nodes(name, writable=writable)
    try:
        array = zarr.open_array(store, mode="r+" if writable else "r", zarr_format=3)
    except StoreError:
        raise
    except Exception as error:
        raise OutputError(
            f"the ledger of {path} lacks its {name}", "a ledger as tilewise wrote it", "Add --overwrite."
        ) from error
    if array.shape != (blocks,):
        raise OutputError(
            f"the ledger of {path} counts {array.shape[0]} blocks", f"{blocks}, as this run does", "Add --overwrite."
        )
    return array
