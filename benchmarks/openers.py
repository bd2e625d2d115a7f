"""Every image that the libraries of the field write, read by tilewise: a row each, equal or what differs.

python benchmarks/openers.py [--size smallest|default|full] [--keep]

Rows of ome-zarr-py and ngff-zarr need an interpreter that has them, named by TILEWISE_WRITERS if it is not this one.
The smallest size leaves them out. Rows of real images need ../shared/data.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from report import Table, publish

if TYPE_CHECKING:
    from layouts import Size

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
import written

FOREIGN = ("ome-zarr-py", "ngff-zarr")
"""What the smallest size leaves out."""


def run(size: Size, *, keep: bool) -> bool:
    """Print the table; True if every image is read as the library that wrote it reads it."""
    table = Table("Images read as the libraries that wrote them read them", ("image", "written by", "pixels", "equal"))
    differing = 0
    for title, write in written.WRITERS.items():
        if size == "smallest" and title in FOREIGN:
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows = write(Path(folder))
            if not rows:
                table.notes.append(f"{title}: left out, there is none here")
            for row in rows or ():
                fault = written.compare(row)
                differing += fault is not None
                shape = " x ".join(map(str, row.pixels.shape))
                level = f", level {row.level}" if row.level else ""
                pixels = f"{row.axes} {shape} {row.pixels.dtype}"
                table.rows.append((f"{row.name}{level}", row.writer, pixels, "yes" if fault is None else fault))
    table.notes.append(f"{len(table.rows)} images and levels, {differing} differ")
    publish("openers", [table], {"images": len(table.rows), "differing": differing}, keep=keep)
    return differing == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("smallest", "default", "full"), default="default")
    parser.add_argument("--keep", action="store_true", help="into benchmarks/results/")
    given = parser.parse_args()
    sys.exit(0 if run(given.size, keep=given.keep) else 1)


if __name__ == "__main__":
    main()
