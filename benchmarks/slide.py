"""A real slide with and without an automatic tissue mask: seconds, tiles skipped, and what the mask costs.

python benchmarks/slide.py [--size smallest|default|full] [--keep]

It needs ``../shared/data`` beside the checkout, and says so where that is missing. Fails if a nucleus of the unmasked
run is lost, or if the mask's Dice coefficient with Otsu on the saturation of the whole slide is below 0.9.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import build_unet
from report import Table, publish
from throughput import work_folder

# what judges a masked run in the tests judges it here
sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

from slides import THRESHOLD, dice, enlarge, find_lost, otsu, saturation, stain

if TYPE_CHECKING:
    import numpy as np

    from tilewise.result import Result

SLIDE = Path(__file__).parents[2] / "shared" / "data" / "images" / "CMU-1-Small-Region.svs"

PIXEL = 0.5
"""Micrometres: finds the level."""

REPEATS = {"smallest": 1, "default": 3, "full": 5}

BUILDERS = {"density of haematoxylin": stain, "U-Net of the throughput table": build_unet}
"""One that costs next to nothing, and one of 70 to 80 ms a tile of 544 pixels."""


def time_runs(folder: Path, repeat: int) -> tuple[Table, dict[str, Any]]:
    """Both models, with and without the mask, in turns, on one worker that stays."""
    import tilewise
    from tilewise.cluster import connect

    table = Table(
        f"{SLIDE.stem}, level by --pixel-size {PIXEL}, tiles of 256, seconds of a run (planning and mask included)",
        ("model", "whole", "masked", "planning", "with mask", "tiles", "skipped", "blocks", "skipped blocks"),
    )
    facts: dict[str, Any] = {}
    with connect(scheduler=None, workers=0, threads=2, memory=0) as client, client.as_current():
        for number, (name, build) in enumerate(BUILDERS.items()):
            path = folder / f"{number}.onnx"
            path.write_bytes(build().SerializeToString())
            model = tilewise.Model(path)
            model.prepared()
            seconds: dict[str | None, list[float]] = {None: [], "auto": []}
            for turn in range(repeat + 1):
                for mask, each in seconds.items():
                    begin = time.perf_counter()
                    _run(model, folder / f"{number}-{mask}.zarr", mask)
                    # the first turn warms caches
                    each.extend([time.perf_counter() - begin] * bool(turn))
            plans = [_plan(model, mask) for mask in seconds]
            made = plans[1][0]
            row = {mask: statistics.median(each) for mask, each in seconds.items()}
            facts[name] = {"whole": row[None], "masked": row["auto"], "each": [*seconds.values()]}
            table.rows.append(
                (
                    name,
                    row[None],
                    row["auto"],
                    plans[0][1],
                    plans[1][1],
                    made.grid.tiles,
                    made.tiles_skipped,
                    made.blocks.total,
                    made.blocks_skipped,
                )
            )
    return table, facts


def judge(folder: Path) -> tuple[Table, dict[str, Any]]:
    """What the mask has lost, and how far it is Otsu's."""
    import zarr

    from tilewise.geometry import Box
    from tilewise.settings import Pixels
    from tilewise.source import Source, open_view

    whole, masked = (_read(folder / f"0-{mask}.zarr") for mask in (None, "auto"))
    spec = open_view(str(SLIDE), Pixels())
    shape = tuple(spec.shape[spec.axes.index(a)] for a in "yx")
    colour = saturation(Source(spec, "yx").read(Box((), ()), (0, 1, 2), Box((0, 0), shape)))
    tissue = colour > otsu(colour)
    stored = zarr.open_array(folder / "0-auto.zarr" / "tilewise" / "mask", mode="r")[:].astype(bool)
    facts = {
        "dice": float(dice(enlarge(stored, tissue.shape), tissue)),
        "tissue": float(tissue.mean()),
        "nuclei_lost": len(find_lost(whole, masked)),
        "pixels_lost": int(((whole > 0) & (masked == 0)).sum()),
    }
    table = Table("the mask", ("Dice with Otsu on saturation", "tissue", "nuclei lost", "pixels of labels lost"))
    table.rows.append(tuple(facts.values()))
    return table, facts


def _run(model: Any, out: Path, mask: str | None) -> Result:
    import tilewise

    return tilewise.run(
        SLIDE,
        model,
        out,
        cut=_cut(),
        pixels=tilewise.Pixels(pixel_size=(PIXEL,), mask=mask),
        results=tilewise.Results(output="labels", threshold=THRESHOLD),
        behaviour=tilewise.Behaviour(overwrite=True),
    )


def _plan(model: Any, mask: str | None) -> tuple[Any, float]:
    import tilewise

    begin = time.perf_counter()
    made = tilewise.plan(SLIDE, model, cut=_cut(), pixels=tilewise.Pixels(pixel_size=(PIXEL,), mask=mask))
    return made, time.perf_counter() - begin


def _cut() -> Any:
    import tilewise

    return tilewise.Cut(tile=256, halo=16, block=256)


def _read(out: Path) -> np.ndarray:
    import zarr

    return zarr.open_array(out / "0", mode="r")[:]


def run(size: str, *, keep: bool = False) -> bool:
    """Measure; false if the mask loses a nucleus or is not the tissue."""
    if not SLIDE.exists():
        print(f"skipped: there is no {SLIDE}")
        return True
    with work_folder(None) as folder:
        times, spent = time_runs(folder, REPEATS[size])
        mask, facts = judge(folder)
    publish("slide", [times, mask], {"times": spent, "mask": facts}, keep=keep)
    return facts["nuclei_lost"] == 0 and facts["dice"] >= 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("smallest", "default", "full"), default="default")
    parser.add_argument("--keep", action="store_true", help="write the tables into results/")
    asked = parser.parse_args()
    sys.exit(0 if run(asked.size, keep=asked.keep) else 1)


if __name__ == "__main__":
    main()
