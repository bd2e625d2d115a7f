"""The console script: words in, exit code out."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any, NoReturn

import typer

# isort: off
# each adds its commands, in the order of the help
from tilewise.cli import work  # noqa: F401
from tilewise.cli import look  # noqa: F401
from tilewise.cli import contract  # noqa: F401
from tilewise.cli import demo  # noqa: F401
from tilewise.cli import convert  # noqa: F401
from tilewise.cli import doctor  # noqa: F401

# isort: on
from tilewise.cli.frame import app, refuse, say_interrupted
from tilewise.errors import SettingError, TilewiseError

UsageError: Any = typer.BadParameter.__mro__[1]
"""What typer raises for a wrong command line: click's own or that of a copy of it, depending on typer's version."""


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
            refuse(_in_our_words(error), as_json="--json" in words)
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        code = say_interrupted()
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
