"""A plan whose halo is the smallest that keeps the error below what was asked for."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from tilewise.cluster import connect
from tilewise.events import Noted, tell
from tilewise.planning import complete, decide, plan
from tilewise.plugin import hand_out, renew, take_back
from tilewise.record import read_stamp
from tilewise.spot.trials import list_halos, try_halos
from tilewise.surveying import survey
from tilewise.task import Job

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from distributed import Client

    from tilewise.events import Observer
    from tilewise.geometry import Index
    from tilewise.model import Model
    from tilewise.plans import Plan
    from tilewise.settings import Asked
    from tilewise.spot.trials import Trial
    from tilewise.stats import Statistics


def settle_halo(
    client: Client, made: Plan, model: Model, observers: tuple[Observer, ...] = ()
) -> tuple[Plan, Statistics | None]:
    """The plan to run, and statistics of the image if they were taken for it; as it is where no tolerance is asked.

    Raises:
        SettingError: the model has no exact halo to measure against.
    """
    tolerance = made.asked.cut.halo
    if not isinstance(tolerance, float):
        return made, None
    stamp = None if made.behaviour.overwrite else read_stamp(made.outputs[0].path)
    kept = _recorded(made, tolerance, (stamp.record if stamp is not None else None) or {})
    if kept is not None:
        return _with_halo(made, model, kept, made.reason), None
    trials, statistics = measure(client, made, model, observers)
    chosen = choose_trial(trials, tolerance)
    words = f"largest error {chosen.largest:.2g} on the spots of the image, {tolerance:g} asked for"
    tell(observers, Noted(f"halo {list(chosen.halo)}: {words}"))
    return _with_halo(made, model, chosen.halo, words), statistics


def measure(
    client: Client, made: Plan, model: Model, observers: tuple[Observer, ...] = ()
) -> tuple[tuple[Trial, ...], Statistics | None]:
    """What each halo costs on the image of a plan, and the statistics that it needed."""
    job = hand_out(client, Job(uuid.uuid4().hex[:12], made, model.prepared(), made.machine.device))
    try:
        statistics = survey(client, job, observers) if made.recipe.normalization.needs_statistics else None
        job = renew(client, replace(job, statistics=statistics))
        return try_halos(client, job, observers), statistics
    finally:
        take_back(client, job)


def measure_halos_of(image: str, model: Model, asked: Asked, observers: tuple[Observer, ...] = ()) -> tuple[Trial, ...]:
    """What each halo costs on an image, by a cluster of its own."""
    made = plan(
        image,
        model,
        cut=asked.cut,
        pixels=asked.pixels,
        results=asked.results,
        graph=asked.graph,
        machine=asked.machine,
        given=asked.given,
    )
    list_halos(made)
    crew = made.crew
    scheduler = made.machine.scheduler
    with connect(scheduler=scheduler, workers=crew.workers, threads=crew.threads, memory=crew.memory) as client:
        return measure(client, made, model, observers)[0]


def choose_trial(trials: tuple[Trial, ...], tolerance: float) -> Trial:
    """The smallest halo from which on no error is larger than the tolerance; the exact one is last, and has none."""
    chosen = trials[-1]
    for trial in reversed(trials):
        if trial.largest > tolerance:
            break
        chosen = trial
    return chosen


def _recorded(made: Plan, tolerance: float, record: Mapping[str, Any]) -> Index | None:
    """The halo that a run which is to be resumed has settled on."""
    same = record.get("tolerance") == tolerance and record.get("model", {}).get("sha256") == made.model.sha256
    return tuple(record["halo"]) if same else None


def _with_halo(made: Plan, model: Model, halo: Index, words: str) -> Plan:
    asked = made.asked
    again = decide(made.image, made.model, replace(asked, cut=replace(asked.cut, halo=halo)), model.contract)
    reason = f"{again.reason}; {words}" if again.verdict == "bounded" else again.reason
    # the tolerance stays what was asked for
    return complete(replace(again, asked=asked, reason=reason), made.outputs[0].path)
