"""One image after the other, on workers that stay."""

from __future__ import annotations

import traceback
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tilewise.album.entry import Album, Entry, show_entry
from tilewise.album.listing import keep, list_entries
from tilewise.cluster import connect
from tilewise.engine import check_target, execute_on, plan_run
from tilewise.errors import StoppedError, TilewiseError
from tilewise.events import Noted, tell
from tilewise.model import Model
from tilewise.settings import Asked, Behaviour, Cut, Graph, Machine, Pixels, Results

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from distributed import Client

    from tilewise.events import Observer
    from tilewise.plans import Plan


def run_many(
    images: Sequence[str | Path],
    model: str | Path | Model,
    out: str | Path,
    *,
    cut: Cut = Cut(),
    pixels: Pixels = Pixels(),
    results: Results = Results(),
    graph: Graph = Graph(),
    machine: Machine = Machine(),
    behaviour: Behaviour = Behaviour(),
    observers: tuple[Observer, ...] = (),
    given: frozenset[str] = frozenset(),
) -> Album:
    """Run a model over many images on one cluster, each to an output of its own; the same call again resumes.

    Args:
        images: images as ``run`` takes them; a plate stands for all its fields.
        model: an ONNX file.
        out: a folder; the result of an image goes to ``<its name>.ome.zarr`` in it.
        cut: tiles, halos, blocks, of each image.
        pixels: axes, level, region, mask, channels, normalization, of each image.
        results: what is written.
        graph: what the model file does not tell.
        machine: where it runs.
        behaviour: what to do about oddities.
        observers: called with every event of ``tilewise.events``.
        given: options, by name, that win over the model's contract even at their default.

    Raises:
        TilewiseError: no image could be run; nothing was written.
    """
    known = model if isinstance(model, Model) else Model(model, graph)
    asked = Asked(
        cut=cut, pixels=pixels, results=results, graph=graph, machine=machine, behaviour=behaviour, given=given
    )
    entries = list_entries(images, str(out), pixels.field)
    # a model that is none would be refused again for each image
    tell(observers, Noted(f"{len(entries)} images through {known.spec.name}"))
    with ExitStack() as stack:
        host = _Host(known, asked, observers, stack)
        for number, entry in enumerate(entries):
            tell(observers, Noted(f"image {number + 1} of {len(entries)}: {entry.name}"))
            made = host.prepare(entry)
            if isinstance(made, Entry):
                entries[number] = made
            else:
                entries[number] = replace(entry, state="running")
                keep(str(out), entries)
                entries[number] = host.execute(entry, made)
            tell(observers, Noted(f"{entry.name}: {show_entry(entries[number])}"))
            if host.client is not None:
                keep(str(out), entries)
    if len(host.refusals) == len(entries):
        raise host.refusals[0]
    return Album(str(out), tuple(entries))


@dataclass(slots=True)
class _Host:
    """The workers that all images share, from the first that can be run on."""

    model: Model
    asked: Asked
    observers: tuple[Observer, ...]
    stack: ExitStack
    client: Client | None = None
    refusals: list[TilewiseError] = field(default_factory=list)

    def prepare(self, entry: Entry) -> Plan | Entry:
        """The plan of an image, or what stands in its way."""
        asked = replace(self.asked, pixels=replace(self.asked.pixels, field=entry.field))
        try:
            made = plan_run(entry.image, self.model, entry.output, asked)
            check_target(made)
            self.client = self.client or self.stack.enter_context(_connect(made))
        except Exception as error:
            return self._fail(entry, error)
        return made

    def execute(self, entry: Entry, made: Plan) -> Entry:
        """Run it, whatever happens."""
        if self.client is None:
            raise ValueError("nothing is run before it is prepared")
        try:
            result = execute_on(self.client, made, self.model, observers=self.observers)
        except Exception as error:
            return self._fail(entry, error)
        return replace(entry, state=result.state, result=result)

    def _fail(self, entry: Entry, error: Exception) -> Entry:
        if isinstance(error, TilewiseError):
            self.refusals.append(error)
            return replace(entry, state="refused", cause=str(error))
        return replace(entry, state="failed", cause=_explain(error))


def _connect(made: Plan) -> AbstractContextManager[Client]:
    """Workers for all images, as the first of them asks for."""
    crew = made.crew
    return connect(scheduler=made.machine.scheduler, workers=crew.workers, threads=crew.threads, memory=crew.memory)


def _explain(error: Exception) -> str:
    """What a user can do with: for anything that is no refusal and no stop, where it happened too."""
    if isinstance(error, StoppedError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
