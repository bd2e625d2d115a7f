"""From all that was found to the model spec."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewise import receptive, splice
from tilewise.proof.judge import Evidence, judge, uncontested
from tilewise.proof.liveness import live_bytes
from tilewise.proof.prepared import narrow
from tilewise.spec import Certificate, ModelSpec, Tensor, Verdict
from tilewise.spec import Port as Written

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

    from tilewise.proof.choice import Choice, Selection
    from tilewise.proof.explore import Explored
    from tilewise.proof.prepared import Prepared
    from tilewise.proof.signature import Port
    from tilewise.settings import Graph

ORDER: tuple[Verdict, ...] = ("exact", "exact to rounding", "unproven", "dependent")
"""From the best to the worst."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that an inspection found."""

    path: Path
    """The file."""
    settings: Graph
    """What was told."""
    inputs: tuple[Port, ...]
    """As declared."""
    outputs: tuple[Port, ...]
    """As declared."""
    image: Port
    """The input that takes the image."""
    explored: Explored
    """What the walk told, of the chosen outputs only."""
    selection: Selection
    """The outputs."""
    evidence: tuple[Evidence, ...]
    """Of each chosen output."""
    prepared: Prepared
    """The graph that workers run."""
    made: tuple[np.ndarray, ...]
    """What it gives for noise."""
    fixed: tuple[int, ...] | None
    """The only size, if there is one."""
    multiple: tuple[int, ...]
    """M, before scales."""
    declared: tuple[int, ...] | None
    """What the file declares."""
    batch: int | None
    """The only batch, if there is one."""


def summarise(found: Findings) -> ModelSpec:
    """The spec; its digest and its versions are filled in by who knows them."""
    explored, choices = found.explored, found.selection.choices
    written = tuple(
        _written(explored, choice, evidence, made)
        for choice, evidence, made in zip(choices, found.evidence, found.made, strict=True)
    )
    first = written[0]
    verdict, reason = _joint(written)
    steps = [found.multiple, *([q.denominator for q in port.scale] for port in written)]
    return ModelSpec(
        path=str(found.path),
        name=found.path.stem,
        sha256="",
        input_name=found.image.name,
        output_name=first.name,
        inputs=tuple(Tensor(port.name, port.dtype, port.dims) for port in found.inputs),
        outputs=tuple(Tensor(port.name, port.dtype, port.dims) for port in found.outputs),
        constants=found.settings.inputs,
        layout=explored.layout,
        output_layout=first.layout,
        spatial_ndim=len(explored.sizes),
        in_channels=explored.channels,
        out_channels=first.out_channels,
        dtype=found.image.dtype,
        out_dtype=first.dtype,
        fixed_size=found.fixed,
        declared_size=found.declared,
        fixed_batch=found.batch,
        multiple=tuple(math.lcm(*of_axis) for of_axis in zip(*steps, strict=True)),
        remainder=tuple(r % m for r, m in zip(explored.remainder, found.multiple, strict=True)),
        before=_largest([port.before for port in written]),
        after=_largest([port.after for port in written]),
        lead=first.lead,
        trail=first.trail,
        scale=first.scale,
        verdict=verdict,
        reason=_with_left_out(reason, found.selection.left_out),
        activation_bytes=live_bytes(
            explored.ops, explored.walk.trace, found.image.name, [choice.name for choice in choices]
        ),
        weight_bytes=sum(int(value.nbytes) for value in splice.numbers(found.prepared.model).values()),
        certificate=_certificate(found.evidence, found.prepared),
        ports=written if len(written) > 1 else (),
        left_out=found.selection.left_out,
    )


def _written(explored: Explored, choice: Choice, evidence: Evidence, made: np.ndarray) -> Written:
    own = narrow(explored, [choice.name])
    verdict, reason = judge(own, choice, evidence)
    bounded = verdict in {"exact", "exact to rounding"} or choice.layout == "NC" or uncontested(own, choice, evidence)
    rank = len(explored.sizes)
    reaches = choice.reaches or (receptive.Reach(receptive.ONE, 0, 0, 0, 0),) * rank
    return Written(
        name=choice.name,
        layout=choice.layout,
        out_channels=_channels(made.shape, choice.layout),
        dtype=made.dtype.name,
        scale=tuple(1 / reach.step for reach in reaches),
        lead=tuple(reach.lead for reach in reaches),
        trail=tuple(reach.trail for reach in reaches),
        before=tuple(reach.before for reach in reaches) if bounded else None,
        after=tuple(reach.after for reach in reaches) if bounded else None,
        verdict=verdict,
        reason=reason,
    )


def _joint(written: Sequence[Written]) -> tuple[Verdict, str]:
    """The worst of them, and whose it is."""
    worst = max(written, key=lambda port: ORDER.index(port.verdict))
    if len(written) == 1:
        return worst.verdict, worst.reason
    return worst.verdict, f"output '{worst.name}': {worst.reason}"


def _largest(reaches: Sequence[tuple[int, ...] | None]) -> tuple[int, ...] | None:
    known = [reach for reach in reaches if reach is not None]
    return tuple(map(max, zip(*known, strict=True))) if len(known) == len(reaches) else None


def _with_left_out(reason: str, left_out: Sequence[tuple[str, str]]) -> str:
    return "; ".join([reason, *(f"output '{name}' is left out: {why}" for name, why in left_out)])


def _certificate(evidence: Sequence[Evidence], prepared: Prepared) -> Certificate:
    """The worst of the outputs' certificates; versions are filled in by the parent."""
    worst = max(evidence, key=lambda e: (e.difference is None, e.difference or 0.0))
    probes = tuple(probe for e in evidence for probe in e.probes)
    return Certificate(worst.status, worst.difference, worst.tile, 1, "", "", "", "", (*prepared.checks, *probes))


def _channels(shape: tuple[int, ...], layout: str) -> int:
    if layout == "NC":
        return math.prod(shape[1:])
    return shape[layout.index("C")] if "C" in layout else 1
