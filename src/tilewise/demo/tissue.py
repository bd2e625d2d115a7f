"""Where the cells of the demo's tissue are and how they look: hashed numbers at fixed places, no state.

Everything is a function of a seed and a place, so any part of an endless field can be made by itself.
Glands are rings of tall cells around an empty lumen; between them lie spindle cells and nests of small round ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tilewise.geometry import Box

Floats = np.ndarray
"""float32."""
Places = np.ndarray
"""int64."""

PITCH = 23
"""Pixels between the sites of a jittered lattice: at most one cell, or a pair, a site."""
GLAND = 620
"""Pixels between glands."""
REACH = 22
"""No cell reaches further than so many pixels from its centre; a pair's second cell is a cell of its own."""
PAIR = 14
"""The second cell of a pair lies at most so far from the first."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Many cells, one entry each. Lengths are pixels, angles radians."""

    y: Floats
    """Centres."""
    x: Floats
    """Centres."""
    long: Floats
    """Half axis along the angle."""
    short: Floats
    """Half axis across it."""
    angle: Floats
    """From the x axis towards y."""
    bend: Floats
    """Kidney shape: how far the middle is pushed across the long axis, in short half axes."""
    glow: Floats
    """Brightness of the middle, in grey levels before illumination."""
    grain: Floats
    """Depth of the chromatin's texture."""
    blur: Floats
    """Width of the edge: how far out of focus."""
    patch: Places
    """Place in the table of textures."""
    real: np.ndarray
    """False for debris and ghosts, which are not part of the truth."""


def chance(seed: int, salt: int, i: Places, j: Places) -> Floats:
    """A number in [0, 1) for every place (i, j), by a hash."""
    start = np.uint32((seed * 0x9E3779B1 + salt * 0x7FEB352D + 0x165667B1) % 2**32)
    h = i.astype(np.uint32) * np.uint32(0x85EBCA77) + start
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    h ^= j.astype(np.uint32) * np.uint32(0xC2B2AE3D) + (h >> np.uint32(13))
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x297A2D39)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B)
    number: Floats = ((h ^ (h >> np.uint32(16))) >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)
    return number


def smooth(seed: int, salt: int, y: Floats, x: Floats, pitch: float) -> Floats:
    """A smooth random landscape in [0, 1]; hills are about ``pitch`` pixels apart."""
    v, u = y / np.float32(pitch), x / np.float32(pitch)
    i, j = np.floor(v).astype(np.int64), np.floor(u).astype(np.int64)
    a, b = v - i.astype(np.float32), u - j.astype(np.float32)
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    top = chance(seed, salt, i, j) * (1 - b) + chance(seed, salt, i, j + 1) * b
    low = chance(seed, salt, i + 1, j) * (1 - b) + chance(seed, salt, i + 1, j + 1) * b
    landscape: Floats = top * (1 - a) + low * a
    return landscape


def gland(seed: int, y: Floats, x: Floats) -> tuple[Floats, Floats]:
    """Distance from the nearest gland's middle, in its radii, and the direction away from it."""
    wobble_y = y + 110 * (smooth(seed, 1, y, x, 170) - 0.5)
    wobble_x = x + 110 * (smooth(seed, 2, y, x, 170) - 0.5)
    i, j = np.floor(y / GLAND).astype(np.int64), np.floor(x / GLAND).astype(np.int64)
    best = np.full(y.shape, np.inf, np.float32)
    away = np.zeros(y.shape, np.float32)
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            k, m = i + di, j + dj
            dy = wobble_y - (k + 0.2 + 0.6 * chance(seed, 3, k, m)) * GLAND
            dx = wobble_x - (m + 0.2 + 0.6 * chance(seed, 4, k, m)) * GLAND
            turn, squeeze = 3.14159 * chance(seed, 5, k, m), 0.62 + 0.38 * chance(seed, 6, k, m)
            along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
            far = np.hypot(along, across / squeeze) / (150 + 170 * chance(seed, 7, k, m) ** 2)
            near = far < best
            best = np.where(near, far, best).astype(np.float32)
            away = np.where(near, np.arctan2(dy, dx), away).astype(np.float32)
    return best, away


