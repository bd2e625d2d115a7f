"""Colours, outlines, words and bars: what the demo's picture is painted with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageDraw import ImageDraw

    from tilewise.geometry import Box

Image = np.ndarray
Colour = tuple[int, int, int]

NIGHT: Colour = (9, 12, 18)
INK: Colour = (214, 224, 232)
DIM: Colour = (128, 143, 156)
FOUND: Colour = (255, 170, 72)
EDGE: Colour = (108, 226, 255)
HALO: Colour = (255, 94, 132)
_NAMED = (INK, DIM, FOUND, EDGE, HALO)


def draw_scale(pen: ImageDraw, panel: Box, micrometres: float) -> None:
    """A round length of about a sixth of the panel, at its lower right."""
    room = panel.shape[1] / 6 * micrometres
    length = max(n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if n <= max(room, 1))
    pixels = round(length / micrometres)
    y, x = panel.stop[0] - 16, panel.stop[1] - 16
    text = f"{length // 1000} mm" if length >= 1000 else f"{length} um"
    width = max(pixels, round(pen.textlength(text, font(15))))
    pen.rectangle((x - width - 8, y - 28, x + 8, y + 10), NIGHT)
    pen.rectangle((x - pixels, y, x, y + 4), INK)
    pen.text((x - pixels / 2, y - 14), text, INK, font(15), anchor="mm")


def draw_tag(pen: ImageDraw, place: tuple[int, int], text: str, *, right: bool = False) -> None:
    """A word on a dark ground; the place is its upper left or upper right corner."""
    letters = font(18)
    width = round(pen.textlength(text, letters)) + 16
    x = place[0] - width if right else place[0]
    pen.rectangle((x, place[1], x + width, place[1] + 28), NIGHT)
    pen.text((x + 8, place[1] + 3), text, INK, letters)


def lighten(pixels: Image, white: float) -> Image:
    """Grey levels as brightness 0 to 1, the dark ones lifted: that is where most of them are."""
    brightness: Image = np.clip((np.asarray(pixels, np.float32) - 6) / white, 0, 1) ** 0.62
    return brightness


def tint(light: Image) -> Image:
    """Grey levels 0 to 1 as night blue, teal, white."""
    stops = np.array([0, 0.35, 0.7, 1.0])
    colours = np.array([(4, 7, 16), (10, 58, 92), (58, 158, 178), (236, 252, 255)])
    return np.stack([np.interp(light, stops, colours[:, k]) for k in range(3)], axis=-1)


def outline(scores: Image) -> Image:
    """Pixels of what was found that touch what was not."""
    found = scores >= 0.5
    inner = found.copy()
    inner[1:] &= found[:-1]
    inner[:-1] &= found[1:]
    inner[:, 1:] &= found[:, :-1]
    inner[:, :-1] &= found[:, 1:]
    return found & ~inner


def resize(values: Image, shape: tuple[int, ...]) -> Image:
    """Smoothly to another size."""
    import PIL.Image

    picture = PIL.Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(picture.resize((shape[1], shape[0]), PIL.Image.Resampling.BICUBIC))


def to_picture(colours: Image) -> Picture:
    """From (y, x, 3), 0 to 255."""
    import PIL.Image

    return PIL.Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))


def font(size: int) -> Any:
    """Pillow's own letters, for nothing else is there on every machine; they have no Greek."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def shrink(picture: Picture, width: int) -> Picture:
    """The picture for a page: narrower, and in a few colours so that its file is small.

    The colours are given, for those that count cover little and a choice by area would lose them.
    """
    import PIL.Image

    ramp = tint(np.linspace(0, 1, 22))
    blends = [
        np.outer(1 - part, NIGHT) + np.outer(part, colour) for colour in _NAMED for part in [np.linspace(0.4, 1, 4)]
    ]
    halos = 0.72 * ramp[::4] + 0.28 * np.array(HALO)
    colours = np.concatenate([ramp, *blends, halos])
    palette = PIL.Image.new("P", (1, 1))
    palette.putpalette(np.resize(colours.round().astype(np.uint8), (256, 3)).tobytes())
    height = round(picture.height * width / picture.width)
    small = picture.convert("RGB").resize((width, height), PIL.Image.Resampling.LANCZOS)
    return small.quantize(palette=palette, dither=PIL.Image.Dither.NONE)
