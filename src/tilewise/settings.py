"""What a user can ask for: small frozen records, one a concern, each field with its line.

Names, values and defaults are those of the command line, where a field ``scope`` is the option ``--scope``.
Numbers per axis are in spatial order (z, y, x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tilewise.errors import SettingError

Sizes = int | tuple[int, ...]
"""One number for every spatial axis, or one an axis in order (z, y, x)."""


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a value that is none of the choices."""
    if value not in choices:
        raise SettingError(
            f"{option} {value}", f"one of {', '.join(choices)}", f"Give one of them, or leave {option} out."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How the image is cut into tiles and blocks."""

    tile: Sizes | Literal["auto"] = "auto"
    """Pixels a side of what the model sees in one go."""
    halo: Sizes | float | Literal["auto", "exact"] = "auto"
    """Pixels of context on each side of a core, a tolerance below 1, or how to choose."""
    overlap: Sizes | None = None
    """Pixels shared by neighbouring tiles: twice the halo. Give one of the two."""
    blend: Literal["trim"] = "trim"
    """How overlapping tiles are joined: trimmed to their cores."""
    block: Sizes | Literal["auto"] = "auto"
    """Pixels a side of a block, the unit of work and of writing; rounded up to whole cores."""
    batch: int | Literal["auto"] = "auto"
    """Tiles in one call of the model."""
    pad: Literal["reflect", "edge", "constant"] = "reflect"
    """What stands beyond the far edge, from the image's size up to the model's grid."""

    def __post_init__(self) -> None:
        check_choice("--blend", self.blend, ("trim",))
        check_choice("--pad", self.pad, ("reflect", "edge", "constant"))
        if self.overlap is not None and self.halo != "auto":
            raise SettingError(
                f"--halo {self.halo} and --overlap {self.overlap}",
                "one of the two (overlap is twice the halo)",
                "Leave one of them out.",
            )
        for option, value in (("--tile", self.tile), ("--block", self.block)):
            numbers = value if isinstance(value, tuple) else (value,)
            if any(isinstance(n, int) and n < 1 for n in numbers):
                given = ",".join(map(str, numbers))
                raise SettingError(f"{option} {given}", "a size of at least 1 pixel", f"Give {option} auto or a size.")
        shared = self.overlap if isinstance(self.overlap, tuple) else (self.overlap or 0,)
        if any(n < 0 for n in shared):
            raise SettingError(
                f"--overlap {','.join(map(str, shared))}", "no negative number", "Give pixels, or leave --overlap out."
            )
        if isinstance(self.batch, int) and self.batch < 1:
            raise SettingError(f"--batch {self.batch}", "at least 1 tile", "Give --batch auto or a number of tiles.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalization:
    """How pixels become the numbers that the model was trained on."""

    kind: Literal["none", "standardize", "minmax", "fixed", "percentile"] = "none"
    """none; (x - mean) / std; min..max to the range; (x - mean) / std with given numbers; two percentiles to 0..1."""
    scope: Literal["image", "slice", "tile"] = "image"
    """Over which pixels statistics are taken: all, each 2-D or 3-D image of a stack, or each tile (seams!)."""
    stats: Literal["channel", "all"] = "channel"
    """Statistics for each channel by itself, or one set over all."""
    range: tuple[float, float] = (0.0, 1.0)
    """Where minmax puts the smallest and the largest pixel."""
    mean: tuple[float, ...] = ()
    """What fixed subtracts: one number, or one a channel."""
    std: tuple[float, ...] = ()
    """What fixed divides by: one number, or one a channel."""
    percentiles: tuple[float, float] = (1.0, 99.8)
    """The two percentiles that become 0 and 1."""
    clip: bool = False
    """Clip percentile's result to 0..1."""

    def __post_init__(self) -> None:
        check_choice("--normalize", self.kind, ("none", "standardize", "minmax", "fixed", "percentile"))
        check_choice("--scope", self.scope, ("image", "slice", "tile"))
        check_choice("--stats", self.stats, ("channel", "all"))
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise SettingError(
                f"--percentiles {low},{high}", "two rising numbers within 0 and 100", "For example --percentiles 1,99.8"
            )
        if not self.range[0] < self.range[1]:
            raise SettingError(
                f"--range {self.range[0]},{self.range[1]}", "two rising numbers", "For example --range 0,1"
            )
        if self.kind == "fixed" and not (self.mean and self.std):
            raise SettingError(
                "--normalize fixed without its numbers", "--mean and --std", "For example --mean 127.5 --std 127.5"
            )
        if self.kind != "fixed" and (self.mean or self.std):
            raise SettingError(
                f"--mean or --std with --normalize {self.kind}",
                "them only with --normalize fixed",
                "Add --normalize fixed, or leave them out.",
            )
        # written so that what is not a number is refused too
        if not all(s > 0 for s in self.std):
            given = ",".join(f"{s:g}" for s in self.std)
            raise SettingError(f"--std {given}", "numbers above 0", "Give the standard deviations of training.")

    @property
    def needs_statistics(self) -> bool:
        """True if a pass over the image has to come first."""
        return self.kind in {"standardize", "minmax", "percentile"} and self.scope != "tile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """Which pixels go in, and how they are normalized."""

    axes: str | None = None
    """Axis names of a plain array, in its order, from t c z y x; OME-Zarr says its own."""
    level: int = 0
    """Resolution level of a pyramid; 0 is the finest."""
    channels: tuple[int, ...] | Literal["all"] = "all"
    """Which channels, in the order in which the model takes them."""
    normalization: Normalization = Normalization()
    """How pixels become the model's numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What is written."""

    output: Literal["scores", "labels", "raw"] = "scores"
    """Scores after the activation; labels by threshold or argmax; or what the model gives, untouched."""
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    """What is applied to the model's output; softmax over its channels."""
    threshold: float = 0.5
    """A single-channel score at or above it is label 1."""
    dtype: Literal["float32", "float16"] = "float32"
    """Type of the scores."""

    def __post_init__(self) -> None:
        check_choice("--output", self.output, ("scores", "labels", "raw"))
        check_choice("--activation", self.activation, ("none", "sigmoid", "softmax"))
        check_choice("--dtype", self.dtype, ("float32", "float16"))
        if self.output == "raw" and self.activation != "none":
            raise SettingError(
                f"--output raw with --activation {self.activation}",
                "no activation (raw is what the model gives)",
                "Use --output scores, or leave the activation out.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """What the model file does not tell, or tells wrong."""

    layout: str | None = None
    """Order of the input's axes: NCHW, NHWC, NCDHW, NDHWC; told from the graph if not given."""
    output_layout: str | None = None
    """Order of the output's axes."""
    output_name: str | None = None
    """Which of several outputs."""
    inputs: tuple[tuple[str, float], ...] = ()
    """Constant values of further inputs, as (name, value)."""
    free_size: bool = False
    """Free a declared fixed size even where the asked tile does not need it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where it runs."""

    device: str = "auto"
    """auto, cpu, cuda, or cuda:1."""
    workers: int | Literal["auto"] = "auto"
    """auto is one worker inside this process on a CPU; a number starts that many subprocesses."""
    threads: int | Literal["auto"] = "auto"
    """Blocks at once in a worker; on a CPU each runs the model in one thread of its own."""
    memory: int | Literal["auto"] = "auto"
    """Bytes a worker may use."""
    scheduler: str | None = None
    """Address of a running Dask scheduler."""

    def __post_init__(self) -> None:
        if self.device not in {"auto", "cpu", "cuda"} and not (
            self.device.startswith("cuda:") and self.device[5:].isdigit()
        ):
            raise SettingError(f"--device {self.device}", "auto, cpu, cuda or cuda:N", "Name one, or use auto.")
        for option, value in (("--workers", self.workers), ("--threads", self.threads)):
            if isinstance(value, int) and value < 1:
                raise SettingError(f"{option} {value}", "at least 1", f"Give {option} auto or a number.")
        if self.scheduler is not None and self.workers != "auto":
            raise SettingError(
                f"--workers {self.workers} with --scheduler",
                "one of the two (a running scheduler has its own workers)",
                "Leave one of them out.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What happens when something is odd."""

    nan: Literal["keep", "error"] = "keep"
    """NaN and infinite pixels of the input: counted and kept, or their block fails."""
    missing: Literal["error", "fill"] = "fill"
    """Chunks that the image does not have: the fill value, as zarr means it (and counted), or an error."""
    overwrite: bool = False
    """Replace an output that carries tilewise's record."""

    def __post_init__(self) -> None:
        check_choice("--nan", self.nan, ("keep", "error"))
        check_choice("--missing", self.missing, ("error", "fill"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """All that a user asked for."""

    cut: Cut = Cut()
    """Tiles, halos, blocks."""
    pixels: Pixels = Pixels()
    """What goes in."""
    results: Results = Results()
    """What comes out."""
    graph: Graph = Graph()
    """What the model file does not tell."""
    machine: Machine = Machine()
    """Where it runs."""
    behaviour: Behaviour = Behaviour()
    """What happens when something is odd."""
