"""``run`` and ``plan``."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 typer reads annotations at run time
from functools import partial
from typing import Any

from tilewise.cli.frame import Image, Json, MaybeOut, ModelFile, Places, Quiet, Verbose, app, guarded, show
from tilewise.errors import SettingError, StoppedError
from tilewise.options import with_options
from tilewise.settings import Asked  # noqa: TC001 typer reads annotations at run time


@app.command(name="run")
@with_options
@guarded
def run_command(
    places: Places = None,
    *,
    asked: Callable[[], Asked],
    as_json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Run MODEL over IMAGE and write the result to OUT. The same command again resumes.

    Of several images, or of the fields of a plate, OUT is a folder, and the result of each goes into it. With
    --labels-into the labels go into IMAGE, and there is no OUT.
    """
    from tilewise.album import holds_many, run_many
    from tilewise.display import watch
    from tilewise.engine import run
    from tilewise.process import settle

    settle()
    given = asked()
    images, model, out = _split(places or [], into=given.results.labels_into)
    many = holds_many(images, given.pixels)
    if many and out is None:
        raise SettingError(
            "--labels-into of many images", "one image, or one --field of a plate", "Run them one by one."
        )
    work: Any = partial(run_many, images) if many else partial(run, images[0])
    result: Any = work(
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
    if result.left:
        raise StoppedError(f"{result.left}; the same command tries them again")


def _split(places: list[str], *, into: bool) -> tuple[list[str], str, str | None]:
    """Images, model and output of a command line; labels that go into an image have no output."""
    if into and len(places) > 2:
        raise SettingError(
            f"--labels-into and {len(places)} arguments", "IMAGE MODEL, and no OUT", "Leave OUT out, or run one by one."
        )
    if into and len(places) == 2:
        return places[:1], places[1], None
    if len(places) < 3:
        missing = ("IMAGE", "MODEL", "OUT")[len(places)]
        raise SettingError(
            f"Missing argument '{missing}'", "IMAGE MODEL OUT, in this order", "See tilewise run --help."
        )
    for first in places[:-2]:
        if first.endswith(".onnx") and not places[-2].endswith(".onnx"):
            raise SettingError(
                f"the model {first} where an image is named", "IMAGE MODEL OUT, in this order", "Name the image first."
            )
    return places[:-2], places[-2], places[-1]


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
