"""From notes, probes and certificate to a verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilewise.proof.certificate import certify, pixels, shift
from tilewise.proof.probe import Felt, cut_noise, spread_nan
from tilewise.proof.runner import RunError, space

if TYPE_CHECKING:
    from tilewise.proof.choice import Choice
    from tilewise.proof.explore import Explored
    from tilewise.proof.geometry import Frame
    from tilewise.proof.runner import Clock, Runner
    from tilewise.spec import Verdict

CERTIFICATE_SECONDS = 20.0
"""The certificate is skipped if it would take longer."""
CONSTANT = "skipped: the output is constant on noise"
"""Nothing can be told from an output that never changes."""
ROUNDING = 1e-5
"""Of the output's range: what may be called rounding, where the walk is clean."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What running the model told."""

    felt: tuple[Felt, ...] = ()
    """Cuts and NaN, per axis and side."""
    status: str = "skipped: the model is not local"
    """Of the certificate."""
    difference: float | None = None
    """Largest, tiled against untiled, as a fraction of the range; infinite for NaN on one side only."""
    tile: tuple[int, ...] | None = None
    """Of the certificate."""
    failure: str = ""
    """Why the probes could not be run."""

    @property
    def probes(self) -> tuple[str, ...]:
        """In words."""
        return tuple(f"{felt.kind} {felt.side} axis {felt.axis}: felt {felt.need} px" for felt in self.felt)


def gather(runner: Runner, linear: Runner | None, frame: Frame, layout: str, clock: Clock) -> Evidence:
    """Probe and certify a model that the walk calls local."""
    felt: list[Felt] = []
    try:
        lively = runner.enliven(frame.along(0, frame.small(0)))
        if frame.fixed is None and clock.cost(pixels(frame)) < min(CERTIFICATE_SECONDS, clock.left() / 2):
            felt += cut_noise(runner, frame, layout)
        if linear is not None and clock.cost(pixels(frame)) < clock.left() / 3:
            felt += spread_nan(linear, frame, layout)
        evidence = Evidence(tuple(felt), CONSTANT)
        if not lively:
            return evidence
        if frame.fixed is None:
            return _certified(evidence, runner, frame, layout, clock)
        found = shift(runner, frame, layout)
    except RunError as error:
        return Evidence(tuple(felt), "failed", failure=str(error))
    if found is None:
        return replace(evidence, status="skipped: a tile of the fixed size has no place that feels no cut")
    return replace(evidence, status="shifted windows compared", difference=found.difference, tile=found.tile)


def _certified(evidence: Evidence, runner: Runner, frame: Frame, layout: str, clock: Clock) -> Evidence:
    seconds = clock.cost(pixels(frame))
    if seconds > min(CERTIFICATE_SECONDS, clock.left() / 2):
        return replace(evidence, status=f"skipped: it would take some {seconds:.0f} s")
    found = certify(runner, frame, layout)
    return replace(evidence, status="passed", difference=found.difference, tile=found.tile)


def judge(explored: Explored, choice: Choice, evidence: Evidence) -> tuple[Verdict, str]:
    """The verdict, and the operator or the check behind it."""
    dependent = [note for note in explored.notes if note.kind == "dependent"]
    unproven = [note for note in explored.notes if note.kind == "unproven"]
    rounding = [note for note in explored.notes if note.kind == "rounding"]
    if choice.layout == "NC":
        cause = f"; {dependent[0]}" if dependent else ""
        return "dependent", f"one vector a tile: the output '{choice.name}' has no spatial axes{cause}"
    if dependent:
        return "dependent", str(dependent[0])
    if unproven:
        return "unproven", str(unproven[0])
    if choice.guessed:
        return "unproven", choice.guessed
    if evidence.failure:
        return "unproven", f"a probe failed: {evidence.failure}"
    return _measured(evidence, [str(note) for note in rounding], space(choice.layout))


def _measured(evidence: Evidence, rounding: list[str], letters: str) -> tuple[Verdict, str]:
    worst = max(evidence.felt, key=lambda felt: felt.beyond, default=None)
    if worst is not None and worst.beyond > ROUNDING:
        where = f"{worst.side} {letters[worst.axis]}"
        return "unproven", f"a cut is felt {worst.need} px {where}, farther than the graph tells ({worst.kind} probe)"
    if evidence.difference is not None and evidence.difference > ROUNDING:
        return "unproven", f"tiled and untiled differ by {evidence.difference:.1e} of the range on noise"
    if rounding:
        return "exact to rounding", rounding[0]
    largest = max(evidence.difference or 0.0, worst.beyond if worst else 0.0)
    if largest > 0:
        return "exact to rounding", f"tiled and untiled differ by {largest:.1e} of the range on noise"
    if evidence.difference is None:
        return "exact", f"all operators are local; certificate {evidence.status}"
    return "exact", "all operators are local; tiled equals untiled on noise, difference 0"
