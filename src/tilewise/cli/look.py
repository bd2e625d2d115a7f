"""``inspect`` and ``status``: what is known of a model and of an output."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tilewise.cli.frame import Json, ModelFile, Out, app, guarded, show, tabulate
from tilewise.typed import read_inputs

Layout = Annotated[str | None, typer.Option("--layout", help="Axes of the input, if the graph does not tell.")]
OutputLayout = Annotated[str | None, typer.Option("--output-layout", help="Axes of the output.")]
OutputName = Annotated[str | None, typer.Option("--output-name", help="Which of several outputs.")]
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
    as_json: Json = False,
) -> None:
    """Say what is known and proved of MODEL: layouts, multiple, reach, verdict."""
    from tilewise.model import Model
    from tilewise.settings import Graph

    graph = Graph(
        layout=layout,
        output_layout=output_layout,
        output_name=output_name,
        inputs=read_inputs("--input", inputs or []),
    )
    known = Model(model, graph)
    if as_json:
        print(json.dumps(known.inspect(), indent=1))
    else:
        print(tabulate(known.inspect()))


@app.command()
@guarded
def status(out: Out, *, as_json: Json = False) -> None:
    """Say what the ledger of OUT says, also while a run goes on; of a folder of many outputs, what all say."""
    from tilewise.album import look

    show(look(out), as_json)
