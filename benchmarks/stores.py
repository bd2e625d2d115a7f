"""Stores on a network, by real servers on loopback: images read as from a disk, and races of two runs for one output.

python benchmarks/stores.py [--size smallest|default|full] [--keep]

S3 is moto's server, in a process of its own; the web server answers GET, HEAD and ranges. gs:// and az:// are reached
through the same library, but were never run against the real services.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from report import Table, publish

if TYPE_CHECKING:
    from layouts import Size

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
import written
from servers import BUCKET, KEYS, serve_faults, serve_files, serve_s3

STEPS: dict[Size, int] = {"smallest": 12, "default": 1, "full": 1}
"""Of so many images one is read."""

RACES: dict[Size, int] = {"smallest": 5, "default": 50, "full": 50}

WRITERS = ("zarr", "OME-Zarr")
"""Of images that are read over a network: the others write files, which are not."""

RACER = """
import sys, time
from tilewise.errors import OutputError
from tilewise.lock import acquire
out, start, races = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
for race in range(races):
    while time.time() < start + race:
        time.sleep(0.001)
    try:
        with acquire(f"{out}/{race}"):
            time.sleep(0.6)
        print("went on")
    except OutputError:
        print("refused")
"""


def run(size: Size, *, keep: bool) -> bool:
    """Print the tables; True if every image is equal and every race has one winner."""
    with tempfile.TemporaryDirectory() as folder, serve_s3() as s3, serve_files(Path(folder)) as web:
        os.environ.update(KEYS, AWS_ENDPOINT_URL=s3)
        images, differing = _read_images(Path(folder), web, s3, STEPS[size])
        races, won = _race(RACES[size])
    figures = {"differing": differing, "races": RACES[size], "won by one": won}
    publish("stores", [images, races], figures, keep=keep)
    return differing == 0 and won == RACES[size]


def _read_images(folder: Path, web: str, s3: str, step: int) -> tuple[Table, int]:
    table = Table(
        "Images read over a network as from a disk",
        ("written by", "store", "images and levels", "differ", "requests that were made to fail"),
    )
    total = 0
    for title in WRITERS:
        rows = (written.WRITERS[title](folder / title) or [])[::step]
        _copy(folder / title, f"s3://{BUCKET}/{title}")
        with serve_faults(s3) as faults:
            for store, front in (("s3://", f"s3://{BUCKET}"), ("s3://, one request in twenty fails", None), (web, web)):
                faults.every = 0 if front else 20
                os.environ["AWS_ENDPOINT_URL"] = s3 if front else faults.url
                places = [f"{front or f's3://{BUCKET}'}/{Path(row.path).relative_to(folder)}" for row in rows]
                moved = [replace(row, path=place) for row, place in zip(rows, places, strict=True)]
                found = [fault for fault in map(written.compare, moved) if fault is not None]
                total += len(found)
                failed = 0 if front else len(faults.seen) // 20
                table.rows.append((title, "http://" if front == web else store, len(rows), len(found), failed))
        os.environ["AWS_ENDPOINT_URL"] = s3
    return table, total


def _copy(folder: Path, place: str) -> None:
    from tilewise.store import open_store

    store = open_store(place)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        store.write(file.relative_to(folder).as_posix(), file.read_bytes())


def _race(races: int) -> tuple[Table, int]:
    words = [sys.executable, "-c", RACER, f"s3://{BUCKET}/races", str(time.time() + 4), str(races)]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate()[0].split("\n")[:races] for process in both]
    outcomes = [tuple(sorted(pair)) for pair in zip(*told, strict=True)]
    won = outcomes.count(("refused", "went on"))
    table = Table(
        "Two runs that start at once for one output on s3://", ("races", "exactly one went on", "none", "both")
    )
    table.rows.append((races, won, outcomes.count(("refused",) * 2), outcomes.count(("went on",) * 2)))
    return table, won


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("smallest", "default", "full"), default="default")
    parser.add_argument("--keep", action="store_true", help="into benchmarks/results/")
    given = parser.parse_args()
    sys.exit(0 if run(given.size, keep=given.keep) else 1)


if __name__ == "__main__":
    main()
