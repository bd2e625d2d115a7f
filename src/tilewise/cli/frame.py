"""The program: one typer app, arguments that commands share, how a command ends and what it prints."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable  # noqa: TC003 typer reads annotations at run time
from typing import Annotated, Any

import typer

from tilewise.errors import StoppedError, TilewiseError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from tilewise.versions import versions

        print(f"tilewise {versions().tilewise}")
        raise typer.Exit


Image = Annotated[
    str, typer.Argument(metavar="IMAGE", help="An image: zarr, OME-Zarr, TIFF, a slide, NIfTI, HDF5, npy.")
]
Places = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGE... MODEL OUT", help="Images, an ONNX file or a bioimage.io model, and where the result goes."
    ),
]
ModelFile = Annotated[
    str, typer.Argument(metavar="MODEL", help="An ONNX file, or a bioimage.io model: YAML, folder or zip.")
]
Out = Annotated[str, typer.Argument(metavar="OUT", help="Where the result goes, or lies.")]
MaybeOut = Annotated[str | None, typer.Argument(metavar="OUT", help="Where the result would go.")]
Version = Annotated[
    bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Say the version, and leave.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="A line for each block.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only what went wrong.")]


@app.callback()
def start(*, version: Version = False) -> None:
    """Run ONNX models over images too large to load: overlapped tiles, Dask workers, OME-Zarr out."""


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """End with exit code 2 if refused, 3 if stopped, 130 if interrupted; anything else is a defect of ours."""

    @functools.wraps(command)
    def called(*values: Any, **options: Any) -> None:
        try:
            command(*values, **options)
        except TilewiseError as error:
            refuse(error, as_json=bool(options.get("as_json")))
            raise typer.Exit(2) from None
        except StoppedError as error:
            print(f"tilewise: {error}", file=sys.stderr)
            raise typer.Exit(3) from None
        except KeyboardInterrupt:
            raise typer.Exit(say_interrupted()) from None

    return called


def say_interrupted() -> int:
    """Say that it can go on; gives the exit code."""
    print("tilewise: interrupted; the same command resumes", file=sys.stderr)
    return 130


def refuse(error: TilewiseError, *, as_json: bool) -> None:
    """Print a refusal: one line to people, one object to scripts."""
    told = {name: _one_line(getattr(error, name)) for name in ("got", "expected", "do")}
    if as_json:
        print(json.dumps({"error": told}))
    print(f"tilewise: {TilewiseError(**told)}", file=sys.stderr)


def _one_line(text: str) -> str:
    """A path may hold a line break, and what a library says may hold many."""
    return " ".join(text.split())


def show(value: Any, as_json: bool) -> None:
    """Print a record with its own words or as one JSON object."""
    print(json.dumps(value.to_json(), indent=1) if as_json else repr(value))


def tabulate(facts: dict[str, Any]) -> str:
    """Facts, one a line."""
    width = max(map(len, facts))
    return "\n".join(f"{name:<{width}}  {_line(value)}" for name, value in facts.items())


def _line(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
