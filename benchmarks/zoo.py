"""The zoo of models in tests/specimens: what inspect claims of each against brute force, and tiled against whole runs.

    python benchmarks/zoo.py [--size smallest|default|full] [--keep] [--only NAME]

A row a specimen: how many of its claims are right (layout, output layout, multiple, radius, scale, fixed size, fixed
batch, verdict; multiple and radius as measured by cutting, over random weights), and the largest difference of a tiled
run to the untiled one, as a fraction of the range. The smallest size runs one specimen in six, and checks all claims.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

# behind our own folder: both have files of the same name
sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

import brute
from report import Table, publish
from specimens import SPECIMENS
from tiled import compare

if TYPE_CHECKING:
    from layouts import Size
    from specimens import Specimen
    from tilewise.spec import ModelSpec

SHARE = 6
"""At the smallest size one specimen in so many is run."""
CLAIMS = ("layout", "output layout", "multiple", "radius", "scale", "fixed size", "fixed batch", "verdict")


def examine(specimen: Specimen, folder: Path) -> ModelSpec:
    """In this process: a child each would take minutes."""
    from tilewise.proof.examine import examine as inspect
    from tilewise.proof.runner import Clock

    path = folder / "model.onnx"
    path.write_bytes(specimen.build(0).SerializeToString())
    return inspect(path, specimen.graph, Clock(time.monotonic() + 60)).spec


def judge(specimen: Specimen, spec: ModelSpec) -> dict[str, bool]:
    """Which claims are right."""
    local = not specimen.whole and not specimen.fixed and specimen.output_layout != "NC"
    radius = None if specimen.radius is None else specimen.axes(specimen.radius)
    smaller = False
    if local:
        cuts = [brute.cut(specimen, axis) for axis in range(specimen.ndim)]
        smaller = any(cut.smaller for cut in cuts) and not specimen.coarse
        # never less than measured, and an index to spare at most, where coordinates are rounded
        spare = 1 if spec.verdict == "exact to rounding" or specimen.coarse else 0
        measured = [max(cut.before, cut.after) for cut in cuts]
        fits = spec.radius is not None and all(m <= r <= m + spare for m, r in zip(measured, spec.radius, strict=True))
    else:
        fits = spec.radius == radius
    scale = specimen.axes(specimen.scales[0] if specimen.scales else specimen.scale)
    right = (
        spec.layout == specimen.layout,
        spec.output_layout == (specimen.output_layout or specimen.layout),
        spec.multiple == specimen.axes(specimen.multiple) and not smaller,
        fits,
        spec.scale == scale,
        spec.fixed_size == specimen.fixed,
        spec.fixed_batch == specimen.batch,
        spec.verdict == specimen.verdict and specimen.word in spec.reason,
    )
    return dict(zip(CLAIMS, right, strict=True))


def run(size: Size, *, keep: bool = False, only: str = "") -> bool:
    """Check every specimen; true if all claims are right and all exact runs differ by 0."""
    columns = (
        "model",
        "layouts",
        "multiple",
        "radius",
        "verdict",
        "claims right",
        "wrong",
        "tiled to whole",
        "as said",
    )
    table = Table("the zoo", columns)
    rows = []
    for k, specimen in enumerate(s for s in SPECIMENS if only in s.name):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            spec = examine(specimen, folder)
            right = judge(specimen, spec)
            chance = specimen.name == "random"
            runs = not chance and (size != "smallest" or k % SHARE == 0)
            difference = compare(specimen, folder).difference if runs else None
        allowed = 1e-5 if spec.verdict == "exact to rounding" else 0.0
        kept = difference is None or difference <= allowed
        wrong = ", ".join(name for name, ok in right.items() if not ok)
        rows.append({"name": specimen.name, "claims": right, "difference": difference, "kept": kept})
        table.rows.append(
            (
                specimen.name,
                f"{spec.layout} -> {', '.join(port.layout for port in spec.written)}",
                spec.multiple,
                spec.radius or "none",
                spec.verdict,
                f"{sum(right.values())} of {len(right)}",
                wrong or "-",
                "not run" if difference is None else difference,
                "yes" if kept else "NO",
            )
        )
    claims = sum(sum(row["claims"].values()) for row in rows)
    run_ = [row for row in rows if row["difference"] is not None]
    total = Table("in all", ("models", "claims right", "of", "run in tiles", "as said"))
    total.rows.append((len(rows), claims, len(rows) * len(CLAIMS), len(run_), sum(row["kept"] for row in run_)))
    publish("zoo", [table, total], {"rows": rows}, keep=keep)
    return claims == len(rows) * len(CLAIMS) and all(row["kept"] for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("smallest", "default", "full"), default="default")
    parser.add_argument("--keep", action="store_true", help="write the tables into results/")
    parser.add_argument("--only", default="", help="part of a specimen's name")
    asked = parser.parse_args()
    sys.exit(0 if run(asked.size, keep=asked.keep, only=asked.only) else 1)


if __name__ == "__main__":
    main()
