"""The command line: flags to records, records to text. No logic of a run lives here."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import threading
from collections.abc import Callable  # noqa: TC003 typer reads annotations at run time
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from tilewise.errors import SettingError, StoppedError, TilewiseError
from tilewise.options import with_options
from tilewise.settings import Asked  # noqa: TC001 typer reads annotations at run time
from tilewise.typed import read_inputs

UsageError: Any = typer.BadParameter.__mro__[1]
"""What typer raises for a wrong command line: click's own or that of a copy of it, depending on typer's version."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Run ONNX models over images too large to load: zarr in, overlapped tiles, Dask workers, zarr out.",
)

Image = Annotated[str, typer.Argument(metavar="IMAGE", help="A zarr array or OME-Zarr image.")]
ModelFile = Annotated[str, typer.Argument(metavar="MODEL", help="An ONNX file.")]
Out = Annotated[str, typer.Argument(metavar="OUT", help="Where the result goes, or lies.")]
MaybeOut = Annotated[str | None, typer.Argument(metavar="OUT", help="Where the result would go.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="A line for each block.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only what went wrong.")]
Layout = Annotated[str | None, typer.Option("--layout", help="Axes of the input, if the graph does not tell.")]
OutputLayout = Annotated[str | None, typer.Option("--output-layout", help="Axes of the output.")]
OutputName = Annotated[str | None, typer.Option("--output-name", help="Which of several outputs.")]
Inputs = Annotated[list[str] | None, typer.Option("--input", help="Value of a further input: NAME=VALUE.")]


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """End with exit code 2 if refused, 3 if stopped, 130 if interrupted; anything else is a defect of ours."""

    @functools.wraps(command)
    def called(*values: Any, **options: Any) -> None:
        try:
            command(*values, **options)
        except TilewiseError as error:
            _refuse(error, as_json=bool(options.get("as_json")))
            raise typer.Exit(2) from None
        except StoppedError as error:
            print(f"tilewise: {error}", file=sys.stderr)
            raise typer.Exit(3) from None
        except KeyboardInterrupt:
            raise typer.Exit(_say_interrupted()) from None

    return called


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
        observers=(watch(verbose=verbose, quiet=quiet),),
    )
    if as_json or not quiet:
        _print(result, as_json)
    if result.failed:
        raise StoppedError(f"{result.failed} of {result.blocks} blocks failed; the same command tries them again")


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
    )
    _print(made, as_json)


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
        print(_table(known.inspect()))


@app.command()
@guarded
def status(out: Out, *, as_json: Json = False) -> None:
    """Say what the ledger of OUT says, also while a run goes on."""
    from tilewise.result import status as look

    _print(look(out), as_json)


@app.command()
@guarded
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where image, result and picture go.")] = Path(
        "tilewise-demo"
    ),
) -> None:
    """Build a large sample image, run a model over it, check the result, draw a picture."""
    from tilewise.process import settle

    settle()
    from tilewise.demo import demo as show

    show(folder)


def main(words: list[str] | None = None) -> NoReturn:
    """The console script; ``words`` are its arguments, those of the process if not given."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
    words = sys.argv[1:] if words is None else words
    try:
        code = app(words, prog_name="tilewise", standalone_mode=False)
        sys.stdout.flush()
    except UsageError as error:
        # without a word typer has printed the help, and has nothing to say
        if error.format_message():
            _refuse(_in_our_words(error), as_json="--json" in words)
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        code = _say_interrupted()
    except BrokenPipeError:
        # who reads our output has seen enough, as in `tilewise plan ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code or 0)


def _in_our_words(error: Any) -> TilewiseError:
    """A wrong command line as a refusal like any other."""
    words = " ".join(error.format_message().split()).rstrip(".")
    command = error.ctx.command_path if error.ctx is not None else "tilewise"
    return SettingError(words, "a command line as the help describes it", f"See {command} --help.")


def _interrupt(number: int, frame: object) -> None:  # noqa: ARG001 what a signal handler gets
    raise KeyboardInterrupt


def _say_interrupted() -> int:
    print("tilewise: interrupted; the same command resumes", file=sys.stderr)
    return 130


def _refuse(error: TilewiseError, *, as_json: bool) -> None:
    told = {name: _one_line(getattr(error, name)) for name in ("got", "expected", "do")}
    if as_json:
        print(json.dumps({"error": told}))
    print(f"tilewise: {TilewiseError(**told)}", file=sys.stderr)


def _one_line(text: str) -> str:
    """A path may hold a line break, and what a library says may hold many."""
    return " ".join(text.split())


def _print(value: Any, as_json: bool) -> None:
    print(json.dumps(value.to_json(), indent=1) if as_json else repr(value))


def _table(facts: dict[str, Any]) -> str:
    width = max(map(len, facts))
    return "\n".join(f"{name:<{width}}  {_line(value)}" for name, value in facts.items())


def _line(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
