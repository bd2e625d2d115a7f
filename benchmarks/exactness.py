"""Tiled against untiled on real models and images: the largest difference, and the verdict that was given before.

    python benchmarks/exactness.py [--size smallest|default|full] [--keep]

The untiled run is onnxruntime itself on the whole padded image, one thread, batch 1. Models and images that are no part
of the project lie in ../shared/data; what is missing there is left out.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from report import Table, publish
from throughput import work_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layouts import Size
    from tilewise import Model, Normalization, Results

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Real models and images, beside the checkout."""

PUBLISHED = 1e-5
"""How near a published reference has to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model over an image, in several tilings."""

    name: str
    """What is shown."""
    image: Path
    """Zarr."""
    model: Path
    """ONNX."""
    tiles: tuple[int, ...]
    """Sides to try."""
    normalization: Normalization
    """As the model was trained."""
    results: Results
    """Compared as scores, which labels would hide."""
    halo: str | int = "exact"
    """As for --halo."""


def demo_case(size: Size, folder: Path) -> Case:
    """The demo's network over a field of odd size."""
    from tilewise import Normalization, Results
    from tilewise.demo.field import Field
    from tilewise.demo.image import write_image
    from tilewise.demo.show import MODEL

    side = 517 if size == "smallest" else 1021
    image = folder / f"field-{side}.zarr"
    write_image(image, Field(7), side)
    return Case(
        name=f"demo U-Net, generated field of {side} x {side}",
        image=image,
        model=MODEL,
        tiles=(64, 160) if size == "smallest" else (64, 96, 160, 256),
        normalization=Normalization(kind="standardize"),
        results=Results(activation="sigmoid"),
    )


def nuclei_case() -> Case | None:
    """A trained nuclei U-Net over a real OME-Zarr image."""
    from tilewise import Normalization, Results

    image = DATA / "images/ome-zarr/xy_8bit__nuclei_PLK1_control.ome.zarr"
    model = DATA / "models/unet2d_nuclei_broad.onnx"
    if not (image.exists() and model.exists()):
        return None
    return Case(
        name="nuclei U-Net, OME-Zarr nuclei 682 x 682",
        image=image,
        model=model,
        tiles=(256, 512),
        normalization=Normalization(kind="standardize"),
        results=Results(activation="sigmoid"),
    )


def brain_case(folder: Path) -> Case | None:
    """A 3-D network over a real volume."""
    from tilewise import Normalization, Results

    image, model = DATA / "images/niivue_t1_crop.nii.gz", DATA / "models/meshnet3d_niivue.onnx"
    if not (image.exists() and model.exists()):
        return None
    try:
        import nibabel
    except ImportError:
        return None
    import zarr

    volume = np.asarray(nibabel.load(image).dataobj).astype(np.uint8)
    place = folder / "brain.zarr"
    array = zarr.create_array(
        place, shape=volume.shape, dtype="uint8", chunks=(64, 64, 64), dimension_names=["z", "y", "x"], overwrite=True
    )
    array[:] = volume
    return Case(
        name="MeshNet, T1 MRI 256 x 256 x 256",
        image=place,
        model=model,
        tiles=(128, 160),
        normalization=Normalization(kind="fixed", mean=(0.0,), std=(255.0,)),
        results=Results(output="raw"),
    )


def compare(case: Case, folder: Path) -> Iterator[dict[str, Any]]:
    """A row a tile."""
    from tilewise import Cut, Machine, Model, plan, run
    from tilewise.source import open_image

    model = Model(case.model)
    oracle = None
    for tile in case.tiles:
        out = folder / f"{case.model.stem}-{tile}.zarr"
        settings = {
            "cut": Cut(tile=tile, halo=case.halo),
            "pixels": _pixels(case),
            "results": case.results,
            "machine": Machine(device="cpu"),
        }
        made = plan(case.image, model, out, **settings)
        begin = time.perf_counter()
        run(case.image, model, out, **settings)
        seconds = time.perf_counter() - begin
        found = _canonical(out, made.output_axes, made.spatial)
        if oracle is None:
            oracle = untiled(model, _canonical_image(open_image(str(case.image))), case, out)
        difference = float(np.abs(found.astype(np.float64) - oracle).max())
        yield {
            "name": case.name,
            "tile": tile,
            "halo": made.halo,
            "tiles": made.grid.tiles,
            "difference": difference,
            "range": float(oracle.max() - oracle.min()),
            "differing": int((found != oracle).sum()),
            "verdict": made.verdict,
            "seconds": seconds,
            "promised": 0.0 if made.verdict == "exact" else 1e-5 if made.verdict == "exact to rounding" else None,
        }


