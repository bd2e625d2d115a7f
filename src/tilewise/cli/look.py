"""``inspect`` and ``status``: what is known of a model and of an output."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilewise.cli.frame import Json, ModelFile, Out, app, guarded, show, tabulate
from tilewise.typed import read_inputs

if TYPE_CHECKING:
    from tilewise.model import Model
    from tilewise.trial import Tried

Layout = Annotated[str | None, typer.Option("--layout", help="Axes of the input, if the graph does not tell.")]
OutputLayout = Annotated[str | None, typer.Option("--output-layout", help="Axes of the output.")]
OutputName = Annotated[str | None, typer.Option("--output-name", help="Which of several outputs.")]
Test = Annotated[bool, typer.Option("--test", help="Run the test tensors that come with a description.")]
Inputs = Annotated[list[str] | None, typer.Option("--input", help="Value of a further input: NAME=VALUE.")]


@app.command()
@guarded
def inspect(
    model: ModelFile,
    layout: Layout = None,
    output_layout: OutputLayout = None,
    output_name: OutputName = None,
    inputs: Inputs = None,
    *,
    test: Test = False,
    as_json: Json = False,
) -> None:
    """Say what is known and proved of MODEL: layouts, multiple, reach, verdict, what it says of itself."""
    from tilewise.model import Model
    from tilewise.settings import Graph

    graph = Graph(
        layout=layout,
        output_layout=output_layout,
        output_name=output_name,
        inputs=read_inputs("--input", inputs or []),
    )
    known = Model(model, graph)
    facts = known.inspect()
    tried = _try(known) if test else None
    if as_json:
        print(json.dumps(facts | ({} if tried is None else {"test": tried.to_json()}), indent=1))
    else:
        said = [f"{name} {_word(one['value'])}" for name, one in facts["contract"].items()]
        facts |= {"contract": ", ".join(said) or "nothing"} | ({} if tried is None else {"test": repr(tried)})
        print(tabulate(facts))
    if tried is not None and not tried.passed:
        print(f"tilewise: the test of {model} {tried!r}", file=sys.stderr)
        raise typer.Exit(2)


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
