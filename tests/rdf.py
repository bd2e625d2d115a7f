"""bioimage.io descriptions for tests, in both formats, as a folder or an archive."""

from __future__ import annotations

import hashlib
import shutil
import zipfile

import numpy as np
import yaml

from networks import save


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def describe_04(*, axes="bcyx", shape=(1, 1, 512, 512), out_axes=None, out_shape=None, halo=None, before=(), after=()):
    """Format 0.4: axes as letters."""
    out_axes = out_axes or axes
    zeros = [0] * len(axes)
    default = {"reference_tensor": "raw", "scale": [1] * len(axes), "offset": zeros}
    output = {"name": "out", "axes": out_axes, "data_type": "float32", "shape": out_shape or default}
    if halo is not None:
        output["halo"] = list(halo)
    shape = list(shape) if isinstance(shape, tuple) else shape
    return {
        "format_version": "0.4.10",
        "type": "model",
        "name": "a model",
        "inputs": [
            {"name": "raw", "axes": axes, "data_type": "float32", "shape": shape, "preprocessing": list(before)}
        ],
        "outputs": [{**output, "postprocessing": list(after)}],
        "test_inputs": ["test_input.npy"],
        "test_outputs": ["test_output.npy"],
    }


def axis(letter, size=None, **more):
    """One axis of format 0.5."""
    kind = {"b": "batch", "c": "channel", "t": "time", "i": "index"}.get(letter, "space")
    found = {"type": kind, **more}
    if kind == "space":
        found["id"] = letter
    if size is not None:
        found["size"] = size
    return found


def describe_05(*, axes, out_axes, before=(), after=(), config=None):
    """Format 0.5: a record an axis."""
    return {
        "format_version": "0.5.4",
        "type": "model",
        "name": "a model",
        "inputs": [
            {"id": "raw", "axes": axes, "test_tensor": {"source": "test_input.npy"}, "preprocessing": list(before)}
        ],
        "outputs": [
            {"id": "out", "axes": out_axes, "test_tensor": {"source": "test_output.npy"}, "postprocessing": list(after)}
        ],
        **({"config": config} if config else {}),
    }


def nuclei_04(**changes):
    """The nuclei U-Net as its authors describe it."""
    said = {
        "halo": (0, 0, 32, 32),
        "before": [{"name": "zero_mean_unit_variance", "kwargs": {"mode": "per_sample", "axes": "yx"}}],
        "after": [{"name": "sigmoid"}],
    }
    return describe_04(**{**said, **changes})


def nuclei_05(*, size=512, halo=32, order="bcyx", scale=None):
    """The nuclei U-Net as its authors describe it."""

    def given(letter):
        if letter in "bc":
            return axis(letter, **({"channel_names": ["raw"]} if letter == "c" else {"size": 1}))
        return axis(letter, size, **({"scale": scale, "unit": "micrometer"} if scale else {}))

    def result(letter):
        if letter in "bc":
            return axis(letter, **({"channel_names": ["nucleus"]} if letter == "c" else {}))
        reference = {"tensor_id": "raw", "axis_id": letter, "offset": 0}
        return axis(letter, reference, halo=halo, **({"scale": scale, "unit": "micrometer"} if scale else {}))

    return describe_05(
        axes=[given(letter) for letter in order],
        out_axes=[result(letter) for letter in order],
        before=[
            {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
            {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["x", "y"]}},
            {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
        ],
        after=[{"id": "sigmoid"}, {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}],
    )


def package(folder, said, model, *, given=None, expected=None, name="rdf.yaml", weights="weights.onnx", **entry):
    """A folder of description, weights and test tensors; ``model`` is a file or a graph."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / weights
    if hasattr(model, "SerializeToString"):
        save(model, folder, place.stem)
    else:
        shutil.copyfile(model, place)
    for tensor, file in ((given, "test_input.npy"), (expected, "test_output.npy")):
        if tensor is not None:
            np.save(folder / file, tensor)
    onnx = {"source": weights, "sha256": sha256(place), "opset_version": 20, **entry}
    weights_entry = {"onnx": onnx, "pytorch_state_dict": {"source": "weights.pt"}}
    (folder / name).write_text(yaml.safe_dump({**said, "weights": weights_entry}, sort_keys=False))
    return folder


def pack(folder, archive, *, inside=""):
    """A folder as a zip archive, its files below ``inside``."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        for file in sorted(folder.iterdir()):
            made.write(file, inside + file.name)
    return archive
