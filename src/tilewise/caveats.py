"""What a user should know of a plan before it runs: how far tiles equal the whole, and what was chosen for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewise.descriptions.agree import list_oddities
from tilewise.geometry import Samples
from tilewise.precedence import options_of
from tilewise.steps import Step
from tilewise.turns import list_turns

if TYPE_CHECKING:
    from tilewise.descriptions.contract import Contract
    from tilewise.geometry import Grid, Index
    from tilewise.model import ModelSpec
    from tilewise.openers.spec import ImageSpec
    from tilewise.settings import Asked, Pixels, Results
    from tilewise.tiling import Tiling


def judge(model: ModelSpec, tiling: Tiling) -> tuple[str, str]:
    """Verdict and reason: the model's own, unless the halo is smaller than its reach."""
    if tiling.bounded and model.exact:
        return "bounded", f"the halo {list(tiling.halo)} is smaller than the model's reach {list(model.radius or ())}"
    return model.verdict, model.reason


def leaves_declared(model: ModelSpec, tile: Index) -> bool:
    """True if the model runs at a size other than its declared one."""
    return model.declared_size is not None and tile != model.declared_size


def note(model: ModelSpec, tiling: Tiling, grid: Grid, pixels: Pixels, halo: object) -> tuple[str, ...]:
    """Lines for the reader of a plan."""
    notes = [tiling.note] if tiling.note else []
    if isinstance(halo, float):
        notes = [f"the smallest halo with an error of at most {halo:g} is measured on the image when the run starts"]
    if leaves_declared(model, tuple(a.tile for a in tiling.axes)):
        tile = [a.tile for a in tiling.axes]
        notes.append(
            f"the model declares {list(model.declared_size or ())}; a probe showed that it runs as well at {tile}"
        )
    vectors = any(isinstance(a, Samples) for a in tiling.axes)
    padded = [(a.size, a.padded) for a in tiling.axes if a.padded - a.size >= (1 if vectors else a.multiple)]
    if vectors:
        notes += [f"the last tiles reach over the image, which is padded from {n} to {p} pixels" for n, p in padded]
    elif padded:
        notes.append(f"the image is smaller than the tile and is padded from {padded[0][0]} to {padded[0][1]} pixels")
    if any(model.lead) or any(model.trail):
        notes.append(
            f"the model's output is smaller than its input: the image is padded by {list(model.lead)} in front"
        )
    if pixels.normalization.kind != "none" and pixels.normalization.scope == "tile" and grid.tiles > 1:
        notes.append("--scope tile normalizes each tile by itself: expect seams; --scope image has none")
    # a vector is told of its tile by design
    if model.verdict in {"dependent", "unproven"} and grid.tiles > 1 and not vectors:
        notes.append(f"tiles may differ from an untiled run ({model.verdict}): {model.reason}")
    notes += [f"the output '{name}' is left out ({why}): --output-name chooses it" for name, why in model.left_out]
    return tuple(notes)


def note_freezing(asked: Asked, tiles: int) -> tuple[str, ...]:
    """A line about statistics of the whole image that are put into the network before it runs."""
    mode = asked.graph.freeze_norms
    if mode == "none":
        return ()
    if mode == "exact":
        cost = f"before the run, a pass over all {tiles} tiles for each normalization or pooling over the image"
        return (f"--freeze-norms exact: {cost}; tile, halo and verdict are settled after them",)
    taken = "from 16 blocks, a preview" if mode == "sample" else f"from {mode}"
    return (f"--freeze-norms: statistics {taken}; tile, halo and verdict are settled once the network is frozen",)


def note_turns(results: Results, spatial: str) -> tuple[str, ...]:
    """A line about what flips and turns cost."""
    if not results.turned:
        return ()
    return (f"each tile is computed {len(list_turns(results, spatial))} times, flipped and turned, and averaged",)


def note_view(image: ImageSpec, pixels: Pixels) -> tuple[str, ...]:
    """Lines about what of the stored image is read."""
    if not pixels.pixel_size:
        return ()
    size = " x ".join(f"{s:.4g}" for a, s in zip(image.axes, image.scale, strict=True) if a in "zyx")
    unit = next((u for a, u in zip(image.axes, image.units, strict=True) if a == "x"), None) or ""
    how = f"level {image.level} has pixels of {size} {unit}".rstrip()
    if image.view is None or all(f == 1 for f in image.view.factor):
        return (how,)
    factors = ", ".join(f"{a} by {1 / f:.4g}" for a, f in zip(image.axes, image.view.factor, strict=True) if f != 1)
    return (f"level {image.level} is scaled on the fly ({factors}) to pixels of {size} {unit}".rstrip(),)


def note_contract(
    contract: Contract, image: ImageSpec, model: ModelSpec, spatial: str, tiling: Tiling, asked: Asked
) -> tuple[str, ...]:
    """Lines about what the model says of itself and does not hold here."""
    if asked.graph.contract == "ignore":
        return ()
    notes = _followed(asked) + list_oddities(
        contract, tuple(axis.tile for axis in tiling.axes), model, bounded=tiling.bounded
    )
    wanted, sizes = contract.pixel_size, _micrometres(image, spatial)
    if wanted is None or sizes is None:
        return notes
    made_for = wanted if len(wanted) == len(spatial) else (*sizes[: len(spatial) - 2], wanted[0], wanted[0])
    if all(abs(a / b - 1) <= NEAR for a, b in zip(sizes, made_for, strict=True)):
        return notes
    told = [" x ".join(f"{size:.4g}" for size in one) for one in (made_for, sizes)]
    words = (
        f"the model was made for pixels of {told[0]} micrometer, the image has {told[1]}: "
        f"--pixel-size {','.join(f'{size:.4g}' for size in made_for)} finds the fitting level"
    )
    return (*notes, words)


def _followed(asked: Asked) -> tuple[str, ...]:
    """What would be otherwise without the model's contract, a line for each description; layouts are the graph's."""
    origins, told = dict(asked.origins), dict[str, list[str]]()
    for name, value, default in options_of(asked):
        if origins.get(name, "").startswith("contract") and value != default and not name.endswith("layout"):
            told.setdefault(origins[name], []).append(f"{name} {_short(value)}")
    return tuple(f"{origin} says {'; '.join(words)}" for origin, words in told.items())


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_short, value))
    if isinstance(value, Step):
        return value.kind
    return f"{value:g}" if isinstance(value, float) else str(value)


NEAR = 0.1
"""Pixel sizes that differ by no more than this part are the same to a model."""

UNITS = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6, "angstrom": 1e-4}
"""Micrometres."""


def _micrometres(image: ImageSpec, spatial: str) -> tuple[float, ...] | None:
    """Size of a pixel along the axes that the model sees, if the image says it."""
    known = {a: (s, u) for a, s, u in zip(image.axes, image.scale, image.units, strict=True)}
    if not all(known[a][1] in UNITS for a in spatial):
        return None
    return tuple(known[a][0] * UNITS[known[a][1] or ""] for a in spatial)
