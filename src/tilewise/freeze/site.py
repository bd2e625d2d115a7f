"""A place in a graph where a number of the whole image is used: what it takes, and from which tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["instance", "group", "mean", "maximum"]
"""Normalizes each channel; normalizes groups of channels; the mean of each channel; its largest value."""


@dataclass(frozen=True, slots=True)
class Site:
    """One node, or a few that belong together."""

    name: str
    """Name of the tensor that it makes: one a graph."""
    kind: Kind
    """What it takes from the image."""
    operator: str
    """The operator and its name, for people."""
    tensor: str
    """Tensor whose pixels it looks at."""
    spatial: tuple[int, ...]
    """The tensor's spatial axes, in order (z) y x."""
    channel: int | None
    """The tensor's channel axis; None if it has none."""
    groups: int = 1
    """Of a group normalization."""
    joint: bool = False
    """True if it is taken over the channels together."""
    whole: str = ""
    """Tensor in front of the nodes that are replaced together with it; the tensor itself if there are none."""
