"""Run a plan on Dask workers: bounded waves of blocks, skipping what is done, going on where one fails."""

from __future__ import annotations

import time
import uuid
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tilewise import levels, place, sink, spot, stats
from tilewise.account import Account
from tilewise.cluster import connect, dashboard
from tilewise.columns import store_mask
from tilewise.errors import SettingError, StoppedError, StoreError
from tilewise.events import Ended, Noted, Started, tell
from tilewise.freezing import KEPT, settle_norms
from tilewise.ledger import Ledger
from tilewise.lock import acquire, refuse_held
from tilewise.masking import describe_mask
from tilewise.model import Model
from tilewise.placement import find_place
from tilewise.planning import plan
from tilewise.plugin import hand_out, renew, take_back
from tilewise.provenance import keep_provenance
from tilewise.record import folder_of, read_json, read_stamp, write_json
from tilewise.result import Result, Tally, result_of
from tilewise.resume import record_of, recorded_cut
from tilewise.settings import Asked, Behaviour, Cut, Graph, Machine, Pixels, Results
from tilewise.source import open_view
from tilewise.surveying import survey
from tilewise.task import Job
from tilewise.wave import drive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from distributed import Client

    from tilewise.events import Observer
    from tilewise.plans import Plan
    from tilewise.source import Array


def run(
    image: str | Path | Array,
    model: str | Path | Model,
    out: str | Path | None = None,
    *,
    cut: Cut = Cut(),
    pixels: Pixels = Pixels(),
    results: Results = Results(),
    graph: Graph = Graph(),
    machine: Machine = Machine(),
    behaviour: Behaviour = Behaviour(),
    given: frozenset[str] = frozenset(),
    observers: tuple[Observer, ...] = (),
) -> Result:
    """Run a model over an image and write the result to zarr; the same call again resumes.

    Args:
        image: the path of an image, or an array of NumPy, Dask or xarray, which workers inside this process read.
        model: an ONNX file, or a bioimage.io description of one: its YAML file, folder or zip archive.
        out: where the result goes: an OME-Zarr image; left out if labels go into the image itself.
        cut: tiles, halos, blocks.
        pixels: axes, level, channels, normalization.
        results: what is written.
        graph: what the model file does not tell.
        machine: where it runs.
        behaviour: what to do about oddities.
        given: options, by name, that win over the model's contract even at their default.
        observers: called with every event of ``tilewise.events``.

    Raises:
        TilewiseError: the request cannot be met; nothing was written.
    """
    known = model if isinstance(model, Model) else Model(model, graph)
    asked = Asked(
        cut=cut, pixels=pixels, results=results, graph=graph, machine=machine, behaviour=behaviour, given=given
    )
    return execute(plan_run(image, known, out, asked), known, observers)


def plan_run(image: str | Path | Array, model: Model, out: str | Path | None, asked: Asked) -> Plan:
    """The plan of a run; one that goes on where an earlier one was cut short keeps what that one settled."""
    cut = asked.cut
    if not asked.behaviour.overwrite:
        where = find_place(open_view(image, asked.pixels), out, asked.results)
        stamp = None if where is None else read_stamp(place.resolve(where))
        cut = recorded_cut(cut, stamp.record if stamp is not None else None, model.spec)
    return plan(
        image,
        model,
        out,
        cut=cut,
        pixels=asked.pixels,
        results=asked.results,
        graph=asked.graph,
        machine=asked.machine,
        behaviour=asked.behaviour,
        given=asked.given,
    )


def execute(made: Plan, model: Model, observers: tuple[Observer, ...] = ()) -> Result:
    """Run a plan that names an output."""
    check_target(made)
    machine = made.machine
    with connect(
        scheduler=machine.scheduler, workers=made.crew.workers, threads=made.crew.threads, memory=made.crew.memory
    ) as client:
        # where to watch the workers, if Dask's dashboard runs
        links = [f"dashboard {link}" for link in [dashboard(client)] if link is not None]
        return execute_on(client, made, model, links, observers)


def check_target(made: Plan) -> None:
    """Refuse an output that cannot be written, before workers start."""
    if not made.outputs:
        raise SettingError("a run without an OUT", "a place for the result", "Name one, or add --labels-into.")
    out = made.outputs[0].path
    labels = made.recipe.results.labels_into
    place.check_place(out, (made.image.path, made.model.path), overwrite=made.behaviour.overwrite, labels=labels)
    refuse_held(out)


