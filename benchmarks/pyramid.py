"""What coarser levels cost: peak memory of the worker, and seconds, beside the same run without them.

python benchmarks/pyramid.py [--size smallest|default|full] [--keep]

Ends with 1 if the worker outgrows the bound that ``tilewise plan`` gave, or a coarser pixel is not that of the level
below it.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from images import write_image
from memory import LIMIT, _role
from meter import measure
from models import write_model
from report import Table, publish
from throughput import work_folder

if TYPE_CHECKING:
    from pathlib import Path

    from layouts import Size

SHAPES: dict[Size, tuple[int, ...]] = {
    "smallest": (3, 1400, 1400),
    "default": (3, 6000, 6000),
    "full": (3, 18_300, 18_300),
}
"""Of the image; scores of three channels are four times as many bytes: 24 MB, 430 MB, 4.0 GB."""

OUTPUTS = ("scores", "labels")
"""Means of floats, and modes of a byte."""


def run_one(image: Path, model: Path, out: Path, output: str, levels: str, cache: Path) -> dict[str, Any]:
    """One run through one worker; what it took and what it tells."""
    words = [str(image), str(model), str(out), "--output", output, "--levels", levels, "--workers", "1", "--json"]
    words += ["--memory", str(LIMIT)]
    program = [sys.executable, "-m", "tilewise"]
    environment = {"TILEWISE_CACHE": str(cache)}
    planned = json.loads(measure([*program, "plan", *words], environment=environment).output)
    usage = measure([*program, "run", *words, "--quiet"], environment=environment, label=_role)
    stages = json.loads((out / "tilewise" / "tally.json").read_text())["stages"]
    return {
        "bound": planned["memory_per_worker"],
        "levels": planned["levels"][0],
        "bytes": planned["bytes_written"],
        "wall": usage.wall,
        "worker": usage.peaks["worker"],
        "client": usage.peaks["client"],
        "result": json.loads(usage.output),
        "share": stages.get("shrink", 0.0) / sum(stages.values()),
        "stages": stages,
    }


def check_levels(out: Path, output: str) -> bool:
    """A stretch of each level against a plain mean of the level below, or for labels that it holds no new value."""
    names = sorted((place.name for place in out.iterdir() if place.name.isdigit()), key=int)
    levels = [zarr.open_array(str(out / name), mode="r") for name in names]
    for finer, coarser in pairwise(levels):
        size = 64
        part = finer[..., : 2 * size, : 2 * size]
        cells = part.reshape(*part.shape[:-2], size, 2, size, 2).astype(np.float64)
        found = coarser[..., :size, :size]
        if output == "labels":
            if not np.isin(found, np.unique(part)).all():
                return False
        elif not np.array_equal(found, cells.mean(axis=(-3, -1)).astype(found.dtype)):
            return False
    return True


def run(size: Size, *, keep: bool = False) -> bool:
    """Measure; true if memory held and the levels are right."""
    columns = (
        "result", "GB with levels", "levels", "coarse shards", "seconds", "seconds without levels",
        "share of worker seconds", "worker peak MB", "without levels MB", "bound MB",
    )  # fmt: skip
    table, facts, passed = Table("coarser levels, through one worker limited to 1 GB", columns), [], True
    with work_folder(None) as folder:
        image = write_image(folder / "image.zarr", SHAPES[size], (3, 512, 512), "cyx")
        model = write_model("layer-2d", folder)
        for output in OUTPUTS:
            found = {}
            for levels in ("1", "auto"):
                out = folder / f"{output}.zarr"
                found[levels] = run_one(image, model, out, output, levels, folder / "cache")
                if levels == "auto":
                    passed &= check_levels(out, output)
                shutil.rmtree(out)
            with_levels, without = found["auto"], found["1"]
            passed &= with_levels["worker"] <= with_levels["bound"]
            table.rows.append(
                (
                    f"{output} of {' x '.join(map(str, SHAPES[size]))}",
                    with_levels["bytes"] / 1e9,
                    with_levels["levels"],
                    with_levels["result"]["levels"]["done"],
                    with_levels["wall"],
                    without["wall"],
                    with_levels["share"],
                    *(round(n / 1e6) for n in (with_levels["worker"], without["worker"], with_levels["bound"])),
                )
            )
            facts.append({"output": output, "shape": SHAPES[size], "runs": found})
    size_gb = math.prod(SHAPES[size]) / 1e9
    table.notes.append(f"image of {size_gb:.2g} GB; the model is one convolution, the cheapest there is")
    publish("pyramid", [table], {"runs": facts}, keep=keep)
    return passed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("smallest", "default", "full"), default="default")
    parser.add_argument("--keep", action="store_true", help="write the table into results/")
    asked = parser.parse_args()
    sys.exit(0 if run(asked.size, keep=asked.keep) else 1)


if __name__ == "__main__":
    main()
