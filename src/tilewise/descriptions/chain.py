"""A chain of processing in bioimage.io's words, as fields of a contract.

What the steps mean: https://bioimage-io.github.io/spec-bioimage-io/bioimageio/spec/model/v0_5.html and v0_4.html.
A chain has at most one step that looks at the image's statistics; what comes before and after it is pointwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tilewise.descriptions.contract import Extent, Unmet
from tilewise.descriptions.links import EPS, CannotError, has_numbers, read_fixed, read_link, read_number
from tilewise.descriptions.tensors import letter_of
from tilewise.steps import Step

if TYPE_CHECKING:
    from tilewise.descriptions.tensors import Described, Op

STATISTICS = ("zero_mean_unit_variance", "scale_range")
"""Steps that look at all pixels."""


@dataclass(slots=True)
class Chain:
    """A chain as far as it has been read."""

    tensor: Described
    before: list[Step] = field(default_factory=list)
    middle: dict[str, Any] = field(default_factory=dict)
    after: list[Step] = field(default_factory=list)


def read_before(tensor: Described) -> tuple[dict[str, Any], tuple[Unmet, ...]]:
    """How pixels become numbers: fields of a contract, and what cannot be met."""
    chain = Chain(tensor)
    for op in tensor.ops:
        try:
            _extend(chain, op)
        except CannotError as error:
            return {}, (Unmet(group="normalize", what=f"{op.kind} of the input: {error}"),)
    if not chain.middle:
        chain.before, chain.after = [], chain.before
        chain.middle = _line(chain) or {"normalize": "none"}
    made = {**chain.middle, "before": tuple(chain.before), "after": tuple(chain.after)}
    return {name: value for name, value in made.items() if value != ()}, ()


def read_after(tensor: Described, channels: int | None) -> tuple[dict[str, Any], tuple[Unmet, ...]]:
    """What becomes of an output of so many channels: fields of a contract, and what cannot be met."""
    steps: list[Step] = []
    dtype = None
    for op in tensor.ops:
        try:
            made = read_link(tensor, op)
        except CannotError as error:
            return {}, (Unmet(group="output", what=f"{op.kind} of the output: {error}"),)
        steps += [made] if made is not None else []
        if op.kind == "ensure_dtype" and op.options.get("dtype") == "float16":
            dtype = "float16"
    said: dict[str, Any] = {"output": "scores", "activation": "none"}
    if steps and steps[0].kind in {"sigmoid", "softmax"}:
        said["activation"] = steps.pop(0).kind
    while len(steps) > 1 and steps[-2].kind == "binarize" and steps[-1].kind == "cast":
        # 0 and 1 stay what they are in any type
        steps.pop()
    if channels == 1 and steps and steps[-1].kind == "binarize":
        # bioimage.io's 1 is above the threshold, tilewise's at or above it: the next number
        threshold = _next(steps.pop().a[0])
        said |= {"output": "labels", "threshold": threshold}
    elif dtype is not None:
        said["dtype"] = dtype
    return said | ({"steps": tuple(steps)} if steps else {}), ()


def _next(threshold: float) -> float:
    import numpy as np

    return float(np.nextafter(np.float32(threshold), np.float32(np.inf)))


def _extend(chain: Chain, op: Op) -> None:
    if op.kind in STATISTICS and not has_numbers(op):
        _see(chain, _statistic(chain.tensor, op))
        return
    first = not (chain.middle or chain.before or chain.after)
    if first and has_numbers(op):
        mean, std = read_fixed(chain.tensor, op)
        chain.middle = {"normalize": "fixed", "mean": mean, "std": std}
        return
    made = read_link(chain.tensor, op)
    if made is None:
        return
    if chain.middle.get("normalize") == "percentile" and not chain.after and _is_unit(made):
        chain.middle["clip"] = True
        return
    (chain.after if chain.middle else chain.before).append(made)


def _see(chain: Chain, statistic: dict[str, Any]) -> None:
    """Put a step that looks at statistics in the middle; what is there already has to make room."""
    known = chain.middle
    if known.get("normalize") == "fixed":
        mean, std = known["mean"], known["std"]
        line = Step(kind="linear", a=tuple(1 / s for s in std), b=tuple(-m / s for m, s in zip(mean, std, strict=True)))
        chain.before, chain.after = [line, *chain.after], []
    elif known:
        same = all(known[name] == statistic[name] for name in ("scope", "stats"))
        if not same or known.get("clip") or any(not _rises(step) for step in chain.after):
            raise CannotError("a second look at the statistics")
        # a straight line that rises does not change what the next statistic makes of the pixels
        chain.after = []
    chain.middle = statistic


def _rises(step: Step) -> bool:
    return step.kind == "linear" and len(step.a) == len(step.b) == 1 and step.a[0] > 0


def _is_unit(step: Step) -> bool:
    return step.kind == "clip" and step.a == (0.0,) and step.b == (1.0,)


def _statistic(tensor: Described, op: Op) -> dict[str, Any]:
    reference = op.options.get("reference_tensor")
    if reference is not None and str(reference) != tensor.name:
        raise CannotError(f"statistics of another tensor ({reference})")
    said = {**_group(tensor, op), "eps": read_number(op, "eps", EPS)}
    if op.kind == "zero_mean_unit_variance":
        return {"normalize": "standardize", **said}
    low, high = read_number(op, "min_percentile", 0.0), read_number(op, "max_percentile", 100.0)
    if (low, high) == (0.0, 100.0):
        return {"normalize": "minmax", "range": (0.0, 1.0), **said}
    if not 0 <= low < high <= 100:
        raise CannotError(f"percentiles {low:g} and {high:g}")
    return {"normalize": "percentile", "percentiles": (low, high), **said}


def _group(tensor: Described, op: Op) -> dict[str, str]:
    """Over which pixels a statistic is taken: all axes that are named are reduced together.

    A sample is what the model sees of a stack without tiling: a slice. A data set is not at hand: the image stands
    for it.
    """
    asked = op.options.get("axes")
    mode = str(op.options.get("mode", "per_sample"))
    if not asked:
        return {"scope": "image" if not op.old or mode == "per_dataset" else "slice", "stats": "all"}
    letters = {letter_of(str(axis)) for axis in asked}
    space = {axis.letter for axis in tensor.spatial if axis.extent is None or axis.extent != Extent(least=1)}
    left = space - letters
    if left:
        raise CannotError(f"statistics for each {', '.join(sorted(left))} by itself")
    dataset = "b" in letters or (op.old and mode == "per_dataset")
    # with one channel both are the same; with several, what is not named is kept apart
    together = "c" in letters or "c" not in tensor.letters
    return {"scope": "image" if dataset else "slice", "stats": "all" if together else "channel"}


def _line(chain: Chain) -> dict[str, Any]:
    """A chain of one rising line, as the normalization that has options."""
    if len(chain.after) != 1 or chain.after[0].kind != "linear" or min(chain.after[0].a) <= 0:
        return {}
    line = chain.after.pop()
    count = max(len(line.a), len(line.b))
    a, b = (numbers * count if len(numbers) == 1 else numbers for numbers in (line.a, line.b))
    return {
        "normalize": "fixed",
        "mean": tuple(0.0 if y == 0 else -y / x for x, y in zip(a, b, strict=True)),
        "std": tuple(1 / x for x in a),
    }
