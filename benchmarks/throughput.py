"""Side by side on the same tiles: the limit, what a careful user writes today, and tilewise.

    python benchmarks/throughput.py [--size smallest|default|full] [--layout NAME ...] [--repeat N] [--keep]

Every contender does its work in a fresh process; they take turns, and medians are shown.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contender import Job
from images import cores, write_image
from layouts import THROUGHPUT, Layout, Size
from meter import Usage, measure
from models import write_model
from report import Table, publish

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


@dataclass
class Contender:
    """One way to do the job, and what it used each time."""

    name: str
    """In tables."""
    row: str
    """Of contender.CONTENDERS."""
    gather: int = 1
    """Cores a side of its chunks."""
    workers: int = 0
    """Subprocesses, for tilewise."""
    usages: list[Usage] = field(default_factory=list)
    """One a repeat."""
    own: list[dict[str, float]] = field(default_factory=list)
    """What it measured itself: its work without start-up."""
    differing: int | None = None
    """Labels that are not those of tilewise."""

    def median(self, name: str) -> float:
        """Of what it measured itself."""
        return statistics.median(one[name] for one in self.own)

    @property
    def wall(self) -> float:
        """Seconds of work."""
        return self.median("wall")

    @property
    def cpu(self) -> float:
        """CPU seconds of work."""
        return self.median("cpu")

    @property
    def whole(self) -> float:
        """Seconds from the start of the process to its end."""
        return statistics.median(one.wall for one in self.usages)

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "wall": self.wall,
            "cpu": self.cpu,
            "whole_wall": self.whole,
            "whole_cpu": statistics.median(one.cpu for one in self.usages),
            "peak_memory": max(one.peak for one in self.usages),
            "differing": self.differing,
            "each": self.own,
        }


def measure_layout(layout: Layout, size: Size, repeat: int, folder: Path) -> tuple[list[Table], dict[str, Any]]:
    """All contenders on one layout."""
    shape = layout.shapes[size]
    job = Job(
        image=str(write_image(folder / f"{layout.name}.zarr", shape, layout.chunk, layout.axes, layout.dtype)),
        model=str(write_model(layout.model, folder)),
        out="",
        reference=str(folder / f"{layout.name}-reference"),
        tile=layout.tile,
        halo=layout.halo,
        ndim=layout.spatial_ndim,
        cores=cores(),
    )
    _prepare_reference(job)
    contenders = _contenders(layout, shape, size)
    for number in range(repeat):
        for contender in contenders if number == 0 else _worth_repeating(contenders):
            _take_turn(contender, job)
    return _tables(layout, shape, contenders), {
        "layout": layout.name,
        "shape": shape,
        "tile": layout.tile,
        "halo": layout.halo,
        "repeat": repeat,
        "contenders": [contender.facts() for contender in contenders],
        "ratios": {name: value for name, value, _ in _ratios(layout, contenders)},
    }


def _prepare_reference(job: Job) -> None:
    """Run tilewise once outside of the measurement: the labels to compare with, and the model's inspection cached."""
    out = f"{job.reference}.zarr"
    if not Path(f"{job.reference}.npy").exists():
        _start("tilewise", replace(job, out=out))
        np.save(f"{job.reference}.npy", _labels(out))


def _contenders(layout: Layout, shape: tuple[int, ...], size: Size) -> list[Contender]:
    longest = max(shape[-layout.spatial_ndim :])
    gathers = [m for m in layout.gather if m == 1 or m * layout.core * 2 <= longest]
    gathers = gathers[:1] if size == "smallest" else gathers
    made = [Contender("loop, 1 thread x n", "loop 1 x n")]
    if size != "smallest" or layout is THROUGHPUT[0]:
        made.append(Contender("loop, n threads x 1", "loop n x 1"))
    made.append(Contender("zarr copy", "copy"))
    for row, name in (("careful threads", "map_overlap, threads"), ("careful cluster", "map_overlap, LocalCluster")):
        if row == "careful threads" or size != "smallest" or layout is THROUGHPUT[0]:
            made += [Contender(f"{name}, chunks of {m * layout.core}", row, gather=m) for m in gathers]
    made.append(Contender("tilewise.run", "tilewise"))
    if size != "smallest" or layout is THROUGHPUT[0]:
        made.append(Contender(f"tilewise.run, {max(2, cores())} workers", "tilewise", workers=max(2, cores())))
    return made


def _worth_repeating(contenders: list[Contender]) -> list[Contender]:
    """All but the chunk sizes that lost in the first round."""
    kept = []
    for contender in contenders:
        rivals = [c for c in contenders if c.row == contender.row and c.gather > 1]
        if contender.gather == 1 or contender.own[0]["wall"] <= min(c.own[0]["wall"] for c in rivals):
            kept.append(contender)
    return kept


