"""Files that real exporters wrote (tests/exporters), with other weights for every seed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from specimens.entry import Specimen

FOLDER = Path(__file__).parents[1] / "exporters"


def reseeded(name):
    """The file with its input called image, and for every seed but 0 other weights."""

    def build(seed):
        model = onnx.load(FOLDER / f"{name}.onnx")
        given = model.graph.input[0].name
        for node in model.graph.node:
            for i, found in enumerate(node.input):
                if found == given:
                    node.input[i] = "image"
        model.graph.input[0].name = "image"
        rng = np.random.default_rng(seed)
        for tensor in model.graph.initializer:
            value = numpy_helper.to_array(tensor)
            if seed and value.dtype == np.float32 and value.ndim > 1 and value.size > value.shape[0]:
                made = rng.standard_normal(value.shape) / np.sqrt(np.prod(value.shape[1:]))
                tensor.CopyFrom(numpy_helper.from_array(made.astype(np.float32), tensor.name))
        return model

    return build


def exported(name, **claims):
    return Specimen(name.replace("_", " "), reseeded(name), rounding=True, **claims)


def both(name, **claims):
    """From either exporter of PyTorch."""
    return tuple(exported(f"{exporter}_{name}", **claims) for exporter in ("legacy", "dynamo"))


HALF = Fraction(1, 2)
VOLUME = {"layout": "NCDHW"}
NORMALISED = {"multiple": 2, "verdict": "dependent", "word": "InstanceNormalization", "whole": True}
SPECIMENS = (
    *both("unet", multiple=2, radius=5),
    *both("unet_groups", **NORMALISED),
    *both("unet_instance", **NORMALISED),
    *both("deconv", **VOLUME, multiple=2, radius=2),
    *both("shuffle", channels=3, scale=2, radius=1),
    *both("classifier", channels=3, output_layout="NC", radius=0),
    *both("excite", verdict="dependent", word="gathers the whole image", whole=True),
    exported("legacy_windows", multiple=4, radius=4),
    exported("dynamo_windows", multiple=4, radius=4, fixed=(16, 24)),
    exported("legacy_unet_fixed", multiple=2, radius=5, fixed=(32, 48)),
    exported("dynamo_unet_fixed", multiple=2, radius=5, fixed=(32, 48), batch=1),
    exported("keras_unet", layout="NHWC", multiple=2, radius=4),
    exported("keras_unet_fixed", layout="NHWC", multiple=2, radius=4, fixed=(64, 48)),
    exported("keras_upsampled", layout="NHWC", multiple=2, radius=4, fixed=(64, 48)),
    exported("keras_separable", layout="NHWC", channels=3, multiple=2, radius=4, coarse=True),
    exported("keras_classifier", layout="NHWC", output_layout="NC", channels=3, radius=0),
    exported("keras_flattened", layout="NHWC", output_layout="NC", channels=3, fixed=(32, 32), radius=0),
    exported("keras_volume", layout="NDHWC", multiple=2, radius=2),
    exported(
        "keras_several", layout="NHWC", multiple=2, radius=2, scale=HALF, scales=(HALF, HALF), ports=("NHWC", "NHWC")
    ),
)
