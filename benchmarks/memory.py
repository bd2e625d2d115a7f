"""Peak memory of a worker: beside images of several sizes, and beside the formula that ``tilewise plan`` prints.

python benchmarks/memory.py [--size smallest|default|full] [--keep]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from images import write_image
from layouts import LOADS, MEMORY, MEMORY_SHAPES, Load, Size
from meter import Usage, measure
from models import write_model
from report import Table, publish
from throughput import work_folder

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 1_000_000_000
"""Bytes that the worker may use while the image grows."""

PLENTY = "64GB"
"""No limit, where the formula itself is measured."""

LOOSE = 4.0
"""A bound of more than so many times the peak helps nobody."""


def compare_images(size: Size, folder: Path) -> tuple[Table, list[dict[str, Any]]]:
    """Images of growing size through one worker of 1 GB."""
    table = Table(
        f"images through one worker limited to {LIMIT / 1e9:g} GB ({MEMORY.model}, default tile and block)",
        ("image", "GB", "blocks", "seconds", "worker peak MB", "client peak MB", "bound of plan MB", "within"),
    )
    facts = []
    for shape in MEMORY_SHAPES[size]:
        image = write_image(folder / "image.zarr", shape, MEMORY.chunk, MEMORY.axes, MEMORY.dtype)
        given = ["--output", "labels", "--workers", "1", "--memory", str(LIMIT)]
        found = run_and_plan(image, write_model(MEMORY.model, folder), given, folder)
        found |= {"shape": shape, "bytes": _bytes(shape)}
        facts.append(found)
        table.rows.append(
            (
                " x ".join(map(str, shape)),
                _bytes(shape) / 1e9,
                found["blocks"],
                found["seconds"],
                _mb(found["worker"]),
                _mb(found["client"]),
                _mb(found["bound"]),
                found["worker"] <= min(found["bound"], LIMIT),
            )
        )
        _remove(image)
    return table, facts


def calibrate(size: Size, folder: Path) -> tuple[Table, list[dict[str, Any]]]:
    """Peaks of many configurations beside the formula."""
    table = Table(
        "the formula: one worker process, several loads",
        ("load", "peak MB", "bound MB", "bound / peak", "base", "threads x tiles", "threads x read", "threads x write"),
    )
    facts = []
    for load in LOADS[size]:
        image = _image_of(load, folder)
        given = ["--tile", load.tile, "--halo", load.halo, "--block", load.block, "--batch", load.batch]
        given += ["--threads", load.threads, "--output", load.output, "--workers", 1, "--memory", PLENTY]
        found = run_and_plan(image, write_model(load.model, folder), list(map(str, given)), folder)
        found |= {"load": name_load(load)}
        facts.append(found)
        parts = found["parts"]
        table.rows.append(
            (
                name_load(load),
                _mb(found["worker"]),
                _mb(found["bound"]),
                found["bound"] / found["worker"],
                _mb(parts["base"]),
                *(_mb(load.threads * parts[name]) for name in ("tiles", "read", "write")),
            )
        )
    ratios = [f["bound"] / f["worker"] for f in facts]
    table.notes.append(f"bound / peak from {min(ratios):.2f} to {max(ratios):.2f}: below 1 it does not hold")
    return table, facts


def name_load(load: Load) -> str:
    """One line."""
    more = (f"batch {load.batch}" if load.batch > 1 else "", f"{load.threads} threads" if load.threads > 1 else "")
    words = [load.model, load.dtype, load.output, f"tile {load.tile}", f"block {load.block}", *filter(None, more)]
    return ", ".join(words)


def run_and_plan(image: Path, model: Path, given: list[str], folder: Path) -> dict[str, Any]:
    """Plan, then run, with the same options; peaks by process."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="out-") as place:
        words = [str(image), str(model), f"{place}/labels.zarr", *given, "--json"]
        planned = json.loads(_tilewise("plan", words, folder).output)
        usage = _tilewise("run", [*words, "--quiet"], folder)
    result = json.loads(usage.output)
    return {
        "bound": planned["memory_per_worker"],
        "parts": _parts(image, model, given),
        "blocks": planned["blocks"],
        "tile": planned["tile"],
        "block": planned["block"],
        "seconds": usage.wall,
        "worker": usage.peaks["worker"],
        "client": usage.peaks["client"],
        "told": result["peak_memory"],
    }


def _tilewise(command: str, words: list[str], folder: Path) -> Usage:
    environment = {"TILEWISE_CACHE": str(folder / "cache")}
    return measure([sys.executable, "-m", "tilewise", command, *words], environment=environment, label=_role)


def _role(line: list[str]) -> str:
    words = " ".join(line)
    if "dask_worker" in words:
        return "worker"
    return "client" if "-m tilewise " in words else "other"


def _parts(image: Path, model: Path, given: list[str]) -> dict[str, int]:
    """The formula's terms, which the command line does not print."""
    from tilewise import Cut, Machine, Results, plan

    asked = dict(zip(given[::2], given[1::2], strict=True))
    cut = Cut(**{name: int(asked[f"--{name}"]) for name in ("tile", "halo", "block", "batch") if f"--{name}" in asked})
    threads = int(asked["--threads"]) if "--threads" in asked else "auto"
    memory = 64_000_000_000 if asked["--memory"] == PLENTY else int(asked["--memory"])
    machine = Machine(workers=1, threads=threads, memory=memory)
    found = plan(image, model, cut=cut, results=Results(output=asked["--output"]), machine=machine).memory
    return {name: getattr(found, name) for name in ("base", "read", "tiles", "write", "threads")}


def _image_of(load: Load, folder: Path) -> Path:
    ndim = len(load.shape)
    axes, chunk = ("zyx", (64, 64, 64)) if load.model == "layer-3d" else ("cyx", (3, 512, 512))
    name = "x".join(map(str, load.shape[:ndim]))
    return write_image(folder / f"{name}-{load.dtype}.zarr", load.shape, chunk, axes, load.dtype)


def _bytes(shape: tuple[int, ...]) -> int:
    total = 1
    for n in shape:
        total *= n
    return total


def _mb(count: float) -> int:
    return round(count / 1e6)


def _remove(image: Path) -> None:
    import shutil

    shutil.rmtree(image)


def run(size: Size, *, keep: bool = False) -> bool:
    """Measure; true if no worker used more than its bound, or a bound that is absurd."""
    import os

    with work_folder(None) as folder:
        os.environ["TILEWISE_CACHE"] = str(folder / "cache")
        loads, measured = calibrate(size, folder)
        images, grown = compare_images(size, folder)
    publish("memory", [images, loads], {"images": grown, "loads": measured}, keep=keep)
    held = all(f["worker"] <= f["bound"] <= LOOSE * f["worker"] for f in measured)
    return held and all(f["worker"] <= min(f["bound"], LIMIT) for f in grown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("smallest", "default", "full"), default="default")
    parser.add_argument("--keep", action="store_true", help="write the tables into results/")
    asked = parser.parse_args()
    sys.exit(0 if run(asked.size, keep=asked.keep) else 1)


if __name__ == "__main__":
    main()
