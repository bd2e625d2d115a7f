"""Freezing a network's statistics: passes over the image, each through the network as far as the next of them."""

from __future__ import annotations

import math
import tempfile
import time
import uuid
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewise import stats
from tilewise.block import process, show
from tilewise.cache import cache_folder
from tilewise.child import call
from tilewise.errors import ModelError, SettingError, StoppedError, explain
from tilewise.events import Advanced, Ended, Started, tell
from tilewise.geometry import source_box
from tilewise.model import Model
from tilewise.norms import Norms, Row
from tilewise.planning import decide
from tilewise.plugin import hand_out, take_back
from tilewise.settings import Cut, Graph, Results
from tilewise.surveying import survey
from tilewise.task import Job, find_job, infer_with, open_model, read
from tilewise.wave import drive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distributed import Client

    from tilewise.events import Observer
    from tilewise.openers.spec import ImageSpec
    from tilewise.plans import Plan
    from tilewise.settings import Asked
    from tilewise.stats import Moments, Statistics

SAMPLE = 16
"""Blocks that ``sample`` looks at."""


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
    image: ImageSpec,
    model: Model,
    asked: Asked,
    *,
    known: Norms | None = None,
    observers: tuple[Observer, ...] = (),
) -> Frozen:
    """Gather statistics and rewrite the network; nothing is written but to the user's cache.

    Args:
        client: where passes run.
        image: over which statistics are taken.
        model: with normalizations or pooling over the whole image.
        asked: pixels, cut and machine of the run.
        known: statistics of an earlier run; what lacks is gathered.
        observers: are told of each pass.

    Raises:
        SettingError: there is nothing to freeze, or it cannot be frozen.
        StoppedError: a pass failed.
    """
    made = decide(image, model.spec, asked)
    _check(made)
    norms = known or Norms(model.spec.sha256, asked.graph.freeze_norms)
    job = hand_out(client, Job(uuid.uuid4().hex[:12], made, model.prepared(), asked.machine.device))
    try:
        with tempfile.TemporaryDirectory(prefix="tilewise-") as scratch:
            base = Path(scratch) / "prepared.onnx"
            base.write_bytes(job.model)
            statistics: Statistics | None = None
            while True:
                told = _step(base, made, norms, Path(scratch) / "next.onnx")
                if not told["sites"]:
                    raise _pointless(made)
                if told["tensor"] is None:
                    return _keep(Path(scratch) / "next.onnx", model, norms, told["sites"])
                if statistics is None and made.recipe.normalization.needs_statistics:
                    statistics = survey(client, job, observers)
                norms = norms.add(told["tensor"], _gather(client, job, told, Path(scratch), statistics, observers))
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
    rows = {name: [[v.hex() for v in getattr(row, key)] for key in ("mean", "variance", "maximum")]
            for name, row in norms.rows.items()}  # fmt: skip
    request = {"path": str(base), "image": model.input_name, "shapes": shapes, "known": rows, "out": str(out)}
    return call("tilewise.freeze", Path(model.path), request)


def _keep(place: Path, model: Model, norms: Norms, sites: Sequence[dict[str, Any]]) -> Frozen:
    """The rewritten network as a file whose name is its content's: the same statistics give the same file."""
    import hashlib

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


def _gather(
    client: Client,
    job: Job,
    told: dict[str, Any],
    scratch: Path,
    statistics: Statistics | None,
    observers: tuple[Observer, ...],
) -> Row:
    """One pass: the tensor's moments over the whole image, or over some blocks of it."""
    prefix = scratch / f"{uuid.uuid4().hex}.onnx"
    (scratch / "next.onnx").rename(prefix)
    inner = Model(prefix, Graph(layout=job.plan.model.layout, output_layout=told["layout"], output_name=told["tensor"]))
    made = _plan_pass(job.plan, inner, told)
    own = hand_out(client, Job(uuid.uuid4().hex[:12], made, inner.prepared(), job.device, statistics))
    numbers = _choose(made, job.plan.asked.graph.freeze_norms)
    words = f"statistics of {told['tensor']}"
    tell(observers, Started(words, len(numbers), 0, made.image_pixels // made.blocks.total))
    begin, merged = time.monotonic(), None
    try:
        wave = drive(client, gather_block, "freeze", numbers, (own.run,))
        with closing(wave):
            for done, landed in enumerate(wave, 1):
                if landed.error is not None:
                    raise StoppedError(f"{words}: {explain(landed.error)}") from landed.error
                found = landed.result
                merged = found if merged is None else [a + b for a, b in zip(merged, found, strict=True)]
                tell(observers, Advanced(words, done, 0, f"block {landed.number}"))
    finally:
        take_back(client, own)
    tell(observers, Ended(words, time.monotonic() - begin))
    return _row(merged or [], told["tensor"])


def _plan_pass(whole: Plan, inner: Model, told: dict[str, Any]) -> Plan:
    """The cut for a pass: of the image padded as the untiled network would see it."""
    image, asked = whole.image, whole.asked
    spec = inner.spec
    if spec.halo is None or not spec.exact:
        site = next(s for s in told["sites"] if s["tensor"] == told["tensor"])
        raise ModelError(
            f"{site['operator']} cannot be frozen: what lies before it is {spec.verdict} ({spec.reason})",
            "local operators before it",
            "Run without --freeze-norms; --audit measures what tiles change.",
        )
    padded = dict(zip(whole.spatial, (axis.padded for axis in whole.grid.axes[whole.lead :]), strict=True))
    stretched = replace(image, shape=tuple(padded.get(a, n) for a, n in zip(image.axes, image.shape, strict=True)))
    mine = replace(asked, results=Results(output="raw"), cut=Cut(pad=asked.cut.pad, halo="exact"))
    made = decide(stretched, spec, mine)
    return replace(made, image=image, recipe=replace(made.recipe, shape=whole.grid.shape))


def _choose(made: Plan, mode: str) -> Sequence[int]:
    """All blocks, or some that are spread evenly."""
    total = made.blocks.total
    if mode != "sample" or total <= SAMPLE:
        return range(total)
    return sorted({(2 * k + 1) * total // (2 * SAMPLE) for k in range(SAMPLE)})


def gather_block(run: str, number: int) -> list[Moments]:
    """Moments of each channel over one block; runs on a worker."""
    job = find_job(run)
    plan = job.plan
    span = plan.blocks.span(plan.blocks.index(number))
    box = source_box(span.window, plan.recipe.shape, plan.recipe.pad)
    pixels = show(read(plan, box), box, span.window, plan.recipe)
    infer = infer_with(open_model(job), plan)
    (made,) = process(pixels, span, plan.recipe, statistics=job.statistics, infer=infer)
    cell = [int(m * q) for m, q in zip(plan.model.multiple, plan.model.scale, strict=True)]
    return [stats.moments_of_cells(channel, cell) for channel in made.reshape(made.shape[plan.lead :])]


def _row(merged: Sequence[Moments], tensor: str) -> Row:
    if any(m.nan or m.inf for m in merged):
        raise StoppedError(f"{tensor} holds values that are not finite: its statistics are none")
    means = [m.total / m.count for m in merged]
    variances = [m.squares / m.count - mean * mean for m, mean in zip(merged, means, strict=True)]
    return Row(
        tuple(float(mean) for mean in means),
        tuple(max(float(variance), 0.0) for variance in variances),
        tuple(float(m.maximum or 0.0) for m in merged),
    )
