"""The options of ``plan`` and ``run``: one row each, from the command line's words to the settings' records."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilewise import typed
from tilewise.errors import SettingError
from tilewise.settings import Asked, Behaviour, Cut, Graph, Machine, Normalization, Pixels, Results

if TYPE_CHECKING:
    from collections.abc import Callable


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


OPTIONS = (
    Option(
        "--tile", typed.read_sizes, Cut, "tile", "Pixels a side that the model sees: auto, 512, or 64,256,256 (z,y,x)."
    ),
    Option(
        "--halo",
        typed.read_halo,
        Cut,
        "halo",
        "Context on each side of a core: auto, exact, pixels, or the error that it may cost: 1e-3.",
    ),
    Option("--overlap", typed.read_pixels, Cut, "overlap", "Pixels shared by neighbouring tiles: twice the halo."),
    Option(
        "--stride",
        typed.read_pixels,
        Cut,
        "stride",
        "Pixels from tile to tile for models that give one vector a tile: the tile if not given.",
    ),
    Option("--blend", typed.read_same, Cut, "blend", "How tiles are joined: trim."),
    Option(
        "--block",
        typed.read_sizes,
        Cut,
        "block",
        "Pixels a side of a block, the unit of work and of writing: auto or sizes.",
    ),
    Option("--batch", typed.read_count, Cut, "batch", "Tiles in one call of the model: auto or a number."),
    Option("--pad", typed.read_same, Cut, "pad", "Beyond the far edge: reflect, edge or constant."),
    Option("--axes", typed.read_same, Pixels, "axes", "Axes of a plain array, from t c z y x in its order."),
    Option("--level", typed.read_level, Pixels, "level", "Resolution level; 0 is the finest."),
    Option("--field", typed.read_same, Pixels, "field", "Field of a plate: B/03/0, or B/03 for the well's first."),
    Option("--region", typed.read_region, Pixels, "region", "Part that counts as the image: y=0:4096,x=0:4096."),
    Option(
        "--pixel-size",
        typed.read_floats,
        Pixels,
        "pixel_size",
        "Micrometres of a pixel in y and x, or z,y,x: the level that has it within 10 %.",
    ),
    Option("--resample", typed.read_same, Pixels, "resample", "Scale on the fly where no level has it.", bool),
    Option("--mask", typed.read_same, Pixels, "mask", "Tiles to compute: an image (any pixel above 0), or auto."),
    Option("--channels", typed.read_channels, Pixels, "channels", "all, or numbers in the model's order: 0,2."),
    Option(
        "--neighbours",
        typed.read_neighbours,
        Pixels,
        "neighbours",
        "For 2.5-D models: planes on each side along z or t that go in as channels, plane by plane, as z:1 (edge planes"
        " are repeated; each plane is normalized like any other).",
    ),
    Option("--normalize", typed.read_same, Normalization, "kind", "none, standardize, minmax, fixed or percentile."),
    Option("--scope", typed.read_same, Normalization, "scope", "Statistics over the image, each slice, or each tile."),
    Option("--stats", typed.read_same, Normalization, "stats", "Statistics for each channel, or over all."),
    Option("--range", typed.read_pair, Normalization, "range", "Where minmax puts the smallest and largest pixel."),
    Option("--mean", typed.read_floats, Normalization, "mean", "What fixed subtracts: one number, or one a channel."),
    Option("--std", typed.read_floats, Normalization, "std", "What fixed divides by: one number, or one a channel."),
    Option("--percentiles", typed.read_pair, Normalization, "percentiles", "What percentile maps to 0 and 1."),
    Option("--clip", typed.read_same, Normalization, "clip", "Clip percentile's result to 0..1.", bool),
    Option("--eps", typed.read_float, Normalization, "eps", "Added to what statistics are divided by."),
    Option("--output", typed.read_same, Results, "output", "scores, labels or raw."),
    Option("--activation", typed.read_same, Results, "activation", "none, sigmoid or softmax."),
    Option("--threshold", typed.read_float, Results, "threshold", "A single-channel score at or above it is label 1."),
    Option("--dtype", typed.read_same, Results, "dtype", "Type of the scores: float32, float16 or uint8 (scaled)."),
    Option("--score-range", typed.read_pair, Results, "score_range", "Scores that become 0 and 255 with uint8."),
    Option("--flip", typed.read_same, Results, "flip", "Average over tiles flipped along these axes: yx."),
    Option("--rotate", typed.read_same, Results, "rotate", "Average over quarter turns in y x, too.", bool),
    Option("--average", typed.read_same, Results, "average", "What flips and turns are averaged of: raw or scores."),
    Option("--ome-zarr", typed.read_same, Results, "ome_zarr", "Version of the output: 0.5 (auto) or 0.4."),
    Option("--levels", typed.read_count, Results, "levels", "Resolution levels: auto (until 512 pixels), or a number."),
    Option("--downsample", typed.read_same, Results, "downsample", "Coarser levels by mean, mode or nearest, or auto."),
    Option("--labels-into", typed.read_same, Results, "labels_into", "Write into IMAGE, at labels/NAME; no OUT.", bool),
    Option("--name", typed.read_same, Results, "name", "What labels that go into the image are called."),
    Option("--layout", typed.read_same, Graph, "layout", "Axes of the model's input: NCHW, NHWC, NCDHW, NDHWC."),
    Option("--output-layout", typed.read_same, Graph, "output_layout", "Axes of the model's output."),
    Option("--output-name", typed.read_same, Graph, "output_name", "Which of several outputs."),
    Option("--input", typed.read_inputs, Graph, "inputs", "Value of a further input: NAME=VALUE.", list[str]),
    Option(
        "--freeze-norms",
        typed.read_same,
        Graph,
        "freeze_norms",
        "Put statistics that the network takes of the whole image into it: none, exact, sample, or a file of them.",
    ),
    Option("--free-size", typed.read_same, Graph, "free_size", "Free a declared fixed size.", bool),
    Option("--contract", typed.read_same, Graph, "contract", "What the model says of itself: follow or ignore."),
    Option("--device", typed.read_same, Machine, "device", "auto, cpu, cuda or cuda:1."),
    Option(
        "--workers",
        typed.read_count,
        Machine,
        "workers",
        "auto (one inside this process), or a number of subprocesses.",
    ),
    Option("--threads", typed.read_count, Machine, "threads", "Blocks at once in a worker: auto or a number."),
    Option("--memory", typed.read_bytes, Machine, "memory", "What a worker may use: auto, or a size such as 4GB."),
    Option("--scheduler", typed.read_same, Machine, "scheduler", "Address of a running Dask scheduler."),
    Option("--nan", typed.read_same, Behaviour, "nan", "NaN and infinite pixels: keep (and count), or error."),
    Option("--missing", typed.read_same, Behaviour, "missing", "Chunks that the image lacks: error, or fill."),
    Option("--overwrite", typed.read_same, Behaviour, "overwrite", "Replace an output of an earlier run.", bool),
)

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
        SettingError: a value that cannot be read, or two that exclude each other.
    """
    values: dict[type, dict[str, Any]] = {}
    given = {option: text for option, text in chosen.items() if text is not None and text != []}
    for option, text in given.items():
        values.setdefault(option.record, {})[option.field] = option.parse(option.flag, text)

    def made(record: type) -> Any:
        return record(**values.get(record, {}))

    if Normalization in values:
        values.setdefault(Pixels, {})["normalization"] = made(Normalization)
    # --level 0 is the default: only here it can be told from none
    if {"--level", "--pixel-size"} <= {option.flag for option in given}:
        raise SettingError("--level and --pixel-size", "one of the two", "Leave one of them out.")
    asked = values.get(Results, {})
    if asked.get("labels_into") and asked.get("output", "labels") != "labels":
        got = f"--labels-into with --output {asked['output']}"
        raise SettingError(got, "labels", "Use --output labels, or name an OUT.")
    return Asked(
        cut=made(Cut),
        pixels=made(Pixels),
        results=made(Results),
        graph=made(Graph),
        machine=made(Machine),
        behaviour=made(Behaviour),
        given=frozenset(_name(option) for option in given),
    )


def _name(option: Option) -> str:
    return option.flag.lstrip("-").replace("-", "_")


def _default(option: Option) -> str:
    value = getattr(option.record(), option.field)
    if value is None or value is False or value == ():
        return ""
    return f" ({','.join(f'{v:g}' for v in value) if isinstance(value, tuple) else value})"
