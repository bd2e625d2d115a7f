"""Keras models: a .keras archive, an HDF5 file, or an architecture in JSON with its weights in HDF5.

The way to ONNX is a TensorFlow function of the model, frozen by tf2onnx. ``tf2onnx.convert.from_keras`` is not the way:
it looks up names of outputs that Keras 3 does not have any more.
"""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

from tilewise.convert.original import Original, Request, unopened
from tilewise.convert.rewiring import rewired
from tilewise.convert.tracing import export, library_versions
from tilewise.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

ARCHITECTURE = "Save the architecture too: model.save('model.keras')."


def open_keras(request: Request) -> Original:
    """Load the model, without running code that it holds unless it is trusted, and export it."""
    config = _config(request)
    if not request.trust:
        _refuse_code(request.path, config)
    model = _load(request, config)
    return _exported(request, model)


def _config(request: Request) -> dict[str, Any]:
    """The architecture as the file holds it."""
    try:
        if request.kind == "json":
            return dict(json.loads(request.path.read_bytes()))
        if request.kind == "keras":
            with zipfile.ZipFile(request.path) as archive:
                return dict(json.loads(archive.read("config.json")))
        return _config_in_hdf5(request.path)
    except ModelError:
        raise
    except (ValueError, OSError, KeyError) as error:
        raise unopened(request, "a Keras model", error, "Save or download it again.") from error


def _config_in_hdf5(path: Path) -> dict[str, Any]:
    import h5py

    with h5py.File(path, "r") as file:
        found = file.attrs.get("model_config")
    if found is None:
        raise ModelError(
            f"{path} holds weights without an architecture",
            "a whole model",
            f"Give the architecture, and this with --weights {path}. {ARCHITECTURE}",
        )
    return dict(json.loads(found))


def _refuse_code(path: Path, config: Any) -> None:
    """Refuse what holds code or asks for classes from elsewhere: Keras' own safe mode has had holes."""
    for found in _objects(config):
        name = str((found.get("config") or {}).get("name", "")) if isinstance(found.get("config"), dict) else ""
        if found["class_name"] == "Lambda" or found["class_name"] == "__lambda__":
            raise ModelError(
                f"{path} holds code: Lambda layer '{name}'",
                "layers without code of their own",
                "Replace it by layers of Keras, or give --trust if you know who made it.",
            )
        module = found.get("module")
        if isinstance(module, str) and module.split(".")[0] not in {"keras", "builtins", "tf_keras", "tensorflow"}:
            raise _foreign(path, f"{module}.{found['class_name']}")
        registered = found.get("registered_name")
        # classes of a program's own have a name and no module
        if isinstance(registered, str) and found.get("module", "") is None and ">" not in registered:
            raise _foreign(path, f"the class {registered}")
        if isinstance(registered, str) and ">" in registered and not registered.startswith(("keras", "Keras")):
            raise _foreign(path, registered)


def _foreign(path: Path, name: str) -> ModelError:
    return ModelError(
        f"{path} needs {name}, which is not Keras' own",
        "layers of Keras",
        "Export it in the program that defines it: model.export('folder'), then convert that folder.",
    )


def _objects(config: Any) -> Any:
    """Every serialized object of an architecture."""
    if isinstance(config, dict):
        if isinstance(config.get("class_name"), str):
            yield config
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)


def _load(request: Request, config: dict[str, Any]) -> Any:
    import keras

    try:
        if request.kind != "json":
            # Keras tells the format by the suffix, and ours may be any
            path = _named(request, ".keras" if request.kind == "keras" else ".h5")
            return keras.models.load_model(str(path), compile=False, safe_mode=not request.trust)
        return _load_weights(request, _build(request, config))
    except ModelError:
        raise
    except Exception as error:
        raise unopened(
            request, f"a model of Keras {keras.__version__}", error, f"Open it with Keras. {ARCHITECTURE}"
        ) from error


def _named(request: Request, suffix: str, path: Path | None = None) -> Path:
    """The file under a name that Keras takes for its format."""
    path = path or request.path
    if path.name.endswith(suffix):
        return path
    link = request.scratch / f"source{suffix}"
    link.symlink_to(path)
    return link


def _build(request: Request, config: dict[str, Any]) -> Any:
    """From the JSON of Keras 3, or of Keras 1 and 2, which name no module."""
    import keras

    if "module" in config:
        return keras.saving.deserialize_keras_object(config, safe_mode=not request.trust)
    from keras.src.legacy.saving import saving_utils
    from keras.src.saving.serialization_lib import SafeModeScope

    with SafeModeScope(not request.trust):
        return saving_utils.model_from_config(config)


def _load_weights(request: Request, model: Any) -> Any:
    """Weights alone, of Keras 3 or older, or those of a whole model."""
    import h5py

    weights = request.weights
    if weights is None:
        raise ModelError(f"{request.path} has no weights", "an HDF5 file", "Name it: --weights FILE.h5.")
    with h5py.File(weights, "r") as file:
        old = "layer_names" in file.attrs or "model_weights" in file
    suffix = ".h5" if old else ".weights.h5"
    # the old form ends in .h5 but not in .weights.h5: under that name Keras takes it for the new one
    path = _named(request, suffix, weights) if not (old and weights.name.endswith(".weights.h5")) else None
    if path is None:
        path = request.scratch / "old.h5"
        path.symlink_to(weights)
    model.load_weights(str(path))
    return model


def _exported(request: Request, model: Any) -> Original:
    import tensorflow as tf

    specs = [tf.TensorSpec(value.shape, value.dtype, name=value.name) for value in model.inputs]

    def call(*values: Any) -> Any:
        return tf.nest.flatten(model(values[0] if len(values) == 1 else list(values), training=False))

    with rewired(model):
        graph = export(request, call, specs)
    return Original(
        graph,
        lambda values: [value.numpy() for value in call(*map(tf.constant, values))],
        f"Keras {library_versions()['keras']}",
        library_versions(),
        shape=request.shape,
    )
