"""What a user should know of a plan before it runs: how far tiles equal the whole, and what was chosen for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewise.geometry import Samples

if TYPE_CHECKING:
    from tilewise.geometry import Grid, Index
    from tilewise.model import ModelSpec
    from tilewise.openers.spec import ImageSpec
    from tilewise.settings import Pixels
    from tilewise.tiling import Tiling


def judge(model: ModelSpec, tiling: Tiling) -> tuple[str, str]:
    """Verdict and reason: the model's own, unless the halo is smaller than its reach."""
    if tiling.bounded and model.exact:
        return "bounded", f"the halo {list(tiling.halo)} is smaller than the model's reach {list(model.radius or ())}"
    return model.verdict, model.reason


def leaves_declared(model: ModelSpec, tile: Index) -> bool:
    """True if the model runs at a size other than its declared one."""
    return model.declared_size is not None and tile != model.declared_size


def note(model: ModelSpec, tiling: Tiling, grid: Grid, pixels: Pixels) -> tuple[str, ...]:
    """Lines for the reader of a plan."""
    notes = [tiling.note] if tiling.note else []
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
