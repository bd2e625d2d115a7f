"""U-Nets of Keras, TensorFlow and PyTorch converted, and run in tiles against the framework on the whole image.

    python benchmarks/conversion.py [--size smallest|default|full] [--keep]

A row a form of file: what the conversion found of the difference on noise, and the largest difference of a tiled run
to the framework's own prediction of the whole image, in the units of the softmax that they end in. What is not
installed (extras 'keras' and 'torch') is left out, and said; a model that is too new is always converted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

# behind our own folder: both have files of the same name
sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

import numpy as np

from report import Table, publish

if TYPE_CHECKING:
    from collections.abc import Callable

    from layouts import Size

MOST = 1e-4
"""Largest difference of a tiled run to the framework's own."""
SHAPES = {2: (512, 448), 3: (96, 80, 112)}
TILES = {2: 128, 3: 56}
LIBRARIES = {"keras": "tf2onnx", "torch": "onnxscript", "onnx": "onnx"}
"""What tells that a framework is there."""


@dataclass(frozen=True)
class Case:
    """One row."""

    framework: str
    """Extra that it needs; onnx needs none."""
    form: str
    """Of the file."""
    ndim: int
    """Of the network."""
    up: str = "transpose"
    """How it enlarges."""


FORMS = {"keras": ("keras", "hdf5", "json", "savedmodel"), "torch": ("exported", "static", "scripted", "traced")}
"""Of files; a static program was exported for one shape alone."""
CASES = (
    *(Case(framework, form, ndim) for framework, forms in FORMS.items() for form in forms for ndim in (2, 3)),
    *(Case(framework, forms[0], ndim, "nearest") for framework, forms in FORMS.items() for ndim in (2, 3)),
    Case("keras", "keras", 2, "bilinear"),
    Case("onnx", "newest", 2),
)
SMALLEST = (
    "keras 2 transpose",
    "json 3 transpose",
    "exported 2 transpose",
    "scripted 3 transpose",
    "newest 2 transpose",
)


def make(case: Case, folder: Path) -> tuple[Path, Callable[[np.ndarray], np.ndarray]]:
    """The file, and the framework's prediction of an image, channels first."""
    import frameworks

    if case.framework == "keras":
        model = frameworks.keras_unet(case.ndim, up=case.up)
        if case.form == "savedmodel":
            path = folder / "saved"
            model.export(path, verbose=False)
        else:
            path = frameworks.save_keras(model, folder, case.form)
        return path, lambda image: np.moveaxis(model.predict(image[None, ..., None], verbose=0)[0], -1, 0)
    if case.framework == "torch":
        import torch

        network = frameworks.torch_unet(case.ndim, up=case.up)
        form = "exported" if case.form == "static" else case.form
        path = frameworks.save_torch(network, case.ndim, folder, form, dynamic=case.form != "static")
        return path, lambda image: network(torch.from_numpy(image[None, None]))[0].detach().numpy()
    return make_newest(folder)


def make_newest(folder: Path) -> tuple[Path, Callable[[np.ndarray], np.ndarray]]:
    """A model as tomorrow's exporter writes it; whole, it is run as it was before."""
    import onnx
    from onnx import version_converter

    from networks import tiny_unet
    from tilewise.session import SessionOptions, open_session

    old = tiny_unet()
    new = version_converter.convert_version(old, onnx.defs.onnx_opset_version())
    new.ir_version = int(onnx.IR_VERSION)
    onnx.save(new, folder / "new.onnx")
    session = open_session(old.SerializeToString(), SessionOptions())
    return folder / "new.onnx", lambda image: session.run({session.inputs[0][0]: image[None, None]})[0][0]


def measure(case: Case) -> dict[str, Any]:
    """Convert, run in tiles, compare; in a process of its own, for frameworks do not share one gladly."""
    import zarr

    import tilewise
    from tilewise.convert import Wanted, convert

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        source, whole = make(case, folder)
        # a model of tomorrow is taken back to what runtimes of some years ago take
        wanted = Wanted(opset=17) if case.framework == "onnx" else Wanted()
        made = convert(source, folder / "out.onnx", wanted)
        image = np.random.default_rng(0).random(SHAPES[case.ndim], np.float32)
        zarr.create_array(folder / "image.zarr", data=image)
        cut = tilewise.Cut(tile=TILES[case.ndim], halo="exact")
        tilewise.run(str(folder / "image.zarr"), str(folder / "out.onnx"), str(folder / "out"), cut=cut)
        tiled = zarr.open_array(folder / "out/0", mode="r")[:]
        apart = float(np.abs(tiled - whole(image)).max())
    return {
        "model": f"{case.ndim}-D U-Net, {case.up}",
        "format": f"{made.format}, {case.form}" if case.framework == "torch" else made.format,
        "opset": made.opset,
        "layout": made.model["layout"],
        "verdict": made.model["verdict"],
        "difference": made.compared.difference,
        "sizes": made.compared.shapes,
        "tiled": apart,
        "versions": dict(made.versions),
    }


def run(size: Size, *, keep: bool = False) -> bool:
    """Every case whose framework is there; true if all differ by at most MOST."""
    columns = ("model", "from", "opset", "layout", "verdict", "sizes tried", "of the range", "tiled to whole")
    table, rows = Table("conversion", columns), []
    chosen = [case for case in CASES if size != "smallest" or name(case) in SMALLEST]
    for case in chosen:
        if find_spec(LIBRARIES[case.framework]) is None:
            continue
        row = in_child(case)
        rows.append(row)
        sizes = " and ".join("x".join(map(str, shape)) for shape in row["sizes"]) or "-"
        values = (row[key] for key in ("format", "opset", "layout", "verdict"))
        table.rows.append((row["model"], *values, sizes, row["difference"], row["tiled"]))
    versions = {library: found for row in rows for library, found in row["versions"].items()}
    table.notes.append(", ".join(f"{library} {found}" for library, found in versions.items()))
    for extra in ("keras", "torch"):
        if find_spec(LIBRARIES[extra]) is None:
            table.notes.append(f"not run: the extra '{extra}' is not installed")
    publish("conversion", [table], {"rows": rows}, keep=keep)
    return all(row["tiled"] <= MOST for row in rows)


def name(case: Case) -> str:
    return f"{case.form} {case.ndim} {case.up}"


def in_child(case: Case) -> dict[str, Any]:
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": ""}
    words = [sys.executable, __file__, "--case", str(CASES.index(case))]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, **quiet})
    if done.returncode:
        raise RuntimeError(f"{case}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("smallest", "default", "full"), default="default")
    parser.add_argument("--keep", action="store_true", help="write the tables into results/")
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case is not None:
        print(json.dumps(measure(CASES[asked.case])))
        return
    sys.exit(0 if run(asked.size, keep=asked.keep) else 1)


if __name__ == "__main__":
    main()