def _take_turn(contender: Contender, job: Job) -> None:
    with tempfile.TemporaryDirectory(dir=Path(job.reference).parent, prefix="out-") as place:
        out = f"{place}/labels.zarr"
        os.sync()  # what an earlier contender left to be written is not for this one to wait for
        usage = _start(contender.row, replace(job, out=out, gather=contender.gather, workers=contender.workers))
        contender.usages.append(usage)
        contender.own.append(json.loads(usage.output.strip().splitlines()[-1]))
        if contender.differing is None and Path(out).exists():
            contender.differing = int((_labels(out) != np.load(f"{job.reference}.npy")).sum())
    print(f"{contender.name}: {contender.own[-1]['wall']:.2f} s", file=sys.stderr, flush=True)


def _start(row: str, job: Job) -> Usage:
    command = [sys.executable, str(HERE / "contender.py"), row, json.dumps(asdict(job))]
    return measure(command, environment={"TILEWISE_CACHE": str(Path(job.reference).parent / "cache")})


def _labels(out: str) -> np.ndarray:
    import zarr

    found = zarr.open(out, mode="r")
    return (found["0"] if isinstance(found, zarr.Group) else found)[:]


def _tables(layout: Layout, shape: tuple[int, ...], contenders: list[Contender]) -> list[Table]:
    sizes = " x ".join(map(str, shape))
    times = Table(
        f"{layout.name}: {sizes} {layout.dtype}, tile {layout.tile}, halo {layout.halo} ({layout.why})",
        ("contender", "wall s", "CPU s", "wall with start-up", "CPU with start-up", "peak MB", "labels that differ"),
    )
    for contender in contenders:
        facts = contender.facts()
        times.rows.append(
            (
                contender.name,
                facts["wall"],
                facts["cpu"],
                facts["whole_wall"],
                facts["whole_cpu"],
                round(facts["peak_memory"] / 1e6),
                facts["differing"],
            )
        )
    times.notes.append(
        "wall and CPU without start-up: for the loop and the copy what the words say, for map_overlap from building "
        "the graph to the last write (imports, workers and sessions are there), for tilewise its phase of blocks"
    )
    ratios = Table(
        f"{layout.name}: ratios of wall seconds", ("ratio", "value", "goal"), list(_ratios(layout, contenders))
    )
    return [times, ratios]


def _ratios(layout: Layout, contenders: list[Contender]) -> Iterator[tuple[str, float, str]]:
    limit = min(c.wall for c in contenders if c.row.startswith("loop"))
    copied = next(c.wall for c in contenders if c.row == "copy")
    ran = next(c for c in contenders if c.row == "tilewise" and not c.workers)
    unet = layout.model == "unet"
    yield "tilewise / (loop + copy)", ran.wall / (limit + copied), "at most 1.10" if unet else ""
    for row, name, goal in (
        ("careful threads", "threads", {2: 1.5, 3: 2.0}),
        ("careful cluster", "LocalCluster", {2: 3.0, 3: 5.0}),
    ):
        own = [c for c in contenders if c.row == row]
        if not own:
            continue
        wanted = "" if unet else f"at least {goal[layout.spatial_ndim]:g}"
        yield f"map_overlap, {name}, one tile a chunk / tilewise", own[0].wall / ran.wall, wanted
        if len(own) > 1:
            best = min(own, key=lambda c: c.wall)
            side = best.gather * layout.core
            wanted = "" if unet else "above 1"
            yield f"map_overlap, {name}, best chunks ({side}) / tilewise", best.wall / ran.wall, wanted
            yield f"the same with start-up of both ({name})", best.whole / ran.whole, ""


@contextmanager
def work_folder(place: str | None) -> Iterator[Path]:
    """Where images and outputs lie: a folder that is kept, or one that goes away."""
    if place is not None:
        Path(place).mkdir(parents=True, exist_ok=True)
        yield Path(place)
        return
    made = Path(tempfile.mkdtemp(prefix="tilewise-benchmark-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def run(
    size: Size, *, names: list[str] | None = None, repeat: int = 3, keep: bool = False, folder: str | None = None
) -> bool:
    """Measure layouts; true if all contenders gave the same labels."""
    tables: list[Table] = []
    facts = []
    for layout in THROUGHPUT:
        if names and layout.name not in names:
            continue
        with work_folder(folder and f"{folder}/throughput-{size}") as place:
            shown, found = measure_layout(layout, size, repeat, place)
        tables += shown
        facts.append(found)
    publish("throughput" if not names else f"throughput-{'-'.join(names)}", tables, {"layouts": facts}, keep=keep)
    return all(not c["differing"] for found in facts for c in found["contenders"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("smallest", "default", "full"), default="default")
    parser.add_argument("--layout", nargs="+", choices=[layout.name for layout in THROUGHPUT])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", help="keep images here and use them again")
    parser.add_argument("--keep", action="store_true", help="write the tables into results/")
    asked = parser.parse_args()
    equal = run(asked.size, names=asked.layout, repeat=asked.repeat, keep=asked.keep, folder=asked.folder)
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
