"""``run`` and ``plan``."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 typer reads annotations at run time

from tilewise.cli.frame import Image, Json, MaybeOut, ModelFile, Out, Quiet, Verbose, app, guarded, show
from tilewise.errors import StoppedError
from tilewise.options import with_options
from tilewise.settings import Asked  # noqa: TC001 typer reads annotations at run time


@app.command(name="run")
@with_options
@guarded
def run_command(
    image: Image,
    model: ModelFile,
    out: Out,
    *,
    asked: Callable[[], Asked],
    as_json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Run MODEL over IMAGE and write the result to OUT. The same command again resumes."""
    from tilewise.display import watch
    from tilewise.engine import run
    from tilewise.process import settle

    settle()
    given = asked()
    result = run(
        image,
        model,
        out,
        cut=given.cut,
        pixels=given.pixels,
        results=given.results,
        graph=given.graph,
        machine=given.machine,
        behaviour=given.behaviour,
        given=given.given,
        observers=(watch(verbose=verbose, quiet=quiet),),
    )
    if as_json or not quiet:
        show(result, as_json)
    if result.failed:
        raise StoppedError(f"{result.failed} of {result.blocks} blocks failed; the same command tries them again")
    if not result.levels.finished:
        raise StoppedError(f"{result.levels.failed} shards of coarser levels failed; the same command tries them again")


@app.command(name="plan")
@with_options
@guarded
def plan_command(
    image: Image, model: ModelFile, out: MaybeOut = None, *, asked: Callable[[], Asked], as_json: Json = False
) -> None:
    """Say what a run would do: tiles, blocks, bytes, memory, verdict. Nothing is written."""
    from tilewise.planning import plan

    given = asked()
    made = plan(
        image,
        model,
        out,
        cut=given.cut,
        pixels=given.pixels,
        results=given.results,
        graph=given.graph,
        machine=given.machine,
        behaviour=given.behaviour,
        given=given.given,
    )
    show(made, as_json)
