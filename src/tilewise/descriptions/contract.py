"""What a model says of itself, whatever wrote it down: one neutral record, None where nothing is said."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilewise.steps import Step

Sizes = tuple[int, ...]

NORMALIZATION = ("normalize", "scope", "stats", "range", "mean", "std", "percentiles", "clip", "eps", "before", "after")
"""Fields that belong together: how pixels become the model's numbers."""
RESULTS = ("output", "activation", "threshold", "dtype", "steps")
"""Fields that belong together: what becomes of the model's output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """Something that a description asks for and tilewise does not do."""

    group: str
    """normalize, output or output_name: the option that, given as a flag, takes its place."""
    what: str
    """In words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Which lengths a description allows along one axis: least + n * step."""

    least: int
    """The smallest; the only one if step is 0."""
    step: int = 0
    """Between one and the next."""

    def to_json(self) -> dict[str, int]:
        """As a description would say it."""
        return {"min": self.least, "step": self.step}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Test tensors of a description: where their files are, and how close a result has to come."""

    package: str
    """The folder or archive."""
    name: str
    """The description's name in it."""
    given: tuple[str, str | None]
    """What goes in, as npy: source and sha256."""
    expected: tuple[str, str | None]
    """What has to come out, after all postprocessing."""
    given_axes: str
    """A letter an axis, from b i t c z y x."""
    expected_axes: str
    """A letter an axis."""
    absolute: float = 1e-3
    """Tolerated difference."""
    relative: float = 1e-3
    """Tolerated difference, as a part of the expected value."""
    rate: float = 1e-4
    """Part of the pixels that may differ more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What a model says of itself. Numbers per axis are in spatial order (z, y, x).

    A field whose name is that of an option holds what the option would; None says nothing.
    """

    layout: str | None = None
    """Axes of the input, such as NCHW."""
    output_layout: str | None = None
    """Axes of the output."""
    output_name: str | None = None
    """Which of several outputs."""
    channels: Sizes | None = None
    """Numbers of the image's channels, in the model's order."""
    channel_names: tuple[str, ...] | None = None
    """What the input's channels show, in the model's order."""
    class_names: tuple[str, ...] | None = None
    """What the output's channels, or labels from 0 on, stand for."""
    pixel_size: tuple[float, ...] | None = None
    """Micrometres a pixel that the model was made for; one number for all axes, or one an axis."""
    tile: Sizes | None = None
    """Pixels a side."""
    halo: Sizes | None = None
    """Context on each side."""
    normalize: str | None = None
    """Kind of normalization."""
    scope: str | None = None
    """Over which pixels."""
    stats: str | None = None
    """For each channel, or over all."""
    range: tuple[float, float] | None = None
    """Of minmax."""
    mean: tuple[float, ...] | None = None
    """Of fixed."""
    std: tuple[float, ...] | None = None
    """Of fixed."""
    percentiles: tuple[float, float] | None = None
    """Of percentile."""
    clip: bool | None = None
    """Of percentile."""
    eps: float | None = None
    """Added to what is divided by."""
    before: tuple[Step, ...] | None = None
    """Steps before the normalization."""
    after: tuple[Step, ...] | None = None
    """Steps after it."""
    output: str | None = None
    """scores, labels or raw."""
    activation: str | None = None
    """none, sigmoid or softmax."""
    threshold: float | None = None
    """Of labels."""
    dtype: str | None = None
    """Of scores."""
    steps: tuple[Step, ...] | None = None
    """Steps after the activation."""
    extents: tuple[Extent, ...] | None = None
    """Lengths that the input may have."""
    in_channels: int | None = None
    """How many channels go in."""
    out_channels: int | None = None
    """How many come out."""
    unmet: tuple[Unmet, ...] = ()
    """What it asks for in vain."""
    notes: tuple[str, ...] = ()
    """What a user should know."""
    trial: Trial | None = None
    """Test tensors."""
    origins: tuple[tuple[str, str], ...] = ()
    """(field, the description that it comes from)."""

    def origin(self, name: str) -> str:
        """Where a field comes from."""
        return dict(self.origins).get(name, "")

    def plain(self, name: str) -> Any:
        """A field as JSON holds it."""
        return _plain(getattr(self, name))

    def said(self) -> dict[str, Any]:
        """Every field that says something, by its name."""
        return {name: value for name in FIELDS if (value := getattr(self, name)) is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.to_json() if hasattr(value, "to_json") else value


FIELDS = tuple(f.name for f in fields(Contract) if f.default is None and f.name != "trial")
"""Fields with something to say of a run."""

SILENT = Contract()
"""A model that says nothing."""


def sign(contract: Contract, origin: str) -> Contract:
    """The same, with every field that says something coming from one description."""
    return replace(contract, origins=tuple((name, f"contract ({origin})") for name in contract.said()))


def merge(first: Contract, second: Contract) -> Contract:
    """The first, and the second where the first is silent.

    How pixels become numbers, and what becomes of the output, are taken whole from one of the two.
    """
    mine, theirs = first.said(), second.said()
    for head, group in (("normalize", NORMALIZATION), ("output", RESULTS), ("activation", RESULTS)):
        if head in mine:
            theirs = {name: value for name, value in theirs.items() if name not in group}
    unmet = tuple(u for u in second.unmet if not set(mine) & {"activation", u.group})
    return replace(
        first,
        **{name: value for name, value in theirs.items() if name not in mine},
        unmet=first.unmet + unmet,
        notes=first.notes + second.notes,
        trial=first.trial or second.trial,
        origins=first.origins + tuple((n, o) for n, o in second.origins if n in theirs and n not in mine),
    )
