"""One vector a tile: how large tiles are where the user leaves it to us, and how far they are apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewise.errors import ModelError, SettingError
from tilewise.geometry import Samples, round_up
from tilewise.tiling import Tiling, check_tile, spread

if TYPE_CHECKING:
    from tilewise.geometry import Index
    from tilewise.model import ModelSpec
    from tilewise.settings import Cut

SIDES = {2: 256, 3: 64}
"""Tile side for a model that takes any size and declares none: a guess, and said."""


def gives_vectors(model: ModelSpec) -> bool:
    """True if each output gives one vector a tile.

    Raises:
        ModelError: some do and others are images: they cannot share a cut.
    """
    flat = [port.name for port in model.written if not set(port.layout) & set("DHW")]
    if flat and len(flat) < len(model.written):
        images = [port.name for port in model.written if port.name not in flat]
        raise ModelError(
            f"a model of images ({', '.join(images)}) and of vectors ({', '.join(flat)})",
            "outputs of one kind in a run: an image slides its tiles, a vector does not",
            f"Choose one with --output-name, for example --output-name {images[0]}.",
        )
    return bool(flat)


def refuse_stride(cut: Cut) -> None:
    """Refuse a stride for a model that gives an image."""
    if cut.stride is not None:
        raise SettingError(
            f"--stride {_show(cut.stride)} with a model that gives an image",
            "--stride only with models that give one vector a tile",
            "Leave --stride out; --halo sets how far tiles overlap.",
        )


def sample(shape: Index, model: ModelSpec, cut: Cut) -> Tiling:
    """Settle tile and stride.

    Args:
        shape: the image along the axes that the model sees.
        model: what the model takes.
        cut: what the user asked for.
    """
    _refuse_halo(cut)
    ndim = model.spatial_ndim
    tile, note = _tile(shape, model, cut)
    stride = tile if cut.stride is None else spread("--stride", cut.stride, ndim)
    axes = tuple(Samples(size=n, tile=t, step=s) for n, t, s in zip(shape, tile, stride, strict=True))
    return Tiling(axes, (0,) * ndim, bounded=False, note=note)


def _tile(shape: Index, model: ModelSpec, cut: Cut) -> tuple[Index, str | None]:
    if cut.tile != "auto":
        asked = spread("--tile", cut.tile, model.spatial_ndim)
        if asked != model.declared_size:
            check_tile(model, asked)
        return asked, None
    declared = model.fixed_size or model.declared_size
    if declared is not None:
        return declared, None
    side = SIDES[model.spatial_ndim]
    tile = tuple(round_up(min(side, n), m) for n, m in zip(shape, model.multiple, strict=True))
    return tile, f"the model takes tiles of any size, and {list(tile)} is a guess: --tile sets what it was trained on"


def _refuse_halo(cut: Cut) -> None:
    for option, value in (("--halo", cut.halo), ("--overlap", cut.overlap)):
        numbers = value if isinstance(value, tuple) else (value,)
        # a resumed run brings back the zeros of its record
        if any(n not in {"auto", "exact", None, 0} for n in numbers):
            raise SettingError(
                f"{option} {_show(value)} with a model that gives one vector a tile",
                "no halo (nothing is trimmed)",
                "Leave it out; --stride sets how far apart tiles start.",
            )


def _show(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
