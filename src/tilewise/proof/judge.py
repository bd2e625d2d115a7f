"""From notes, probes and certificate to a verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilewise.proof.certificate import certify, pixels, shift
from tilewise.proof.probe import Felt, cut_noise, spread_nan
from tilewise.proof.runner import LateError, RunError, space

if TYPE_CHECKING:
    from tilewise.proof.choice import Choice
    from tilewise.proof.explore import Explored
    from tilewise.proof.geometry import Frame
    from tilewise.proof.runner import Runner
    from tilewise.spec import Verdict

PROOF_SECONDS = 60.0
"""For the certificate and the probes together; what would take longer is skipped, and said."""
CONSTANT = "skipped: the output is constant on noise"
"""Nothing can be told from an output that never changes."""
SHIFTED = "shifted windows compared"
"""What a certificate is for a graph of one size."""
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


def gather(
    runner: Runner,
    linear: Runner | None,
    frame: Frame,
    layout: str,
    sizes: tuple[int, ...],
    *,
    seconds: float = PROOF_SECONDS,
) -> Evidence:
    """Certify and probe a model that the walk calls local, as far as the seconds go; the certificate comes first."""
    end = min(time.monotonic() + seconds, runner.clock.end)
    # a run that does not end by then costs the certificate, not the inspection
    clock = replace(runner.clock, end=end)
    runner = replace(runner, clock=clock)
    linear = linear and replace(linear, clock=clock)
    felt: list[Felt] = []
    try:
        if not runner.enliven(sizes):
            return Evidence((), CONSTANT)
        cost = clock.cost(pixels(frame))
        evidence = _compared(runner, frame, layout, cost, end)
        # the linear copy takes about as long as the certificate, the cuts half of it
        if linear is not None and time.monotonic() + cost < end:
            felt += spread_nan(linear, frame, layout)
        if frame.fixed is None and time.monotonic() + cost / 2 < end:
            felt += cut_noise(runner, frame, layout)
    except LateError:
        return Evidence(tuple(felt), "skipped: a run did not end in time")
    except MemoryError:
        return Evidence(tuple(felt), "skipped: it would take more memory than there is")
    except (RunError, ValueError) as error:
        # a claim of the walk that makes no grid is as good as refuted
        return Evidence(tuple(felt), "failed", failure=str(error))
    return replace(evidence, felt=tuple(felt))


def _compared(runner: Runner, frame: Frame, layout: str, cost: float, end: float) -> Evidence:
    """Tiled against untiled; for one fixed size, windows against each other."""
    if time.monotonic() + cost > end:
        return Evidence((), f"skipped: it would take some {cost:.0f} s")
    if frame.fixed is None:
        made = certify(runner, frame, layout)
        return Evidence((), "passed" if made.difference <= ROUNDING else "failed", made.difference, made.tile)
    found = shift(runner, frame, layout)
    if found is None:
        return Evidence((), "skipped: a tile of the fixed size has no place that feels no cut")
    return Evidence((), SHIFTED, found.difference, found.tile)


def judge(explored: Explored, choice: Choice, evidence: Evidence) -> tuple[Verdict, str]:
    """The verdict, and the operator or the check behind it."""
    dependent = [note for note in explored.notes if note.kind == "dependent"]
    unproven = [note for note in explored.notes if note.kind == "unproven"]
    rounding = [note for note in explored.notes if note.kind == "rounding"]
    if choice.layout == "NC":
        return _judge_vector(explored)
    if dependent:
        return "dependent", str(dependent[0])
    if unproven:
        return "unproven", str(unproven[0])
    if choice.guessed:
        return "unproven", choice.guessed
    if evidence.failure:
        return "unproven", f"a probe failed: {evidence.failure}"
    return _measured(evidence, [str(note) for note in rounding], space(choice.layout))


def uncontested(explored: Explored, choice: Choice, evidence: Evidence) -> bool:
    """True if the walk found a reach and no run was there to contradict it: a halo to start from, if no proof."""
    clean = all(note.kind == "rounding" for note in explored.notes)
    return clean and not choice.guessed and not evidence.failure and evidence.status.startswith("skipped")


def _judge_vector(explored: Explored) -> tuple[Verdict, str]:
    """Every tile is a whole image to the model: only chance could make it differ."""
    chance = [note for note in explored.notes if "random" in note.why]
    if chance:
        return "dependent", str(chance[0])
    return "exact", "one vector a tile, each from its tile alone"


def _measured(evidence: Evidence, rounding: list[str], letters: str) -> tuple[Verdict, str]:
    worst = max(evidence.felt, key=lambda felt: felt.beyond, default=None)
    if worst is not None and worst.beyond > ROUNDING:
        where = f"{worst.side} {letters[worst.axis]}"
        return "unproven", f"a cut is felt {worst.need} px {where}, farther than the graph tells ({worst.kind} probe)"
    if evidence.difference is not None and evidence.difference > ROUNDING:
        return "unproven", f"tiled and untiled differ by {evidence.difference:.1e} of the range on noise"
    if evidence.difference is None:
        # exact is certified on this machine before it is claimed
        return "unproven", f"all operators are local, but there is no certificate: {evidence.status}"
    if rounding:
        return "exact to rounding", rounding[0]
    largest = max(evidence.difference or 0.0, worst.beyond if worst else 0.0)
    if largest > 0:
        return "exact to rounding", f"tiled and untiled differ by {largest:.1e} of the range on noise"
    if evidence.status == SHIFTED:
        return "exact", "all operators are local; shifted windows are equal where neither feels a cut, difference 0"
    return "exact", "all operators are local; tiled equals untiled on noise, difference 0"
