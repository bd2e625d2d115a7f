"""What is written."""

from __future__ import annotations

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
    dtype: Literal["float32", "float16"] = "float32"
    """Type of the scores."""
    steps: tuple[Step, ...] = ()
    """Pointwise steps after the activation, from a description; not for raw."""

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