def untiled(model: Model, pixels: np.ndarray, case: Case, out: Path) -> np.ndarray:
    """Scores of the whole image in one piece, (c, space...), by onnxruntime itself."""
    import onnxruntime as ort

    from tilewise.normalize import apply
    from tilewise.postprocess import finish
    from tilewise.record import folder_of, read_json
    from tilewise.stats import Statistics

    kept = read_json(folder_of(str(out)), "statistics.json")
    statistics = None if kept is None else Statistics.from_json(kept)
    beyond = [(0, -n % m) for n, m in zip(pixels.shape[1:], model.spec.multiple, strict=True)]
    whole = np.pad(pixels, [(0, 0), *beyond], mode="reflect")[np.newaxis]
    batch = apply(whole, case.normalization, statistics, dtype=model.spec.dtype)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.prepared(), options, providers=["CPUExecutionProvider"])
    given = session.run(None, {session.get_inputs()[0].name: batch})[0]
    finished = finish(np.ascontiguousarray(given), case.results)[0]
    return finished[(slice(None), *(slice(n) for n in pixels.shape[1:]))]


def published(folder: Path) -> dict[str, Any] | None:
    """The nuclei U-Net over its published test input, zarr to zarr, against its published output."""
    import zarr

    from tilewise import Machine, Normalization, Pixels, Results, run

    model = DATA / "models/unet2d_nuclei_broad.onnx"
    given, wanted = (DATA / f"models/unet2d_nuclei_broad_test_{what}.npy" for what in ("input", "output"))
    if not (model.exists() and given.exists() and wanted.exists()):
        return None
    pixels = np.load(given)[0]
    image, out = folder / "published.zarr", folder / "published-out.zarr"
    array = zarr.create_array(
        image, shape=pixels.shape, dtype=pixels.dtype, chunks=(1, 256, 256), dimension_names=["c", "y", "x"]
    )
    array[:] = pixels
    asked = Pixels(normalization=Normalization(kind="standardize"))
    run(image, model, out, pixels=asked, results=Results(activation="sigmoid"), machine=Machine(device="cpu"))
    found = zarr.open_array(out / "0", mode="r")[:]
    difference = float(np.abs(found - np.load(wanted)[0]).max())
    return {"name": "nuclei U-Net, its published test input", "difference": difference, "goal": PUBLISHED}


def _pixels(case: Case) -> Any:
    from tilewise import Pixels

    return Pixels(normalization=case.normalization)


def _canonical(out: Path, axes: str, spatial: str) -> np.ndarray:
    """A written image as (c, space...), other axes being one long."""
    import zarr

    return _drop(zarr.open_array(out / "0", mode="r")[:], axes, spatial)


def _canonical_image(spec: Any) -> np.ndarray:
    import zarr

    pixels = zarr.open_array(Path(spec.path) / spec.array_path, mode="r")[:]
    return _drop(pixels, spec.axes, spec.axes[-3:] if spec.axes == "zyx" else "yx")


def _drop(pixels: np.ndarray, axes: str, spatial: str) -> np.ndarray:
    index = tuple(slice(None) if axis in spatial or axis == "c" else 0 for axis in axes)
    kept = pixels[index]
    return kept if "c" in axes else kept[np.newaxis]


def run(size: Size, *, keep: bool = False) -> bool:
    """Compare; true if every difference is within its promise."""
    table = Table(
        "tiled against untiled",
        ("case", "tile", "halo", "tiles", "largest difference", "range", "values that differ", "verdict", "seconds"),
    )
    known = Table("against a published reference", ("case", "largest difference", "goal"))
    rows, reference = [], None
    with work_folder(None) as folder:
        os.environ.setdefault("TILEWISE_CACHE", str(folder / "cache"))
        cases = [demo_case(size, folder)]
        if size != "smallest":
            cases += filter(None, [nuclei_case()])
            reference = published(folder)
        if size == "full":
            cases += filter(None, [brain_case(folder)])
        for case in cases:
            for row in compare(case, folder):
                rows.append(row)
                names = ("name", "tile", "halo", "tiles", "difference", "range", "differing", "verdict", "seconds")
                table.rows.append(tuple(row[name] for name in names))
                print(f"{row['name']}, tile {row['tile']}: {row['difference']:g}", file=sys.stderr, flush=True)
    tables = [table]
    if reference is not None:
        known.rows.append((reference["name"], reference["difference"], reference["goal"]))
        tables.append(known)
    publish("exactness", tables, {"rows": rows, "published": reference}, keep=keep)
    kept = all(row["promised"] is None or row["difference"] <= row["promised"] * row["range"] for row in rows)
    return kept and (reference is None or reference["difference"] <= PUBLISHED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("smallest", "default", "full"), default="default")
    parser.add_argument("--keep", action="store_true", help="write the tables into results/")
    asked = parser.parse_args()
    sys.exit(0 if run(asked.size, keep=asked.keep) else 1)


if __name__ == "__main__":
    main()
