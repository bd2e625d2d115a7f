"""``contract``: what a model says of itself, shown and written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilewise.cli.frame import Json, app, guarded, tabulate
from tilewise.errors import SettingError

if TYPE_CHECKING:
    from tilewise.descriptions.contract import Contract

Where = Annotated[str | None, typer.Argument(metavar="MODEL", help="An ONNX file, or a bioimage.io description.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE: an option of run, without dashes.")]
Unset = Annotated[list[str] | None, typer.Option("--unset", help="KEY: say nothing of it.")]
Clear = Annotated[bool, typer.Option("--clear", help="Remove our entry whole.")]
Target = Annotated[Path | None, typer.Option("--out", help="Write a copy, and leave MODEL alone.")]
Schema = Annotated[bool, typer.Option("--schema", help="Print the JSON schema of the entry.")]


@app.command()
@guarded
def contract(
    model: Where = None,
    wanted: Set = None,
    unwanted: Unset = None,
    out: Target = None,
    *,
    clear: Clear = False,
    schema: Schema = False,
    as_json: Json = False,
) -> None:
    """Show what MODEL says of itself and where; --set writes it into the ONNX file's metadata, in place."""
    if schema:
        from tilewise.descriptions.schema import PLACE

        print(PLACE.read_text(), end="")
        return
    if model is None:
        raise SettingError("no MODEL", "an ONNX file, or a bioimage.io description", "See tilewise contract --help.")
    path = Path(model)
    if wanted or unwanted or clear:
        from tilewise.terms import change, read_terms

        path = change(path, read_terms(wanted or []), unset=tuple(unwanted or ()), clear=clear, out=out)
    elif out is not None:
        raise SettingError(f"--out {out} without a change", "--set, --unset or --clear", "Say what to write.")
    from tilewise.model import Model

    _show(Model(path).contract, as_json=as_json)


def _show(found: Contract, *, as_json: bool) -> None:
    said = {name: {"value": found.plain(name), "from": found.origin(name)} for name in found.said()}
    unmet = [one.what for one in found.unmet]
    if as_json:
        print(json.dumps({"contract": said, "unmet": unmet, "notes": list(found.notes)}, indent=1))
        return
    lines = {name: f"{_text(one['value'])}  {one['from'].removeprefix('contract ')}" for name, one in said.items()}
    lines |= {f"unmet {k}": what for k, what in enumerate(unmet, 1)}
    lines |= {f"note {k}": words for k, words in enumerate(found.notes, 1)}
    print(tabulate(lines) if lines else "the model says nothing of itself: write it down with --set KEY=VALUE")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
