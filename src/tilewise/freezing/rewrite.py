"""A network with its statistics as constants: gathered one after the other, put in by a child process."""

from __future__ import annotations

import hashlib
import math
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewise.cache import cache_folder
from tilewise.child import call
from tilewise.errors import SettingError
from tilewise.freezing.passes import gather
from tilewise.model import Model
from tilewise.norms import Norms
from tilewise.plugin import hand_out, take_back
from tilewise.settings import Graph
from tilewise.surveying import survey
from tilewise.task import Job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distributed import Client

    from tilewise.events import Observer
    from tilewise.plans import Plan
    from tilewise.stats import Statistics


@dataclass(frozen=True, slots=True)
class Frozen:
    """A network without global statistics."""

    model: Model
    """It, as a file of its own in the user's cache."""
    norms: Norms
    """What was put into it."""
    sites: tuple[str, ...]
    """Operators that were replaced, for people."""


def freeze(
    client: Client,
    made: Plan,
    model: Model,
    *,
    known: Norms | None = None,
    observers: tuple[Observer, ...] = (),
) -> Frozen:
    """Gather statistics and rewrite the network; nothing is written but to the user's cache.

    Args:
        client: where passes run.
        made: a plan for the network as it is; statistics are taken over its image.
        model: with normalizations or pooling over the whole image.
        known: statistics of an earlier run; what lacks is gathered.
        observers: are told of each pass.

    Raises:
        SettingError: there is nothing to freeze, or it cannot be frozen.
        StoppedError: a pass failed.
    """
    _check(made)
    norms = known or Norms(made.model.sha256, made.asked.graph.freeze_norms)
    job = hand_out(client, Job(uuid.uuid4().hex[:12], made, model.prepared(), made.machine.device))
    try:
        with tempfile.TemporaryDirectory(prefix="tilewise-") as scratch:
            base, following = Path(scratch) / "prepared.onnx", Path(scratch) / "next.onnx"
            base.write_bytes(job.model)
            statistics: Statistics | None = None
            while True:
                told = _step(base, made, norms, following)
                if not told["sites"]:
                    raise _pointless(made)
                if told["tensor"] is None:
                    return _keep(following, model, norms, told["sites"])
                if statistics is None and made.recipe.normalization.needs_statistics:
                    statistics = survey(client, job, observers)
                norms = norms.add(told["tensor"], gather(client, job, told, following, statistics, observers))
    finally:
        take_back(client, job)


def _check(made: Plan) -> None:
    """Refuse what has no one set of statistics."""
    model = made.model
    if model.fixed_size is not None or any(model.lead) or any(model.trail) or model.vector:
        raise SettingError(
            f"--freeze-norms with {model.path}",
            "a model of free size whose output is as large as its input, times its scale",
            "Leave it out.",
        )
    if math.prod(made.grid.shape[: made.lead]) > 1:
        axes = made.image.axes
        raise SettingError(
            f"--freeze-norms with an image of several planes ({axes} {list(made.image.shape)})",
            "one plane or volume, for each has statistics of its own",
            "Choose one with --region, for example --region z=0:1 or t=0:1.",
        )


def _pointless(made: Plan) -> SettingError:
    return SettingError(
        f"--freeze-norms with {made.model.path}, which has nothing to freeze ({made.verdict}: {made.reason})",
        "a model with InstanceNormalization, GroupNormalization or global pooling",
        "Leave it out.",
    )


def _step(base: Path, made: Plan, norms: Norms, out: Path) -> dict[str, Any]:
    """Have the child rewrite the graph with what is known."""
    model = made.model
    shapes = []
    for more in (0, 1):
        # small, free of symmetry, on the model's grid and larger than what it could pool away
        sides = [max(4, -(-32 // m)) * m + (more + 2 * k) * m + r
                 for k, (m, r) in enumerate(zip(model.multiple, model.remainder, strict=True))]  # fmt: skip
        lengths = {"N": 1, "C": model.in_channels, **dict(zip("DHW"[-len(sides) :], sides, strict=True))}
        shapes.append([lengths[letter] for letter in model.layout])
    request = {
        "path": str(base),
        "image": model.input_name,
        "shapes": shapes,
        "known": norms.to_json(),
        "out": str(out),
    }
    return call("tilewise.freeze", Path(model.path), request)


def _keep(place: Path, model: Model, norms: Norms, sites: Sequence[dict[str, Any]]) -> Frozen:
    """The rewritten network as a file whose name is its content's: the same statistics give the same file."""
    content = place.read_bytes()
    folder = cache_folder() / "frozen"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{Path(model.path).stem}-{hashlib.sha256(content).hexdigest()[:16]}.onnx"
    if not kept.exists():
        part = kept.with_suffix(f".{uuid.uuid4().hex}.partial")
        part.write_bytes(content)
        part.replace(kept)
    spec = model.spec
    graph = Graph(layout=spec.layout, output_layout=None if spec.ports else spec.output_layout)
    return Frozen(Model(kept, graph), norms, tuple(str(site["operator"]) for site in sites))
