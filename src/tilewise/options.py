"""The options of ``plan`` and ``run``: one row each, from the command line's words to the settings' records."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilewise.errors import SettingError
from tilewise.settings import Behaviour, Cut, Graph, Machine, Normalization, Pixels, Results

if TYPE_CHECKING:
    from collections.abc import Callable


WHOLE = "whole numbers of pixels, one or one an axis (64 or 64,256,256)"
"""What sizes are."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option."""

    flag: str
    """With its dashes."""
    parse: Callable[[str, Any], Any]
    """From what was typed to the record's value."""
    record: type
    """The record that it goes into."""
    field: str
    """The record's field."""
    help: str
    """One line."""
    kind: Any = str
    """Type for the command line: str, bool or list[str]."""


@dataclass(frozen=True, slots=True)
class Asked:
    """All that a user asked for."""

    cut: Cut
    pixels: Pixels
    results: Results
    graph: Graph
    machine: Machine
    behaviour: Behaviour


def _same(flag: str, text: Any) -> Any:  # noqa: ARG001 the face of all parsers
    return text


def _numbers(flag: str, text: str, kind: type, expected: str) -> tuple[Any, ...]:
    try:
        found = tuple(kind(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(map(math.isfinite, found)):
        raise SettingError(f"{flag} {text}", expected, f"See tilewise run --help for {flag}.")
    return found


def _one(flag: str, text: str, kind: type, expected: str) -> Any:
    found = _numbers(flag, text, kind, expected)
    if len(found) > 1:
        raise SettingError(f"{flag} {text}", expected, f"Give {flag} once, with one number.")
    return found[0]


def _sizes(flag: str, text: str) -> Any:
    return text if text == "auto" else _pixels(flag, text, f"auto or {WHOLE}")


def _pixels(flag: str, text: str, expected: str = WHOLE) -> Any:
    found = _numbers(flag, text, int, expected)
    return found[0] if len(found) == 1 else found


def _halo(flag: str, text: str) -> Any:
    if text in {"auto", "exact"}:
        return text
    expected = f"auto, exact, or {WHOLE}"
    # a tolerance such as 1e-3 or 0.01; anything else with these letters is no number at all
    if any(mark in text for mark in ".e"):
        return _one(flag, text, float, expected)
    return _pixels(flag, text, expected)


def _count(flag: str, text: str) -> Any:
    return text if text == "auto" else _one(flag, text, int, "auto or a whole number")


def _channels(flag: str, text: str) -> Any:
    return text if text == "all" else _numbers(flag, text, int, "all, or channel numbers with commas between them")


def _floats(flag: str, text: str) -> tuple[float, ...]:
    return _numbers(flag, text, float, "numbers with commas between them")


def _pair(flag: str, text: str) -> tuple[float, ...]:
    expected = "two numbers with a comma between them"
    found = _numbers(flag, text, float, expected)
    if len(found) != 2:
        raise SettingError(f"{flag} {text}", expected, f"See tilewise run --help for {flag}.")
    return found


def _float(flag: str, text: str) -> float:
    return float(_one(flag, text, float, "a number"))


def _level(flag: str, text: str) -> int:
    return int(_one(flag, text, int, "the number of a level"))


def _bytes(flag: str, text: str) -> Any:
    from dask.utils import parse_bytes

    if text == "auto":
        return text
    try:
        size = int(parse_bytes(text))
    except (ValueError, OverflowError):
        size = 0
    if size < 1:
        raise SettingError(f"{flag} {text}", "auto, or a size such as 4GB", f"For example {flag} 4GB")
    return size


def parse_inputs(flag: str, texts: list[str]) -> tuple[tuple[str, float], ...]:
    """Further inputs as (name, value) pairs."""
    made = []
    for text in texts:
        name, mark, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            mark = ""
        if not (mark and name):
            raise SettingError(
                f"{flag} {text}", "NAME=VALUE, where the value is a number", f"For example {flag} exposure=0.2"
            )
        made.append((name, number))
    return tuple(made)


OPTIONS = (
    Option("--tile", _sizes, Cut, "tile", "Pixels a side that the model sees: auto, 512, or 64,256,256 (z,y,x)."),
    Option("--halo", _halo, Cut, "halo", "Context on each side of a core: auto, exact, or pixels."),
    Option("--overlap", _pixels, Cut, "overlap", "Pixels shared by neighbouring tiles: twice the halo."),
    Option("--blend", _same, Cut, "blend", "How tiles are joined: trim."),
    Option(
        "--block", _sizes, Cut, "block", "Pixels a side of a block, the unit of work and of writing: auto or sizes."
    ),
    Option("--batch", _count, Cut, "batch", "Tiles in one call of the model: auto or a number."),
    Option("--pad", _same, Cut, "pad", "Beyond the far edge: reflect, edge or constant."),
    Option("--axes", _same, Pixels, "axes", "Axes of a plain array, from t c z y x in its order."),
    Option("--level", _level, Pixels, "level", "Resolution level; 0 is the finest."),
    Option("--channels", _channels, Pixels, "channels", "all, or numbers in the model's order: 0,2."),
    Option("--normalize", _same, Normalization, "kind", "none, standardize, minmax, fixed or percentile."),
    Option("--scope", _same, Normalization, "scope", "Statistics over the image, each slice, or each tile."),
    Option("--stats", _same, Normalization, "stats", "Statistics for each channel, or over all."),
    Option("--range", _pair, Normalization, "range", "Where minmax puts the smallest and largest pixel."),
    Option("--mean", _floats, Normalization, "mean", "What fixed subtracts: one number, or one a channel."),
    Option("--std", _floats, Normalization, "std", "What fixed divides by: one number, or one a channel."),
    Option("--percentiles", _pair, Normalization, "percentiles", "What percentile maps to 0 and 1."),
    Option("--clip", _same, Normalization, "clip", "Clip percentile's result to 0..1.", bool),
    Option("--output", _same, Results, "output", "scores, labels or raw."),
    Option("--activation", _same, Results, "activation", "none, sigmoid or softmax."),
    Option("--threshold", _float, Results, "threshold", "A single-channel score at or above it is label 1."),
    Option("--dtype", _same, Results, "dtype", "Type of the scores: float32 or float16."),
    Option("--layout", _same, Graph, "layout", "Axes of the model's input: NCHW, NHWC, NCDHW, NDHWC."),
    Option("--output-layout", _same, Graph, "output_layout", "Axes of the model's output."),
    Option("--output-name", _same, Graph, "output_name", "Which of several outputs."),
    Option("--input", parse_inputs, Graph, "inputs", "Value of a further input: NAME=VALUE.", list[str]),
    Option("--free-size", _same, Graph, "free_size", "Free a declared fixed size.", bool),
    Option("--device", _same, Machine, "device", "auto, cpu, cuda or cuda:1."),
    Option("--workers", _count, Machine, "workers", "auto (one inside this process), or a number of subprocesses."),
    Option("--threads", _count, Machine, "threads", "Blocks at once in a worker: auto or a number."),
    Option("--memory", _bytes, Machine, "memory", "What a worker may use: auto, or a size such as 4GB."),
    Option("--scheduler", _same, Machine, "scheduler", "Address of a running Dask scheduler."),
    Option("--nan", _same, Behaviour, "nan", "NaN and infinite pixels: keep (and count), or error."),
    Option("--missing", _same, Behaviour, "missing", "Chunks that the image lacks: error, or fill."),
    Option("--overwrite", _same, Behaviour, "overwrite", "Replace an output of an earlier run.", bool),
)

STATISTICS = ("standardize", "minmax", "percentile")
"""Normalizations that look at the pixels."""

ONLY_WITH = {
    "--scope": ("--normalize", STATISTICS),
    "--stats": ("--normalize", STATISTICS),
    "--range": ("--normalize", ("minmax",)),
    "--mean": ("--normalize", ("fixed",)),
    "--std": ("--normalize", ("fixed",)),
    "--percentiles": ("--normalize", ("percentile",)),
    "--clip": ("--normalize", ("percentile",)),
    "--threshold": ("--output", ("labels",)),
    "--dtype": ("--output", ("scores",)),
}
"""What would be passed over in silence unless another option has one of these values."""

PANELS = {
    Cut: "Cut",
    Pixels: "Pixels in",
    Normalization: "Pixels in",
    Results: "Results",
    Graph: "Model",
    Machine: "Machine",
    Behaviour: "Behaviour",
}


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command all options; it gets them as one ``asked``."""

    def called(*places: Any, **given: Any) -> None:
        chosen = {option: given.pop(_name(option)) for option in OPTIONS}
        command(*places, asked=lambda: ask(chosen), **given)

    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "asked"]
    rows = [
        inspect.Parameter(
            _name(option),
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                option.kind | None,
                typer.Option(
                    option.flag, help=f"{option.help}{_default(option)}", rich_help_panel=PANELS[option.record]
                ),
            ],
        )
        for option in OPTIONS
    ]
    front = [p for p in own if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    back = [p for p in own if p.kind is inspect.Parameter.KEYWORD_ONLY]
    called.__signature__ = inspect.Signature([*front, *rows, *back])  # type: ignore[attr-defined]
    called.__doc__ = command.__doc__
    called.__name__ = command.__name__
    return called


def ask(chosen: dict[Option, Any]) -> Asked:
    """Records from what was typed; what was not keeps its default.

    Raises:
        SettingError: a value that cannot be read, or an option that another one leaves without effect.
    """
    values: dict[type, dict[str, Any]] = {}
    given = {option: text for option, text in chosen.items() if text is not None and text != []}
    for option, text in given.items():
        values.setdefault(option.record, {})[option.field] = option.parse(option.flag, text)

    def made(record: type) -> Any:
        return record(**values.get(record, {}))

    if Normalization in values:
        values.setdefault(Pixels, {})["normalization"] = made(Normalization)
    asked = Asked(made(Cut), made(Pixels), made(Results), made(Graph), made(Machine), made(Behaviour))
    told: dict[str, str] = {"--normalize": asked.pixels.normalization.kind, "--output": asked.results.output}
    for option in given:
        _require_company(option.flag, told)
    return asked


def _require_company(flag: str, told: dict[str, str]) -> None:
    """Refuse an option that would have no effect: whoever gives it expects one."""
    if flag not in ONLY_WITH:
        return
    other, values = ONLY_WITH[flag]
    if told[other] not in values:
        raise SettingError(
            f"{flag} with {other} {told[other]}",
            f"{flag} only with {other} {' or '.join(values)}",
            f"Add {other} {values[0]}, or leave {flag} out.",
        )


def _name(option: Option) -> str:
    return option.flag.lstrip("-").replace("-", "_")


def _default(option: Option) -> str:
    value = getattr(option.record(), option.field)
    if value is None or value is False or value == ():
        return ""
    return f" ({','.join(f'{v:g}' for v in value) if isinstance(value, tuple) else value})"
