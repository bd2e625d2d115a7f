"""Running the test tensors that come with a description: the whole way from pixels to what is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewise.descriptions.package import Package
from tilewise.errors import ModelError, SettingError
from tilewise.lazy import predict
from tilewise.settings import Cut, Pixels

if TYPE_CHECKING:
    import numpy as np

    from tilewise.descriptions.contract import Trial
    from tilewise.model import Model


@dataclass(frozen=True, slots=True)
class Tried:
    """What a test of a model came to."""

    difference: float
    """Largest difference from what is expected."""
    beyond: float
    """Part of the values that differ by more than is tolerated."""
    trial: Trial
    """The test."""

    @property
    def passed(self) -> bool:
        """True if no more values differ than the description allows."""
        return self.beyond <= self.trial.rate

    def to_json(self) -> dict[str, Any]:
        """What ``tilewise inspect --test --json`` prints."""
        return {
            "difference": self.difference,
            "beyond": self.beyond,
            "tolerance": {"absolute": self.trial.absolute, "relative": self.trial.relative, "rate": self.trial.rate},
            "passed": self.passed,
        }

    def __repr__(self) -> str:
        word = "passed" if self.passed else "failed"
        bound = f"{self.trial.absolute:g} + {self.trial.relative:g} of the value"
        return f"{word}: largest difference {self.difference:.3g}, {self.beyond:.2%} of the values beyond {bound}"


def try_out(model: Model) -> Tried:
    """Run a model on its test input, as ``run`` would without a flag, and compare with its test output.

    Raises:
        ModelError: there are no test tensors, or they cannot be read or compared.
    """
    import numpy as np

    trial = model.contract.trial
    if trial is None:
        raise ModelError(
            f"{model.path} comes without test tensors",
            "a bioimage.io description with a test input and a test output",
            "Leave --test out.",
        )
    given = _read(trial, trial.given)
    expected = _read(trial, trial.expected)
    found = _run(model, given, trial.given_axes.replace("b", "t"))
    wanted = _arrange(expected, trial.expected_axes)
    if found.squeeze().shape != wanted.squeeze().shape:
        raise ModelError(
            f"a result of shape {list(found.shape)} for the test input",
            f"{list(wanted.shape)}, as the test output has",
            "Check the axes, the sizes and the postprocessing of the description.",
        )
    found, wanted = found.squeeze().astype(np.float64), wanted.squeeze().astype(np.float64)
    with np.errstate(invalid="ignore"):
        off = np.abs(found - wanted)
    off[np.isnan(found) & np.isnan(wanted) | (found == wanted)] = 0
    # written so that what is not a number is beyond
    beyond = ~(off <= trial.absolute + trial.relative * np.abs(wanted))
    return Tried(float(off.max(initial=0)), float(beyond.mean()) if beyond.size else 0.0, trial)


def _read(trial: Trial, file: tuple[str, str | None]) -> np.ndarray:
    import numpy as np

    place = Package(Path(trial.package), trial.name).file(*file)
    axes = trial.given_axes if file == trial.given else trial.expected_axes
    try:
        with place.open("rb") as stream:
            found = np.lib.format.read_array(stream, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{place} is no array of NumPy ({error})", "a test tensor as npy", "Download it again."
        ) from error
    if found.ndim != len(axes):
        raise ModelError(
            f"the test tensor {place.name} has shape {list(found.shape)}",
            f"{len(axes)} axes ({axes})",
            "Correct the description or the tensor.",
        )
    return np.asarray(found)


def _run(model: Model, given: np.ndarray, axes: str) -> np.ndarray:
    import numpy as np

    space = [n for a, n in sorted(zip(axes, given.shape, strict=True), key=lambda p: "tczyx".index(p[0])) if a in "zyx"]
    pixels = Pixels(axes=axes)
    try:
        # in one piece if the model takes it: the test is one of the description, not of tiles
        made = predict(given, model, cut=Cut(tile=tuple(space)), pixels=pixels)
    except SettingError:
        made = predict(given, model, pixels=pixels)
    first = next(iter(made.values())) if isinstance(made, dict) else made
    return np.asarray(first)


def _arrange(expected: np.ndarray, axes: str) -> np.ndarray:
    """Axes in the order of a result: batch, channels, space."""
    order = sorted(range(len(axes)), key=lambda k: "bitczyx".index(axes[k]))
    return expected.transpose(order)
