"""How pixels become the numbers that the model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tilewise.errors import SettingError
from tilewise.settings.choice import check_choice

if TYPE_CHECKING:
    from tilewise.steps import Step


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
    eps: float = 0.0
    """Added to what standardize, minmax and percentile divide by."""
    before: tuple[Step, ...] = ()
    """Pointwise steps before it, from a description; statistics are of what they give."""
    after: tuple[Step, ...] = ()
    """Pointwise steps after it, from a description."""

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
        # written so that what is not a number is refused too
        if not all(s > 0 for s in self.std):
            given = ",".join(f"{s:g}" for s in self.std)
            raise SettingError(f"--std {given}", "numbers above 0", "Give the standard deviations of training.")
        if not 0 <= self.eps < float("inf"):
            raise SettingError(f"--eps {self.eps:g}", "0 or a small number above it", "For example --eps 1e-6")

    def check_whole(self) -> None:
        """Refuse what only a model's contract could have completed, and has not."""
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

    @property
    def identity(self) -> bool:
        """True if pixels go in as they are."""
        return self.kind == "none" and not self.before and not self.after

    @property
    def of_tile(self) -> bool:
        """True if it takes statistics of each tile alone."""
        return self.kind not in {"none", "fixed"} and self.scope == "tile"

    @property
    def needs_statistics(self) -> bool:
        """True if a pass over the image has to come first."""
        return self.kind in {"standardize", "minmax", "percentile"} and self.scope != "tile"
