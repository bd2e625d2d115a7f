"""What is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tilewise.errors import SettingError
from tilewise.settings.choice import check_choice

if TYPE_CHECKING:
    from tilewise.steps import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What is written."""

    output: Literal["scores", "labels", "raw"] = "scores"
    """Scores after the activation; labels by threshold or argmax; or what the model gives, untouched."""
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    """What is applied to the model's output; softmax over its channels."""
    threshold: float = 0.5
    """A single-channel score at or above it is label 1."""
    dtype: Literal["float32", "float16", "uint8"] = "float32"
    """Type of the scores; uint8 holds them scaled, and the output says how."""
    steps: tuple[Step, ...] = ()
    """Pointwise steps after the activation, from a description; not for raw."""
    score_range: tuple[float, float] | None = None
    """Scores that become 0 and 255 as uint8; 0 to 1 after an activation."""
    flip: str = ""
    """Axes along which each tile is computed flipped, too, and the results averaged: some of z y x."""
    rotate: bool = False
    """Quarter turns in the plane y x as well; tiles have to be square there."""
    average: Literal["raw", "scores"] = "raw"
    """What is averaged over flips and turns: what the model gives, or scores after the activation."""
    ome_zarr: Literal["auto", "0.4", "0.5"] = "auto"
    """Version of the output: 0.5 in zarr 3, or 0.4 in zarr 2; auto is 0.5, or what the image is that labels go into."""
    levels: int | Literal["auto"] = "auto"
    """Resolution levels, the finest included; auto goes on until no side is longer than 512 pixels."""
    downsample: Literal["auto", "mean", "mode", "nearest"] = "auto"
    """How pixels become one of a coarser level; auto is the mode of labels and integers, and the mean of scores."""
    labels_into: bool = False
    """Write labels into the image itself, at ``labels/<name>``."""
    name: str | None = None
    """What they are called there."""

    def __post_init__(self) -> None:
        check_choice("--output", self.output, ("scores", "labels", "raw"))
        check_choice("--activation", self.activation, ("none", "sigmoid", "softmax"))
        check_choice("--dtype", self.dtype, ("float32", "float16", "uint8"))
        check_choice("--average", self.average, ("raw", "scores"))
        if not set(self.flip) <= set("zyx") or len(set(self.flip)) != len(self.flip):
            raise SettingError(f"--flip {self.flip}", "each letter once, from z y x", "For example --flip yx")
        check_choice("--ome-zarr", self.ome_zarr, ("auto", "0.4", "0.5"))
        check_choice("--downsample", self.downsample, ("auto", "mean", "mode", "nearest"))
        if self.output == "raw" and self.activation != "none":
            raise SettingError(
                f"--output raw with --activation {self.activation}",
                "no activation (raw is what the model gives)",
                "Use --output scores, or leave the activation out.",
            )
        if self.levels != "auto" and self.levels < 1:
            raise SettingError(f"--levels {self.levels}", "auto, or at least 1", "--levels 1 is the finest alone.")
        if self.score_range is not None and not self.score_range[0] < self.score_range[1]:
            low, high = self.score_range
            raise SettingError(
                f"--score-range {low:g},{high:g}", "the lower number first", "For example --score-range -5,5"
            )
        self._settle_labels()

    @property
    def turned(self) -> bool:
        """True if each tile is computed in several positions."""
        return bool(self.flip) or self.rotate

    @property
    def averages_scores(self) -> bool:
        """True if the activation comes before the mean over positions."""
        return self.turned and self.average == "scores"

    def _settle_labels(self) -> None:
        """What goes into an image are its labels."""
        if self.labels_into and self.output == "raw":
            raise SettingError("--labels-into with --output raw", "labels", "Use --output labels, or name an OUT.")
        if self.labels_into and not self.name:
            raise SettingError("--labels-into without --name", "what the labels are called", "Add --name nuclei.")
        if self.name and not re.fullmatch(r"(?!tilewise$)[A-Za-z0-9_-][A-Za-z0-9._-]*", self.name):
            raise SettingError(
                f"--name {self.name!r}", "letters, digits, dot, dash and underscore", "Choose another name."
            )
        if self.name and not self.labels_into:
            raise SettingError(
                f"--name {self.name} without --labels-into", "a name of labels in the image", "Add --labels-into."
            )
        if self.labels_into:
            object.__setattr__(self, "output", "labels")
