"""Orders of a model's axes: letters from N (batch), C (channels), D, H, W (space), such as NCHW or NDHWC."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SPATIAL = "DHW"


def canonical(spatial_ndim: int) -> str:
    """The order in which tilewise holds a batch of tiles: batch, channels, space."""
    return "NC" + SPATIAL[-spatial_ndim:]


def arrange(tiles: np.ndarray, layout: str) -> np.ndarray:
    """A batch of tiles [batch, c, space...] in the order that a model takes, contiguous.

    Axes that the layout lacks must have length 1.
    """
    import numpy as np

    order = canonical(tiles.ndim - 2)
    absent = tuple(order.index(letter) for letter in order if letter not in layout)
    present = [letter for letter in order if letter in layout]
    squeezed = tiles.squeeze(axis=absent)
    return np.ascontiguousarray(squeezed.transpose([present.index(letter) for letter in layout]))


def restore(output: np.ndarray, layout: str, spatial_ndim: int) -> np.ndarray:
    """What a model gave, as [batch, c, space...]; axes that the layout lacks get length 1."""
    import numpy as np

    order = canonical(spatial_ndim)
    present = [letter for letter in order if letter in layout]
    ordered = output.transpose([layout.index(letter) for letter in present])
    absent = tuple(k for k, letter in enumerate(order) if letter not in layout)
    return np.expand_dims(ordered, absent)
