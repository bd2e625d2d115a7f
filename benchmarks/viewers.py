"""Whether viewers open what tilewise writes: each in an environment of its own, for OME-Zarr 0.4 and 0.5.

python benchmarks/viewers.py [--environments FOLDER] [--only NAME] [--keep]

Makes the environments by itself, from PyPI, as they do not resolve together; Neuroglancer needs a Chromium, too.
Ends with 1 if one cannot open a result, or sees other sizes, pixels or scales than were written.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from report import Table, publish
from throughput import work_folder

VIEWERS = {
    "ome-zarr": ("ome-zarr",),
    "ngff-zarr": ("ngff-zarr",),
    "napari-ome-zarr": ("napari-ome-zarr",),
    "xarray": ("xarray", "zarr", "dask"),
    "neuroglancer": ("neuroglancer", "tensorstore"),
}
"""Packages of each."""

SCALE = (0.5, 0.25)
ORIGIN = (10.0, 20.0)
"""Of the image, in micrometres: what is wrong with either is seen in what comes out."""


def make_environment(name: str, folder: Path) -> Path:
    """A virtual environment with one viewer, made if it is not there; gives its interpreter."""
    place = folder / name
    python = place / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not (place / "complete").exists():
        uv = shutil.which("uv")
        make = [uv, "venv", "-q", "--clear", str(place)] if uv else [sys.executable, "-m", "venv", str(place)]
        pip = (
            [uv, "pip", "install", "-q", "--python", str(python)] if uv else [str(python), "-m", "pip", "install", "-q"]
        )
        subprocess.run(make, check=True)
        subprocess.run([*pip, *VIEWERS[name]], check=True)
        (place / "complete").touch()
    return python


def write_source(place: Path, version: str) -> Path:
    """An image of noise in cells, as OME-Zarr of a version."""
    pixels = np.kron(np.random.default_rng(0).integers(0, 255, (11, 9)), np.ones((100, 100))).astype("uint8")
    old = version == "0.4"
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "yx"]
    datasets = []
    for level in range(2):
        part = pixels[:: 2**level, :: 2**level]
        names = {} if old else {"dimension_names": ["y", "x"]}
        zarr.create_array(place / str(level), data=part, chunks=(256, 256), zarr_format=2 if old else 3, **names)
        transforms = [
            {"type": "scale", "scale": [s * 2**level for s in SCALE]},
            {
                "type": "translation",
                "translation": [t + (2**level - 1) / 2 * s for s, t in zip(SCALE, ORIGIN, strict=True)],
            },
        ]
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    multiscale = {"name": "cells", "axes": axes, "datasets": datasets}
    group = zarr.open_group(place, zarr_format=2 if old else 3)
    if old:
        group.attrs["multiscales"] = [{"version": version, **multiscale}]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [multiscale]}
    return place


def make_results(folder: Path) -> dict[str, Path]:
    """What is opened: scores and labels, beside the image and within it."""
    from tilewise import Results, run
    from tilewise.demo.show import MODEL

    made = {}
    for version in ("0.4", "0.5"):
        image = write_source(folder / f"image-{version}.zarr", version)
        for name, given in {
            "scores": Results(activation="sigmoid", ome_zarr=version),
            "uint8 scores": Results(activation="sigmoid", dtype="uint8", ome_zarr=version),
            "labels": Results(output="labels", activation="sigmoid", ome_zarr=version),
            "labels in the image": Results(labels_into=True, name="cells", activation="sigmoid"),
        }.items():
            # napari-ome-zarr makes a group of ../../ of a label image: that has to lie in this folder, too
            out = None if given.labels_into else folder / "results" / f"{name.replace(' ', '-')}-{version}.zarr"
            result = run(image, MODEL, out, results=given)
            assert result.state == "done"
            made[f"{name}, {version}"] = Path(result.output)
    return made


def expect(path: Path) -> list[list[Any]]:
    """Size, scale and sum of pixels of each level, as zarr and the metadata say them."""
    attributes = dict(zarr.open_group(str(path), mode="r").attrs)
    (multiscale,) = attributes.get("ome", attributes)["multiscales"]
    levels = []
    for dataset in multiscale["datasets"]:
        pixels = zarr.open_array(str(path / dataset["path"]), mode="r")[...]
        scale = dataset["coordinateTransformations"][0]["scale"]
        levels.append([list(pixels.shape), scale, float(pixels.sum(dtype=np.float64))])
    return levels


def judge(found: dict[str, Any], wanted: list[list[Any]]) -> dict[str, Any]:
    """Whether it was opened, with all levels and the right scales; None is what a viewer does not tell."""
    if "error" in found:
        return {"opened": False, "pyramid": None, "scale": None, "shown": found["error"]}
    levels = found["levels"]
    pyramid = len(levels) == len(wanted) and all(
        shape in (None, size) and (total is None or math.isclose(total, pixels, rel_tol=1e-5))
        for (shape, _, total), (size, _, pixels) in zip(levels, wanted, strict=False)
    )
    scale = all(
        told is None or np.allclose(told, right) for (_, told, _), (_, right, _) in zip(levels, wanted, strict=False)
    )
    return {"opened": True, "pyramid": pyramid, "scale": scale, "shown": found["shown"]}


def look(name: str, python: Path, results: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """What one viewer sees of all results."""
    script = Path(__file__).with_name("readers.py")
    paths = [str(path) for path in results.values()]
    done = subprocess.run(
        [str(python), str(script), name, *paths], capture_output=True, text=True, timeout=900, check=False
    )
    # some print what they read
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(('{"levels"', '{"error"'))]
    told += [{"error": done.stderr.strip().splitlines()[-1:] or ["nothing"]}] * (len(paths) - len(told))
    return {result: judge(found, expect(path)) for (result, path), found in zip(results.items(), told, strict=True)}


def version_of(name: str, python: Path) -> str:
    """Of the viewer's own package."""
    code = f"from importlib.metadata import version; print(version({VIEWERS[name][0]!r}))"
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def run(*, environments: Path, only: list[str] | None = None, keep: bool = False) -> bool:
    """Open everything with every viewer; true if all is seen as it was written."""
    table = Table("results opened by viewers", ("viewer", "result", "opened", "pyramid right", "scale right", "shown"))
    facts = []
    with work_folder(None) as folder:
        results = make_results(folder)
        for name in only or VIEWERS:
            python = make_environment(name, environments)
            label = f"{name} {version_of(name, python)}"
            for result, seen in look(name, python, results).items():
                table.rows.append((label, result, seen["opened"], seen["pyramid"], seen["scale"], seen["shown"]))
                facts.append({"viewer": label, "result": result, **seen})
    table.notes += [
        "pyramid: sizes and the sum of the pixels of each level as zarr reads them; napari gets one scale",
        "xarray knows dimensions by name and OME-Zarr's scale as attributes",
        "Neuroglancer in a headless Chromium: the finest level is compared, coarser ones are fetched as it zooms out",
    ]
    publish("viewers", [table], {"seen": facts}, keep=keep)
    return all(fact["opened"] and fact["pyramid"] and fact["scale"] for fact in facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, default=Path.home() / ".cache" / "tilewise-viewers")
    parser.add_argument("--only", action="append", choices=list(VIEWERS))
    parser.add_argument("--keep", action="store_true", help="write the table into results/")
    asked = parser.parse_args()
    sys.exit(0 if run(environments=asked.environments, only=asked.only, keep=asked.keep) else 1)


if __name__ == "__main__":
    main()
