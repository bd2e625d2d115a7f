"""How large tile and halo are where the user leaves it to us: exact if that is affordable, always within memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilewise.errors import SettingError
from tilewise.geometry import Axis, Grid, Index, round_down, round_up

if TYPE_CHECKING:
    from tilewise.geometry import AnyAxis
    from tilewise.model import ModelSpec
    from tilewise.settings import Cut, Sizes

MASKED = {2: 512**2, 3: 128**3}
"""Pixels of a tile that auto takes under a mask: a larger one is rarely without any tissue."""

SIDES = {2: (256, 384, 512, 768, 1024, 1536, 2048), 3: (64, 96, 128, 160, 192, 256)}
"""Tile sides that ``auto`` tries, smallest first."""

WIDEST = {2: 1024, 3: 128}
"""The largest side that auto takes where tiles change the result: attention over more takes memory by its square."""

NEARLY = 1.1
"""A smaller tile that computes at most this many times the pixels of the best one is preferred."""

AFFORDABLE = 4.0
"""The exact halo is taken if no more pixels than this are computed per pixel kept."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """The cut of the axes that the model sees."""

    axes: tuple[AnyAxis, ...]
    """One an axis, in order (z) y x."""
    halo: Index
    """Context kept, per axis, even where one tile spans the axis."""
    bounded: bool
    """True if the halo is smaller than the model's reach."""
    note: str | None
    """What a reader of the plan should know of the choice."""


