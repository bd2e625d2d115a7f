"""Coarser levels from finer ones: where their shards lie and what their pixels are. Pure; no I/O.

All levels of an output have the same shard, so that a shard of a level stands on one or two shards an axis of the
level below, exactly, whatever the sizes::

    level 0   |   0   |   1   |   2   |   3   |  4 |
    level 1   |   0           |   1           | 2  |     each is one shard, of half the resolution
    level 2   |   0                           | 1  |
"""

from __future__ import annotations

from tilewise.pyramid.kernels import METHODS, Method, shrink
from tilewise.pyramid.levels import Pyramid, Rows, choose_steps

__all__ = ["METHODS", "Method", "Pyramid", "Rows", "choose_steps", "shrink"]
