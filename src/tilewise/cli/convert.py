"""``convert``: an ONNX model from what training programs save."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tilewise.cli.frame import Json, Quiet, app, guarded
from tilewise.typed import read_pixels

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE", help="A model of Keras, TensorFlow (folder), PyTorch (.pt2, TorchScript) or ONNX."
    ),
]
Result = Annotated[str, typer.Argument(metavar="OUT", help="The ONNX file to be.")]
Weights = Annotated[
    str | None, typer.Option("--weights", help="HDF5 weights of a JSON architecture, if not beside it.")
]
Opset = Annotated[int | None, typer.Option("--opset", help="Opset of the result; at most what the runtime takes.")]
Ir = Annotated[int | None, typer.Option("--ir", help="IR version of the result.")]
Shape = Annotated[str | None, typer.Option("--shape", help="Shape of an example input: 1,3,256,256.")]
Tolerance = Annotated[float, typer.Option("--tolerance", help="Largest difference, as a part of the output's range.")]
Trust = Annotated[bool, typer.Option("--trust", help="Run code that SOURCE holds: pickles, Lambda layers.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE: what the model shall say of itself.")]
Inspect = Annotated[bool, typer.Option("--inspect/--no-inspect", help="Inspect the result, too.")]


@app.command()
@guarded
def convert(
    source: Source,
    out: Result,
    *,
    weights: Weights = None,
    opset: Opset = None,
    ir: Ir = None,
    shape: Shape = None,
    tolerance: Tolerance = 1e-4,
    trust: Trust = False,
    terms: Set = None,
    overwrite: Overwrite = False,
    inspect: Inspect = True,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make an ONNX model of SOURCE, and compare the two on noise."""
    from tilewise.convert import Wanted
    from tilewise.convert import convert as make
    from tilewise.terms import change, read_terms

    lengths = read_pixels("--shape", shape, "lengths with commas between them") if shape else None
    wanted = Wanted(
        weights=weights,
        opset=opset,
        ir=ir,
        shape=(lengths,) if isinstance(lengths, int) else lengths,
        tolerance=tolerance,
        trust=trust,
        overwrite=overwrite,
    )
    said = read_terms(terms or [])
    made = make(
        source,
        Path(out),
        wanted,
        inspect=inspect,
        finish=(lambda path: change(path, said)) if said else None,
        say=_silent if quiet else _say,
    )
    if as_json:
        print(json.dumps(made.to_json(), indent=1))
    elif not quiet:
        print(made)


def _say(step: str) -> None:
    print(f"tilewise: {step}", file=sys.stderr)


def _silent(step: str) -> None:
    """Say nothing."""
