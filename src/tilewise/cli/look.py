"""``inspect`` and ``status``: what is known of a model and of an output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable  # noqa: TC003 typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilewise.cli.frame import Json, ModelFile, Out, app, guarded, show, tabulate
from tilewise.options import with_options
from tilewise.settings import Asked  # noqa: TC001 typer reads annotations at run time

if TYPE_CHECKING:
    from tilewise.model import Model
    from tilewise.spot import Trial
    from tilewise.trial import Tried

Test = Annotated[bool, typer.Option("--test", help="Run the test tensors that come with a description.")]
Sample = Annotated[str | None, typer.Option("--image", help="An image: what each smaller halo costs on it.")]


@app.command()
@with_options
@guarded
def inspect(
    model: ModelFile,
    *,
    asked: Callable[[], Asked],
    image: Sample = None,
    test: Test = False,
    as_json: Json = False,
) -> None:
    """Say what is known and proved of MODEL: layouts, multiple, reach, verdict, what it says of itself."""
    from tilewise.model import Model

    given = asked()
    known = Model(model, given.graph)
    facts = known.inspect()
    tried = _try(known) if test else None
    table = () if image is None else _measure(image, known, given)
    if as_json:
        more = {} if image is None else {"halos": [trial.to_json() for trial in table]}
        print(json.dumps(facts | ({} if tried is None else {"test": tried.to_json()}) | more, indent=1))
    else:
        said = [f"{name} {_word(one['value'])}" for name, one in facts["contract"].items()]
        facts |= {"contract": ", ".join(said) or "nothing"} | ({} if tried is None else {"test": repr(tried)})
        print(tabulate(facts))
        if table:
            print(_draw(table))
    if tried is not None and not tried.passed:
        print(f"tilewise: the test of {model} {tried!r}", file=sys.stderr)
        raise typer.Exit(2)


def _measure(image: str, known: Model, given: Asked) -> tuple[Trial, ...]:
    """What each halo costs on an image, with the settings of a run."""
    from tilewise.display import watch
    from tilewise.process import settle
    from tilewise.spot import measure_halos_of

    settle()
    return measure_halos_of(image, known, given, (watch(verbose=False, quiet=False),))


def _draw(table: tuple[Trial, ...]) -> str:
    """A line for each halo."""

    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    lines = [f"{'halo':>14} {'largest error':>14} {'mean error':>12} {'redundancy':>11} {'speed-up':>9}"]
    lines += [
        f"{','.join(map(str, trial.halo)):>14} {trial.largest:>14.2g} {trial.mean:>12.2g} "
        f"{number(trial.redundancy, '.3f'):>11} {number(trial.speedup, '.2f'):>9}"
        for trial in table
    ]
    return "\n".join(lines)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _try(known: Model) -> Tried:
    from tilewise.process import settle
    from tilewise.trial import try_out

    settle()
    return try_out(known)


@app.command()
@guarded
def status(out: Out, *, as_json: Json = False) -> None:
    """Say what the ledger of OUT says, also while a run goes on; of a folder of many outputs, what all say."""
    from tilewise.album import look

    show(look(out), as_json)
