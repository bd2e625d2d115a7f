"""The demo's image: an endless field of fluorescent nuclei whose truth is known, made from a seed, any part by itself.

Pixels are made in squares of fixed place and size, so that the part never depends on what else is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from tilewise.demo.tissue import REACH, Cells, Floats, cells, chance, gland, smooth
from tilewise.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Callable

Image = np.ndarray

SQUARE = 512
"""Side of the squares in which pixels are made."""
NODE = 8
"""The background is computed at every eighth pixel and interpolated."""
PIXEL = 0.5
"""Micrometres a pixel: what the demo's metadata and scale bars say."""

_SIDE = 2 * REACH + 1
_OFFSETS = np.arange(_SIDE, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of cells. Boxes are (y, x) in pixels and may lie anywhere."""

    seed: int = 0
    """Which field."""

    def pixels(self, box: Box) -> Image:
        """What the microscope shows, uint8."""
        return _mosaic(box, np.uint8, lambda square: _render(self.seed, square))

    def truth(self, box: Box) -> Image:
        """True where a nucleus is."""
        return _mosaic(box, np.bool_, lambda square: _mask(self.seed, square))


def _mosaic(box: Box, dtype: type, make: Callable[[Box], Image]) -> Image:
    """Put the squares that a box touches together and cut the box out."""
    out: Image = np.empty(box.shape, dtype)
    (top, left), (bottom, right) = box.start, box.stop
    for y in range(top // SQUARE * SQUARE, bottom, SQUARE):
        for x in range(left // SQUARE * SQUARE, right, SQUARE):
            square = Box((y, x), (y + SQUARE, x + SQUARE))
            part = Box((max(y, top), max(x, left)), (min(y + SQUARE, bottom), min(x + SQUARE, right)))
            out[part.inside(box).slices] = make(square)[part.inside(square).slices]
    return out


def _render(seed: int, square: Box) -> Image:
    """Nuclei over their background, unevenly lit, with the noise of photons and of the camera."""
    found = cells(seed, square)
    stamps, _ = _stamps(found)
    nuclei = _stack(found, stamps, square, np.maximum)
    haze, light = _background(seed, square)
    nuclei += haze
    nuclei *= light
    noise = _noise(seed, square)
    noise *= np.sqrt(nuclei) * np.float32(0.75) + np.float32(1.5)
    nuclei += noise
    return np.clip(nuclei, 0, 255, out=nuclei).astype(np.uint8)


def _mask(seed: int, square: Box) -> Image:
    """The truth: within the outline of a nucleus, where its edge is at half its height."""
    found = cells(seed, square)
    _, radii = _stamps(found, shaded=False)
    inside = (radii < 1) & found.real[:, None, None]
    return _stack(found, inside, square, np.logical_or)


def _stamps(found: Cells, *, shaded: bool = True) -> tuple[Floats, Floats]:
    """Every cell by itself in a small square around its centre: grey levels, and the distance in radii."""

    def column(values: Floats) -> Floats:
        stood: Floats = values[:, None, None]
        return stood

    dy = (np.floor(found.y) - found.y)[:, None] - REACH + _OFFSETS
    dx = (np.floor(found.x) - found.x)[:, None] - REACH + _OFFSETS
    cos, sin = np.cos(found.angle), np.sin(found.angle)
    u = dx[:, None, :] * column(cos / found.long) + dy[:, :, None] * column(sin / found.long)
    v = dy[:, :, None] * column(cos / found.short) - dx[:, None, :] * column(sin / found.short)
    v += column(found.bend) * (u * u - np.float32(0.5))
    u *= u
    v *= v
    u += v
    radii = np.sqrt(u)
    if not shaded:
        return radii, radii
    slope = np.sqrt(found.long * found.short) / found.blur
    edge = np.clip((1 - radii) * column(slope) + np.float32(0.5), 0, 1)
    edge *= edge * (3 - 2 * edge)
    # brighter in the middle, mottled by chromatin
    shade = 1 - np.float32(0.22) * np.minimum(u, 1)
    rows, columns = found.patch // 128, found.patch % 128
    texture = np.lib.stride_tricks.sliding_window_view(_chromatin(), (_SIDE, _SIDE))[rows, columns]
    shade += texture * column(found.grain)
    edge *= shade
    edge *= column(found.glow)
    return edge, radii


def _stack(found: Cells, stamps: Image, square: Box, join: np.ufunc) -> Image:
    """Lay the stamps over each other; where nuclei overlap the brighter one shows, so their order does not matter."""
    margin = 2 * _SIDE
    canvas = np.zeros(tuple(n + 2 * margin for n in square.shape), stamps.dtype)
    tops = np.floor(found.y).astype(int) - REACH - square.start[0] + margin
    lefts = np.floor(found.x).astype(int) - REACH - square.start[1] + margin
    for stamp, top, left in zip(stamps, tops.tolist(), lefts.tolist(), strict=True):
        view = canvas[top : top + _SIDE, left : left + _SIDE]
        join(view, stamp, out=view)
    return canvas[margin:-margin, margin:-margin].copy()


def _background(seed: int, square: Box) -> tuple[Floats, Floats]:
    """The glow of the tissue between nuclei, and the light that falls on all."""
    y, x = np.meshgrid(
        *(np.arange(a, b + 1, NODE, dtype=np.float32) for a, b in zip(square.start, square.stop, strict=True)),
        indexing="ij",
    )
    far, _ = gland(seed, y, x)
    ring = np.clip(4 * (far - 0.42), 0, 1) * np.clip(8 * (1.08 - far), 0, 1)
    fibre = (1 - np.abs(2 * smooth(seed, 40, y, x, 95) - 1)) ** 3 * (0.4 + smooth(seed, 41, y, x, 31))
    stroma = np.clip(6 * (far - 1.0), 0, 1)
    cloud = smooth(seed, 42, y, x, 240) * smooth(seed, 43, y, x, 900)
    haze = 7 + 22 * ring + stroma * (5 + 15 * fibre) + 14 * cloud
    light = 0.66 + 0.5 * smooth(seed, 44, y, x, 1700) + 0.08 * smooth(seed, 45, y, x, 600)
    return _enlarge(haze.astype(np.float32)), _enlarge(light.astype(np.float32))


def _enlarge(nodes: Floats) -> Floats:
    """Linear interpolation from the nodes to the pixels."""
    w = (np.arange(NODE, dtype=np.float32) / NODE)[:, None]
    for _ in range(2):
        rows = nodes[:-1, None, :] * (1 - w) + nodes[1:, None, :] * w
        nodes = rows.reshape(-1, nodes.shape[1]).T
    return np.ascontiguousarray(nodes)


def _noise(seed: int, square: Box) -> Floats:
    """Nearly Gaussian, mean 0 and variance 1: four random bytes added. Raw bits are the same in every numpy."""
    key = np.array([seed % 2**64, (square.start[0] % 2**32) * 2**32 + square.start[1] % 2**32], np.uint64)
    raw = np.random.Philox(key=key).random_raw(square.size // 2).view(np.uint8)
    total: Floats = raw.reshape(4, *square.shape).sum(axis=0, dtype=np.uint16).astype(np.float32)
    total -= np.float32(4 * 127.5)
    total *= np.float32(1 / 147.8)
    return total


@lru_cache(maxsize=1)
def _chromatin() -> Floats:
    """A table of mottled texture around 0 from which every nucleus takes its own piece."""
    side = 128 + _SIDE
    y, x = np.meshgrid(*(np.arange(side, dtype=np.float32),) * 2, indexing="ij")
    coarse, fine = smooth(9, 50, y, x, 7.0), smooth(9, 51, y, x, 3.2)
    spots = chance(9, 52, y.astype(np.int64) // 3, x.astype(np.int64) // 3) > 0.97
    return (coarse + 0.6 * fine - 0.8 + 0.25 * spots).astype(np.float32)