def choose(
    shape: Index, model: ModelSpec, cut: Cut, budget: int, bytes_per_pixel: float, *, masked: bool = False
) -> Tiling:
    """Settle tile and halo.

    Args:
        shape: the image along the axes that the model sees.
        model: what the model takes.
        cut: what the user asked for.
        budget: bytes that one batch may take within the model.
        bytes_per_pixel: of one tile within the model.
        masked: true where tiles may be skipped: auto takes smaller ones, if that does not cost the exact halo.
    """
    if masked and cut.tile == "auto":
        small = choose(shape, model, cut, min(budget, int(MASKED[len(shape)] * bytes_per_pixel)), bytes_per_pixel)
        if not small.bounded:
            return small
    halo, note = _asked_halo(model, cut)
    tiles = _asked_tiles(shape, model, cut, halo, budget, bytes_per_pixel)
    if halo is not None:
        tile = _best(shape, model, tiles, halo)
        _require_core(model, tile, halo)
        return _tiling(shape, model, tile, halo, note)
    exact = model.halo
    if exact is not None:
        affordable = [t for t in tiles if _fits(shape, model, t, exact)]
        if affordable:
            tile = _best(shape, model, affordable, exact)
            if _price(_axes(shape, model, tile, exact)) <= AFFORDABLE:
                return _tiling(shape, model, tile, exact, None)
    tile = _best(shape, model, tiles, (0,) * len(shape)) if exact is not None else _widest(model, tiles)
    share = 4 if exact is not None else 8
    # at least one multiple, if half of the tile is left: tiles side by side show their seams
    pairs = zip(tile, model.multiple, strict=True)
    smaller = tuple(round_down(t // share, m) or m * (4 * m <= t) for t, m in pairs)
    if exact is not None:
        smaller = tuple(min(a, b) for a, b in zip(smaller, exact, strict=True))
        if smaller != exact:
            note = (
                f"the exact halo {list(exact)} would compute more than {AFFORDABLE:g} pixels per pixel kept with tiles "
                f"of {list(tile)}: --halo exact insists, a larger --tile makes it cheaper"
            )
    _require_core(model, tile, smaller)
    return _tiling(shape, model, tile, smaller, note)


def cut_axis(size: int, tile: int, halo: int, model: ModelSpec, axis: int) -> Axis:
    """The cut of one axis; a tile that reaches over the image is clipped, or kept where the model's size is fixed."""
    lead, trail, multiple = model.lead[axis], model.trail[axis], model.multiple[axis]
    lost, scale = lead + trail, model.scale[axis]
    if model.fixed_size is None:
        # the smallest length on the model's grid that covers the image
        tile = min(tile, size + (tile - lost - size) % multiple + lost)
    whole = Axis(size=size, tile=tile, multiple=multiple, before=lead, after=trail, lead=lead, trail=trail, scale=scale)
    if whole.whole:
        return whole
    before = lead + round_up(max(halo - lead, 0), multiple)
    return replace(whole, before=before, after=max(halo, trail))


def _asked_halo(model: ModelSpec, cut: Cut) -> tuple[Index | None, str | None]:
    """The halo that was asked for, rounded up to M, or None if it is ours to choose."""
    ndim = model.spatial_ndim
    if any(model.lead) or any(model.trail):
        reach = model.halo or (0,) * ndim
        return tuple(max(h, a, b) for h, a, b in zip(reach, model.lead, model.trail, strict=True)), None
    asked: Sizes | float | str = cut.halo
    if cut.overlap is not None:
        asked = tuple(-(-o // 2) for o in spread("--overlap", cut.overlap, ndim))
    if asked == "auto":
        return None, None
    if asked == "exact":
        if model.halo is None:
            raise SettingError(
                "--halo exact",
                f"a model with a finite reach ({model.reason})",
                "Use --halo auto, or a number of pixels.",
            )
        return model.halo, None
    if isinstance(asked, float):
        # measured when a run starts: until then it counts as ours to choose
        return None, None
    wanted = spread("--halo", asked, ndim)
    if any(h < 0 for h in wanted):
        raise SettingError(f"--halo {asked}", "no negative number", "Give pixels, auto or exact.")
    halo = tuple(round_up(h, m) for h, m in zip(wanted, model.multiple, strict=True))
    rounded = f"halo {list(wanted)} rounded up to {list(halo)}, a multiple of {list(model.multiple)}"
    return halo, rounded if halo != wanted else None


def _asked_tiles(
    shape: Index, model: ModelSpec, cut: Cut, halo: Index | None, budget: int, bytes_per_pixel: float
) -> list[Index]:
    """The tile that was asked for or that the model insists on, or all that ``auto`` may choose from."""
    ndim = model.spatial_ndim
    if cut.tile != "auto":
        asked = spread("--tile", cut.tile, ndim)
        check_tile(model, asked)
        return [asked]
    if model.fixed_size is not None:
        return [model.fixed_size]
    need = halo or model.halo or (0,) * ndim
    least = [max(9 * m, 2 * h + m) for h, m in zip(need, model.multiple, strict=True)]
    sides = [
        tuple(round_up(side - r, m) + r for m, r in zip(model.multiple, model.remainder, strict=True))
        for side in SIDES[ndim]
    ]
    clipped = [tuple(axis.tile for axis in _axes(shape, model, side, (0,) * ndim)) for side in sides]
    fitting = [t for t in clipped if math.prod(t) * bytes_per_pixel <= budget]
    # a tile too small for the coarsest map, or for the halo, is only taken where memory leaves no other
    large = [t for t in fitting if all(a >= b or a >= n for a, b, n in zip(t, least, shape, strict=True))]
    return large or fitting[-1:] or clipped[:1]


def check_tile(model: ModelSpec, tile: Index) -> None:
    """Refuse a tile that the model cannot take, naming the nearest sizes that it can."""
    if model.fixed_size is not None and tile != model.fixed_size:
        raise SettingError(
            f"--tile {','.join(map(str, tile))}",
            f"the model's fixed size {list(model.fixed_size)}",
            "Leave --tile out, or export the model with free sizes.",
        )
    if model.fixed_size is not None:
        return
    lost = [a + b for a, b in zip(model.lead, model.trail, strict=True)]
    for t, m, r, d in zip(tile, model.multiple, model.remainder, lost, strict=True):
        if (t - r) % m == 0 and t > d:
            continue
        high = max(round_up(t - r, m) + r, round_up(d + 1 - r, m) + r)
        low = round_down(t - r, m) + r
        raise SettingError(
            f"--tile {','.join(map(str, tile))}",
            f"a multiple of {m}" + (f" plus {r}" if r else "") + (f" above {d}" if d else "") + f" ({t} is none)",
            f"The nearest sizes are {f'{low} and {high}' if low > d else high}.",
        )


def spread(option: str, value: Sizes | str, ndim: int) -> Index:
    """One number for all axes, or one an axis."""
    if isinstance(value, int):
        return (value,) * ndim
    if isinstance(value, tuple) and len(value) == ndim:
        return value
    given = ",".join(map(str, value)) if isinstance(value, tuple) else value
    example = "64,256,256" if ndim == 3 else "256,256"
    raise SettingError(
        f"{option} {given}",
        f"one number, or {ndim} in order ({'z,' * (ndim - 2)}y,x)",
        f"For example {option} {example}.",
    )


def _require_core(model: ModelSpec, tile: Index, halo: Index) -> None:
    for t, h, m, a, b in zip(tile, halo, model.multiple, model.lead, model.trail, strict=True):
        context = max(h, a) + max(h, b)
        if t - context < m:
            raise SettingError(
                f"a tile of {list(tile)} with a halo of {list(halo)}",
                f"room for a core of at least {m} pixels between the halos",
                f"Use --tile {round_up(context + m, m)} or more, or a smaller --halo.",
            )


def _fits(shape: Index, model: ModelSpec, tile: Index, halo: Index) -> bool:
    """True if a core is left on every axis that takes more than one tile."""
    try:
        _axes(shape, model, tile, halo)
    except ValueError:
        return False
    return True


def _axes(shape: Index, model: ModelSpec, tile: Index, halo: Index) -> tuple[Axis, ...]:
    return tuple(cut_axis(n, t, h, model, k) for k, (n, t, h) in enumerate(zip(shape, tile, halo, strict=True)))


def _price(axes: tuple[Axis, ...]) -> float:
    """Pixels computed per pixel of the padded image: padding a small image to the grid is not the halo's fault."""
    return math.prod(axis.count * axis.tile / axis.padded for axis in axes)


def _best(shape: Index, model: ModelSpec, tiles: list[Index], halo: Index) -> Index:
    """The smallest tile that computes nearly as few pixels as the best."""
    if len(tiles) == 1:
        return tiles[0]
    costs = {t: Grid(_axes(shape, model, t, halo)).redundancy for t in tiles if _fits(shape, model, t, halo)}
    if not costs:
        return tiles[-1]
    least = min(costs.values())
    return next(t for t in tiles if costs.get(t, math.inf) <= NEARLY * least)


def _widest(model: ModelSpec, tiles: list[Index]) -> Index:
    """Where tiles change the result, the largest is nearest to the whole, and none smaller than declared."""
    most = [max(WIDEST[model.spatial_ndim], n) for n in model.declared_size or (0,) * model.spatial_ndim]
    fitting = [t for t in tiles if all(n <= d for n, d in zip(t, most, strict=True))]
    return (fitting or tiles)[-1]


def _tiling(shape: Index, model: ModelSpec, tile: Index, halo: Index, note: str | None) -> Tiling:
    axes = _axes(shape, model, tile, halo)
    exact = model.halo
    bounded = exact is not None and any(axis.count > 1 and h < e for axis, h, e in zip(axes, halo, exact, strict=True))
    return Tiling(axes, halo, bounded, note)
