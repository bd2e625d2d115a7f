"""What fixes the pixels of an output, so that the same command resumes it and another one is refused."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from tilewise.geometry import Samples
from tilewise.record import NOTES, SAMPLE
from tilewise.source import sample_pixels
from tilewise.versions import versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tilewise.model import ModelSpec
    from tilewise.openers.spec import ImageSpec
    from tilewise.plans import Plan
    from tilewise.settings import Cut


def record_of(plan: Plan, device: str) -> dict[str, Any]:
    """All that fixes the pixels of an output, and notes that inform but are never compared."""
    image, model, recipe, known = plan.image, plan.model, plan.recipe, versions()
    return {
        "image": {
            "fingerprint": image.fingerprint,
            "level": image.level,
            "axes": image.axes,
            "region": region_of(image),
            "scaled": [1.0] * len(image.axes) if image.view is None else list(image.view.factor),
            SAMPLE: sample_pixels(image),
        },
        "model": {
            "sha256": model.sha256,
            "output_name": _name_outputs(model),
            "layout": model.layout,
            "output_layout": "; ".join(port.layout for port in model.written),
            "constants": [list(pair) for pair in model.constants],
            "freed": plan.freed,
        },
        "mask": "none" if plan.mask is None else {"sha256": plan.mask.digest},
        "channels": list(plan.channels),
        "neighbours": None if plan.asked.pixels.neighbours is None else list(plan.asked.pixels.neighbours),
        "tile": list(plan.tile),
        "halo": list(plan.halo),
        "tolerance": plan.asked.cut.halo if isinstance(plan.asked.cut.halo, float) else None,
        "stride": [axis.step for axis in plan.grid.axes[plan.lead :] if isinstance(axis, Samples)],
        "block": list(plan.blocks.shape[plan.lead :]),
        "batch": recipe.batch,
        "pad": recipe.pad,
        "normalize": asdict(recipe.normalization),
        "results": asdict(recipe.results),
        "device": device.partition(":")[0],
        "versions": {"tilewise": known.tilewise, "onnxruntime": known.onnxruntime},
        NOTES: {
            # what a block does with odd pixels never changes those that it writes: a resume may ask otherwise
            "nan": plan.behaviour.nan,
            "missing": plan.behaviour.missing,
            "image": image.path,
            "mask": None if plan.mask is None else plan.mask.how,
            "model": model.path,
            "verdict": plan.verdict,
            "reason": plan.reason,
            "processor": known.processor,
            "certificate": asdict(model.certificate),
            "settings": {s.name: {"value": s.value, "from": s.origin} for s in plan.settings},
        },
    }


def region_of(image: ImageSpec) -> str:
    """Which part of the stored image counts, as it is typed."""
    view = image.view
    if view is None or image.shape == view.size:
        return "all"
    ranges = zip(image.axes, view.origin, image.shape, view.size, strict=True)
    return ",".join(f"{axis}={a}:{a + n}" for axis, a, n, size in ranges if n != size)


def recorded_cut(cut: Cut, record: Mapping[str, Any] | None, model: ModelSpec) -> Cut:
    """What an earlier run settled takes the place of auto: free memory may be another today."""
    if record is None or not _is_of(record.get("model"), model):
        return cut
    settled: dict[str, Any] = {}
    for name in ("tile", "block", "batch"):
        if getattr(cut, name) == "auto" and name in record:
            value = record[name]
            settled[name] = tuple(value) if isinstance(value, list) else value
    if cut.halo == "auto" and cut.overlap is None and "halo" in record:
        settled["halo"] = tuple(record["halo"])
    return replace(cut, **settled)


def _is_of(record: Any, model: ModelSpec) -> bool:
    """True if it is this model and these outputs of it: what was settled for another may not fit."""
    wanted = {"sha256": model.sha256, "output_name": _name_outputs(model)}
    return isinstance(record, dict) and wanted.items() <= record.items()


def _name_outputs(model: ModelSpec) -> str:
    return "; ".join(port.name for port in model.written)