def cells(seed: int, box: Box) -> Cells:
    """All cells, and what looks like cells, of which any part may lie within the box; in the order of their sites."""
    margin = REACH + PAIR + PITCH
    (top, left), (bottom, right) = box.start, box.stop
    i, j = (
        grid.ravel()
        for grid in np.meshgrid(
            np.arange((top - margin) // PITCH, (bottom + margin) // PITCH + 1, dtype=np.int64),
            np.arange((left - margin) // PITCH, (right + margin) // PITCH + 1, dtype=np.int64),
            indexing="ij",
        )
    )
    first = _sites(seed, i, j)
    everything = _join([first, _second(seed, i, j, first)])
    here = (
        (everything.glow > 0)
        & (np.abs(everything.y - (top + bottom) / 2) < (bottom - top) / 2 + REACH)
        & (np.abs(everything.x - (left + right) / 2) < (right - left) / 2 + REACH)
    )
    return _pick(everything, here)


def _sites(seed: int, i: Places, j: Places) -> Cells:
    """One cell a site; those of no brightness are absent."""
    y = (i + 0.1 + 0.8 * chance(seed, 10, i, j)).astype(np.float32) * PITCH
    x = (j + 0.1 + 0.8 * chance(seed, 11, i, j)).astype(np.float32) * PITCH
    far, away = gland(seed, y, x)
    ring, lumen = (far > 0.58) & (far < 1.0), far <= 0.58
    nest = smooth(seed, 12, y, x, 300) * (far > 1.06) > 0.66
    size, aspect, draw = chance(seed, 13, i, j), chance(seed, 14, i, j), chance(seed, 15, i, j)
    flow = 6.28318 * smooth(seed, 16, y, x, 420)
    crowd = 0.08 + 0.42 * smooth(seed, 26, y, x, 520)
    present = draw < np.select([lumen, ring, nest], [0.015, 0.95, 0.8], crowd)
    long = np.select([ring, nest], [9.5 + 3.5 * size, 6.4 + 1.4 * size], 8.5 + 5.5 * size)
    short = np.select([ring, nest], [6.0 + 1.6 * aspect, 5.6 + 1.2 * aspect], 4.6 + 2.6 * aspect)
    angle = np.select([ring, nest], [away, 6.28318 * size], flow) + 0.8 * (chance(seed, 17, i, j) - 0.5)
    glow = np.select([ring, nest], [108, 132], 88) * (0.6 + 0.75 * chance(seed, 18, i, j))
    # now and then a dividing cell: small, dense, bright
    dividing = chance(seed, 19, i, j) < 0.012
    glow, short = np.where(dividing, 215, glow), np.where(dividing, 4.4, short)
    focus = smooth(seed, 20, y, x, 1100)
    blur = 1.3 + 2.6 * focus * focus + 1.2 * chance(seed, 21, i, j)
    # debris is far smaller than any cell, a ghost is a cell far out of focus
    odd = chance(seed, 22, i, j)
    speck, ghost = ~present & (odd < 0.07), ~present & (odd > 0.93) & ~lumen
    long, short = np.where(speck, 1.2 + 1.6 * size, long), np.where(speck, 1.2 + 0.6 * aspect, short)
    blur = np.where(ghost, 9.0, np.where(speck, 1.6, blur))
    glow = np.where(ghost, 26, np.where(speck, 60 + 130 * aspect, np.where(present, glow, 0)))
    return Cells(
        y=y,
        x=x,
        long=long.astype(np.float32),
        short=short.astype(np.float32),
        angle=angle.astype(np.float32),
        bend=((chance(seed, 23, i, j) - 0.5) * np.where(ring | nest, 0.35, 0.8)).astype(np.float32),
        glow=glow.astype(np.float32),
        grain=(0.25 + 0.5 * chance(seed, 24, i, j)).astype(np.float32),
        blur=blur.astype(np.float32),
        patch=(chance(seed, 25, i, j) * 2**14).astype(np.int64),
        real=present,
    )


def _second(seed: int, i: Places, j: Places, first: Cells) -> Cells:
    """The second cell of a touching pair, beside the first across its long axis."""
    paired = first.real & (chance(seed, 30, i, j) < 0.14)
    apart = np.minimum(1.75 * first.short, PAIR)
    return Cells(
        y=first.y + apart * np.cos(first.angle),
        x=first.x - apart * np.sin(first.angle),
        long=first.long * np.float32(0.92),
        short=first.short,
        angle=first.angle + (chance(seed, 31, i, j) - np.float32(0.5)),
        bend=-first.bend,
        glow=np.where(paired, first.glow * (0.75 + 0.5 * chance(seed, 32, i, j)), 0).astype(np.float32),
        grain=first.grain,
        blur=first.blur,
        patch=first.patch ^ 5461,
        real=paired,
    )


def _join(parts: list[Cells]) -> Cells:
    return Cells(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in Cells.__slots__})


def _pick(cells: Cells, which: np.ndarray) -> Cells:
    return Cells(**{name: getattr(cells, name)[which] for name in Cells.__slots__})
