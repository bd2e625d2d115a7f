"""The demo's preview: the whole image with what was found, one tile with its core and halo, and a seam close up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tilewise.demo.paint import (
    DIM,
    EDGE,
    FOUND,
    HALO,
    INK,
    NIGHT,
    draw_scale,
    draw_tag,
    font,
    lighten,
    outline,
    resize,
    tint,
    to_picture,
)
from tilewise.geometry import Box

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageDraw import ImageDraw

Image = np.ndarray

SIZE = (1600, 984)
WHOLE = Box((84, 24), (944, 884))
TILE = Box((84, 908), (504, 1576))
CLOSE = Box((540, 908), (944, 1576))
ZOOM = 4
"""Screen pixels per image pixel in the close-up."""


@dataclass(frozen=True, slots=True)
class View:
    """What is to be seen. Arrays are (y, x); image pixels are brighter where more light came in."""

    shape: tuple[int, ...]
    """Size of the whole image in pixels."""
    whole: Image
    """The whole image made small: means of its pixels, 0 to 255."""
    found: Image
    """As small: the part of each of its pixels that was found to be a nucleus, 0 to 1."""
    box: Box
    """The part that is shown pixel by pixel, around the place where cores meet."""
    pixels: Image
    """Its pixels."""
    scores: Image
    """Its scores, 0 to 1."""
    edges: tuple[tuple[int, ...], ...]
    """Where cores begin, per axis, in pixels of the image."""
    blocks: tuple[tuple[int, ...], ...]
    """Where blocks begin, per axis."""
    core: Box
    """One core."""
    window: Box
    """What the model sees for it."""
    micrometres: float
    """Size of a pixel."""
    title: str
    """First line."""
    facts: str
    """Second line."""


def surround(shape: tuple[int, ...], corner: tuple[int, ...]) -> Box:
    """The part around a corner of a core that the picture shows pixel by pixel."""
    size = tuple(min(n, m) for n, m in zip(TILE.shape, shape, strict=True))
    start = tuple(min(max(c - n * 2 // 5, 0), m - n) for c, n, m in zip(corner, size, shape, strict=True))
    return Box(start, tuple(a + n for a, n in zip(start, size, strict=True)))


def choose_corner(found: Image, step: int, edges: tuple[tuple[int, ...], ...]) -> tuple[int, int]:
    """The core, by its place, at whose first corner most was found; the first one if there is no other.

    Args:
        found: the image made small, as in ``View``.
        step: how many times smaller.
        edges: where cores begin, per axis.
    """
    reach = max(64 // step, 1)

    def amount(place: tuple[int, int]) -> float:
        y, x = (starts[k] // step for starts, k in zip(edges, place, strict=True))
        return float(found[max(y - reach, 0) : y + reach, max(x - reach, 0) : x + reach].mean())

    rows, columns = (range(min(1, len(starts) - 1), len(starts)) for starts in edges)
    return max(((i, j) for i in rows for j in columns), key=amount)


def draw(view: View) -> Picture:
    """The whole picture."""
    import PIL.Image
    from PIL import ImageDraw

    canvas = PIL.Image.new("RGB", SIZE, NIGHT)
    pen = ImageDraw.Draw(canvas)
    pen.text((24, 16), view.title, INK, font(26))
    pen.text((24, 50), view.facts, DIM, font(17))
    _draw_whole(canvas, pen, view)
    _draw_tile(canvas, pen, view)
    _draw_close(canvas, pen, view)
    _draw_legend(pen)
    return canvas


def _draw_whole(canvas: Picture, pen: ImageDraw, view: View) -> None:
    """Left of the line the image, right of it what was found."""
    scale = min(n / m for n, m in zip(WHOLE.shape, view.shape, strict=True))
    height, width = (round(n * scale) for n in view.shape)
    top, left = WHOLE.start
    pixels, found = resize(view.whole, (height, width)), resize(view.found, (height, width))
    shown = tint(lighten(pixels, 118))
    middle = width // 2
    part = np.clip(found[:, middle:, None], 0, 1) ** 0.8
    shown[:, middle:] = 0.62 * shown[:, middle:] * (1 - part) + np.array(FOUND) * part
    canvas.paste(to_picture(shown), (left, top))
    for axis, starts in enumerate(view.blocks):
        for edge in starts[1:]:
            at = round(edge * scale)
            line = (left, top + at, left + width, top + at) if axis == 0 else (left + at, top, left + at, top + height)
            pen.line(line, (44, 66, 82))
    pen.line((left + middle, top, left + middle, top + height), INK, 2)
    draw_tag(pen, (left + middle - 10, top + 10), "image", right=True)
    draw_tag(pen, (left + middle + 12, top + 10), "found")
    shown_box = [left + round(view.box.start[1] * scale), top + round(view.box.start[0] * scale)]
    shown_box += [left + round(view.box.stop[1] * scale), top + round(view.box.stop[0] * scale)]
    pen.rectangle(shown_box, None, INK, 2)
    draw_scale(pen, WHOLE, view.micrometres / scale)


def _draw_tile(canvas: Picture, pen: ImageDraw, view: View) -> None:
    """Pixel by pixel: a window, its core, and the halo that is thrown away."""
    import PIL.Image

    top, left = TILE.start
    shown = tint(lighten(view.pixels, 205))
    shown = np.where(outline(view.scores)[..., None], np.array(FOUND), shown)
    halo = np.zeros(view.box.shape, bool)
    halo[view.window.clip(view.shape).inside(view.box).clip(view.box.shape).slices] = True
    halo[view.core.inside(view.box).clip(view.box.shape).slices] = False
    shown = np.where(halo[..., None], shown * 0.72 + np.array(HALO) * 0.28, shown)
    panel = to_picture(shown)
    if panel.size != (TILE.shape[1], TILE.shape[0]):
        panel = panel.resize((TILE.shape[1], TILE.shape[0]), PIL.Image.Resampling.NEAREST)
    canvas.paste(panel, (left, top))
    scale = tuple(n / m for n, m in zip(TILE.shape, view.box.shape, strict=True))
    _draw_edges(pen, view, TILE, view.box, scale)
    y, x = (round((c - a) * s) for c, a, s in zip(_middle(view), view.box.start, scale, strict=True))
    dy, dx = (round(n / ZOOM / 2 * s) for n, s in zip(CLOSE.shape, scale, strict=True))
    pen.rectangle((left + x - dx, top + y - dy, left + x + dx, top + y + dy), None, INK, 2)
    draw_scale(pen, TILE, view.micrometres / scale[1])


def _draw_close(canvas: Picture, pen: ImageDraw, view: View) -> None:
    """Where cores meet, enlarged: outlines go over the seam."""
    size = tuple(min(n // ZOOM, m) for n, m in zip(CLOSE.shape, view.box.shape, strict=True))
    start = tuple(c - n // 2 for c, n in zip(_middle(view), size, strict=True))
    box = Box(start, tuple(a + n for a, n in zip(start, size, strict=True)))
    inner = box.inside(view.box).slices
    pixels = resize(view.pixels[inner], CLOSE.shape)
    # between pixels, log odds run straighter than scores do
    scores = np.clip(view.scores[inner], 0.002, 0.998)
    scores = resize(np.log(scores / (1 - scores)), CLOSE.shape) / 8 + 0.5
    shown = tint(lighten(pixels, 205))
    line = outline(scores)
    line[1:] |= line[:-1].copy()
    line[:, 1:] |= line[:, :-1].copy()
    canvas.paste(to_picture(np.where(line[..., None], np.array(FOUND), shown)), (CLOSE.start[1], CLOSE.start[0]))
    scale = tuple(n / m for n, m in zip(CLOSE.shape, box.shape, strict=True))
    _draw_edges(pen, view, CLOSE, box, scale)
    draw_scale(pen, CLOSE, view.micrometres / scale[1])


def _middle(view: View) -> tuple[int, int]:
    """The corner of the core, kept so far from the box's border that the close-up fits."""
    y, x = (
        min(max(c, a + n // ZOOM // 2), max(b - n // ZOOM // 2, a))
        for c, a, b, n in zip(view.core.start, view.box.start, view.box.stop, CLOSE.shape, strict=True)
    )
    return y, x


def _draw_edges(pen: ImageDraw, view: View, panel: Box, box: Box, scale: tuple[float, ...]) -> None:
    """Dashes where cores meet."""
    (top, left), (bottom, right) = panel.start, panel.stop
    for axis, starts in enumerate(view.edges):
        for edge in starts[1:]:
            if not box.start[axis] < edge < box.stop[axis]:
                continue
            at = panel.start[axis] + round((edge - box.start[axis]) * scale[axis])
            for a in range(left if axis == 0 else top, right if axis == 0 else bottom, 14):
                b = min(a + 8, (right if axis == 0 else bottom) - 1)
                pen.line((a, at, b, at) if axis == 0 else (at, a, at, b), EDGE, 2)


def _draw_legend(pen: ImageDraw) -> None:
    row, letters = 512, font(15)
    entries = ((FOUND, "outline of what was found"), (EDGE, "where two cores meet"), (HALO, "halo of one tile"))
    x = TILE.start[1]
    for colour, text in entries:
        pen.rectangle((x, row + 4, x + 16, row + 14), colour)
        pen.text((x + 24, row), text, DIM, letters)
        x += 50 + round(pen.textlength(text, letters))
    pen.text((24, 956), "Generated tissue and a network trained on such: for demonstration only.", DIM, letters)
    pen.text((TILE.start[1], 956), "Four tiles meet here: outlines run across the seams.", DIM, letters)