def execute_on(
    client: Client, made: Plan, model: Model, links: Sequence[str] = (), observers: tuple[Observer, ...] = ()
) -> Result:
    """Run a plan on workers that are there, and leave them warm for another."""
    made, model, norms = settle_norms(client, made, model, observers)
    made, statistics = spot.settle_halo(client, made, model, observers)
    out = made.outputs[0].path
    inputs = (made.image.path, made.model.path)
    job = hand_out(client, Job(uuid.uuid4().hex[:12], made, model.prepared(), made.machine.device))
    try:
        with acquire(out, job.run, on_wait=lambda owner, left: _say_waiting(observers, str(owner), left)):
            record = record_of(made, job.device)
            for number, spec in enumerate(made.outputs):
                # the first clears the place for all
                sink.create(spec, record, inputs=inputs, overwrite=made.behaviour.overwrite and number == 0)
            if norms is not None:
                write_json(folder_of(out), KEPT, norms.to_json())
            if statistics is not None:
                write_json(folder_of(out), "statistics.json", statistics.to_json())
            # not before: a refusal is one line
            for note in (*made.notes, *links):
                tell(observers, Noted(note))
            try:
                return _Run(job, client, observers).go(Ledger.create(out, made.blocks.total, record), record)
            except StoreError as error:
                # the output is begun: what is there counts, and the same command goes on
                raise StoppedError(str(error)) from error
    finally:
        take_back(client, job)


def _say_waiting(observers: tuple[Observer, ...], owner: str, left: float) -> None:
    tell(observers, Noted(f"the output may still be written by {owner}: waiting {left:.0f} s more for a sign of life"))


@dataclass(slots=True)
class _Run:
    """One run over an output that is set up and locked."""

    job: Job
    client: Client
    observers: tuple[Observer, ...]
    started: float = field(default_factory=time.monotonic)

    def go(self, book: Ledger, record: Mapping[str, Any]) -> Result:
        self._leave_out(book)
        account = Account.open(book, self.job.plan, record, self.observers, self.started)
        idle = account.finished
        if not account.finished:
            counts = book.counts()
            if counts.done + counts.skipped < book.blocks:
                self._survey(book.path)
                self._measure_error()
            self._predict(account)
        if account.finished:
            for spec in self.job.plan.outputs:
                sink.finish(spec)
        result = result_of(book)
        keep_provenance(self.job, result, seconds=time.monotonic() - self.started, idle=idle)
        return result

    def _leave_out(self, book: Ledger) -> None:
        """Mark the blocks that have nothing to compute, and keep the mask with the output."""
        made = self.job.plan
        if made.mask is None:
            return
        for name, pixels, attributes in describe_mask(made):
            store_mask(book.path, name, pixels, attributes)
        book.skip(made.mask.find_idle(made.blocks).among)
        tally = Tally.load(book.path)
        tally.tiles_skipped = made.tiles_skipped
        tally.save(0.0)

    def _survey(self, out: str) -> None:
        """Statistics of the image, if they are needed: those kept with the output, or a pass over all pixels."""
        made = self.job.plan
        if not made.recipe.normalization.needs_statistics:
            return
        kept = read_json(folder_of(out), "statistics.json")
        known = survey(self.client, self.job, self.observers) if kept is None else stats.Statistics.from_json(kept)
        if kept is None:
            write_json(folder_of(out), "statistics.json", known.to_json())
        self.job = renew(self.client, replace(self.job, statistics=known))

    def _measure_error(self) -> None:
        """Say what a halo smaller than the model's reach costs, on a few tiles of the image."""
        made = self.job.plan
        wide = spot.widen(made) if made.verdict == "bounded" else None
        if wide is None:
            return
        spots = spot.choose_spots(made)
        wave = drive(self.client, spot.measure_spot, "measure", spots, (self.job.run, wide), attempts=1)
        with closing(wave):
            errors = [landed.result for landed in wave if landed.error is None]
        if errors:
            text = f"largest error of the {made.recipe.results.output} by the smaller halo, on {len(errors)} tiles"
            tell(self.observers, Noted(f"{text}: {max(errors):.2g}"))

    def _predict(self, account: Account) -> None:
        made, book = self.job.plan, account.book
        counts = book.counts()
        ready = counts.done + counts.skipped
        tell(self.observers, Started("blocks", made.blocks.total, ready, made.image_pixels // made.blocks.total))
        begin = time.monotonic()
        wave = drive(self.client, levels.work, account.name, account, (self.job.run,))
        try:
            for landed in wave:
                account.enter(landed)
        finally:
            wave.close()
            account.flush()
        # a worker that was killed may have left a file half written
        place.sweep(book.path)
        tell(self.observers, Ended("blocks", time.monotonic() - begin))
