"""Halos held against the exact one: cores at the same places, computed with each of them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tilewise.errors import SettingError, StoppedError, TilewiseError, explain
from tilewise.events import Advanced, Ended, Started, tell
from tilewise.geometry import round_up
from tilewise.planning import decide
from tilewise.spot.core import compute_core
from tilewise.task import find_job, read
from tilewise.wave import drive

if TYPE_CHECKING:
    from distributed import Client

    from tilewise.events import Observer
    from tilewise.geometry import Index
    from tilewise.plans import Plan
    from tilewise.task import Job

CORE = {2: 64, 3: 32}
"""Pixels a side of a core that is tried."""

SPOTS = {2: 16, 3: 4}
"""Cores that are tried: those with most contrast of several times as many."""

LOOKED_AT = 4
"""Cores that are looked at for each that is tried."""

STEPS = 16
"""Halos that are tried, at most."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What one halo costs and saves. The error is that of the scores, or of raw output if that is asked for."""

    halo: tuple[int, ...]
    """Pixels on each side, in order (z) y x."""
    largest: float
    """Largest error over all spots."""
    mean: float
    """Mean error over all spots."""
    redundancy: float | None
    """Pixels computed per pixel kept in a run; None where the run's tile is too small for it."""
    speedup: float | None
    """How many times fewer pixels are computed than with the exact halo."""

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {**asdict(self), "halo": list(self.halo)}


def try_halos(client: Client, job: Job, observers: tuple[Observer, ...] = ()) -> tuple[Trial, ...]:
    """Measure what each smaller halo costs on the image of a job that is handed out, from 0 to the exact one.

    Raises:
        SettingError: the model has no exact halo.
        StoppedError: a spot could not be computed.
    """
    made = job.plan
    halos = list_halos(made)
    plans = {halo: _plan_core(made, halo) for halo in halos}
    spots = _choose_spots(client, job, plans[halos[0]])
    tell(observers, Started("halos", len(spots), 0, 0))
    sums = np.zeros((len(halos), 3))
    with closing(drive(client, measure_halos, "halo", spots, (job.run, tuple(halos)))) as wave:
        for done, landed in enumerate(wave, 1):
            if landed.error is not None:
                raise StoppedError(f"measuring halos: {explain(landed.error)}") from landed.error
            found = np.array(landed.result)
            sums[:, 0] = np.maximum(sums[:, 0], found[:, 0])
            sums[:, 1:] += found[:, 1:]
            tell(observers, Advanced("halos", done, 0, f"spot {landed.number}"))
    tell(observers, Ended("halos", 0.0))
    costs = [_redundancy(made, halo) for halo in halos]
    exact = costs[-1]
    return tuple(
        Trial(halo, float(most), float(total / count), cost, exact / cost if cost and exact else None)
        for halo, (most, total, count), cost in zip(halos, sums, costs, strict=True)
    )


def list_halos(made: Plan) -> list[Index]:
    """Halos to try, rising, the exact one last."""
    model = made.model
    if model.halo is None or model.fixed_size is not None or model.vector:
        raise SettingError(
            f"a tolerance for the halo with {model.path}",
            f"a model of free size with a finite reach ({model.reason})",
            "Use --halo auto, or pixels.",
        )
    steps = min(max((h // m for h, m in zip(model.halo, model.multiple, strict=True)), default=0), STEPS)
    found = [
        tuple(min(round_up(h * k // max(steps, 1), m), h) for h, m in zip(model.halo, model.multiple, strict=True))
        for k in range(steps + 1)
    ]
    return sorted({*found, model.halo})


def measure_halos(run: str, number: int, halos: tuple[Index, ...]) -> list[tuple[float, float, float]]:
    """For each halo: largest error, sum of errors and pixels of one core; runs on a worker."""
    job = find_job(run)
    plans = [_plan_core(job.plan, halo) for halo in halos]
    index = tuple(int(k) for k in np.unravel_index(number, plans[-1].grid.counts))
    truth = compute_core(job, plans[-1], index)
    found = []
    for plan in plans:
        errors = [
            np.abs(one.astype(np.float64) - exact)
            for one, exact in zip(compute_core(job, plan, index), truth, strict=True)
        ]
        largest = max(float(error.max()) for error in errors)
        found.append((largest, float(sum(e.sum() for e in errors)), float(sum(e.size for e in errors))))
    return found


def measure_contrast(run: str, number: int) -> float:
    """How much the pixels of one core differ among themselves; runs on a worker."""
    made = _plan_core(find_job(run).plan, (0,) * len(find_job(run).plan.spatial))
    index = tuple(int(k) for k in np.unravel_index(number, made.grid.counts))
    return float(np.nanstd(read(made, made.grid.core(index)).astype(np.float64)))


def _choose_spots(client: Client, job: Job, made: Plan) -> list[int]:
    """Cores with most contrast: on empty background every halo is good."""
    tiles, wanted = made.grid.tiles, SPOTS[len(made.spatial)]
    looked_at = sorted({(2 * k + 1) * tiles // (2 * wanted * LOOKED_AT) for k in range(wanted * LOOKED_AT)})
    with closing(drive(client, measure_contrast, "contrast", looked_at, (job.run,))) as wave:
        contrast = {landed.number: landed.result or 0.0 for landed in wave}
    return sorted(sorted(looked_at, key=lambda number: (-contrast[number], number))[:wanted])


def _plan_core(made: Plan, halo: Index) -> Plan:
    """The cut with small cores, the same for every halo; axes that the exact tile spans are never cut."""
    model, exact = made.model, made.model.halo or halo
    tile = []
    sizes = made.grid.shape[made.lead :]
    for n, h, e, m, r in zip(sizes, halo, exact, model.multiple, model.remainder, strict=True):
        # as many positions of the coarsest map as keep the last bits in place
        side = round_up(max(CORE[len(halo)], 9 * m), m)
        tile.append(round_up(n, m) + 2 * e + m + r if n <= side + 2 * e + r else side + 2 * h + r)
    asked = made.asked
    kind: Literal["raw", "scores"] = "raw" if asked.results.output == "raw" else "scores"
    cut = replace(asked.cut, tile=tuple(tile), halo=halo, overlap=None, block="auto", batch="auto")
    results = replace(asked.results, output=kind, dtype="float32")
    return decide(made.image, model, replace(asked, cut=cut, results=results))


def _redundancy(made: Plan, halo: Index) -> float | None:
    """Pixels computed per pixel kept by a run with this halo."""
    try:
        cut = replace(made.asked.cut, halo=halo, overlap=None)
        return decide(made.image, made.model, replace(made.asked, cut=cut)).grid.redundancy
    except TilewiseError:
        return None
