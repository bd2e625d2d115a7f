"""End to end over what people export: scales, layouts, ranks, types and batches; run and predict equal the whole."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest
import zarr
from onnx import TensorProto

import tilewise
from images import make_pixels, write_image
from networks import TYPES, Net, one_layer, save, tiny_unet, valid_unet, wrap
from oracle import infer_laid
from tilewise import Cut, Model, Normalization, Pixels, Results

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnx import ModelProto


@dataclass(frozen=True)
class Case:
    """A model with what is true of it, told here and not asked of tilewise."""

    name: str
    make: Callable[[], ModelProto]
    multiple: int = 1
    scale: Fraction = Fraction(1)
    lost: tuple[int, int] = (0, 0)
    """Pixels that valid convolutions lose in front and behind."""
    layouts: tuple[str, str] = ("NCHW", "NCHW")
    channels: int = 1
    dtype: str = "float32"
    given: str = "float32"
    """The output's type."""
    size: tuple[int, ...] = (101, 143)
    cut: Cut = field(default=Cut(tile=64, halo="exact", block=60))


def strided(steps: int, kind: str = "conv") -> ModelProto:
    net = Net(2)

    def make(x: str) -> str:
        for _ in range(steps):
            x = net.relu(net.conv(x, 4, stride=2, pads=1)) if kind == "conv" else net.pool(net.relu(net.conv(x, 4)))
        return net.conv(x, 2)

    return wrap(net, make)


def enlarged(times: int, kind: str) -> ModelProto:
    net = Net(2)

    def make(x: str) -> str:
        x = net.relu(net.conv(x, 4))
        if kind == "nearest":
            return net.conv(net.resize(x, float(times)), 2)
        if kind == "deconv":
            return net.conv(net.deconv(x, 3, times, stride=times), 2)
        x = net.conv(x, 2 * times * times)
        return net.node("DepthToSpace", [x], channels=2, blocksize=times)

    return wrap(net, make)


def valid(steps: int) -> ModelProto:
    """Valid convolutions, and a stride at the end."""
    net = Net(2)

    def make(x: str) -> str:
        for _ in range(steps):
            x = net.relu(net.conv(x, 4, pads=0))
        return net.conv(x, 2, 1)

    return wrap(net, make)


def typed(dtype: str, given: str) -> ModelProto:
    """A convolution in float32 between an input and an output of other types."""
    net = Net(2)
    net.channels["image"] = 1
    x = net.node("Cast", ["image"], channels=1, to=TensorProto.FLOAT)
    y = net.node("Cast", [net.conv(x, 3)], to=TYPES[given])
    return net.model([("image", dtype, ["n", 1, "h", "w"])], [(y, given, None)])


def laid(layout: str, channels: int = 1, **more: Any) -> Callable[[], ModelProto]:
    net = 3 if "D" in layout else 2
    return lambda: tiny_unet(channels, channels if "C" in layout else 1, net, layout, **more)


HALF, QUARTER, EIGHTH = Fraction(1, 2), Fraction(1, 4), Fraction(1, 8)
VOLUME = {"size": (21, 45, 38), "cut": Cut(tile=(36, 36, 32), halo="exact", block=(36, 40, 40))}
CASES = [
    Case("half", lambda: strided(1), 2, HALF),
    Case("quarter", lambda: strided(2), 4, QUARTER),
    Case("quarter by pools", lambda: strided(2, "pool"), 4, QUARTER),
    Case("eighth", lambda: strided(3), 8, EIGHTH, cut=Cut(tile=96, halo="exact", block=100)),
    Case("eighth, odd block", lambda: strided(3), 8, EIGHTH, size=(93, 211), cut=Cut(tile=80, halo="exact", block=1)),
    Case("twice", lambda: enlarged(2, "nearest"), 1, Fraction(2)),
    Case("three times", lambda: enlarged(3, "nearest"), 1, Fraction(3)),
    Case("twice, learned", lambda: enlarged(2, "deconv"), 1, Fraction(2)),
    Case("four times, shuffled", lambda: enlarged(4, "shuffle"), 1, Fraction(4), size=(71, 83)),
    Case("three times, shuffled", lambda: enlarged(3, "shuffle"), 1, Fraction(3), size=(71, 83)),
    Case("valid", lambda: valid(3), lost=(3, 3)),
    Case("valid U-Net", valid_unet, 2, lost=(7, 7), cut=Cut(tile=70, block=40)),
    *(Case(name, laid(name), 4, layouts=(name, name)) for name in ("NHWC", "CHW", "HWC", "NHW", "HW")),
    Case("NHWC of three", laid("NHWC", 3), 4, layouts=("NHWC", "NHWC"), channels=3),
    Case("HWC of three", laid("HWC", 3), 4, layouts=("HWC", "HWC"), channels=3),
    *(Case(name, laid(name), 4, layouts=(name, name), **VOLUME) for name in ("NCDHW", "NDHWC", "CDHW", "DHW")),
    Case("a batch of one baked in", lambda: tiny_unet(batch=1), 4),
    Case("a batch of two baked in", lambda: tiny_unet(batch=2), 4),
    *(
        Case(f"{dtype} to {given}", lambda dtype=dtype, given=given: typed(dtype, given), dtype=dtype, given=given)
        for dtype, given in (
            ("uint8", "float32"), ("int8", "float32"), ("float16", "float16"), ("float64", "float64"),
            ("float32", "uint8"), ("uint8", "int8"), ("float32", "int64"),
        )
    ),
]  # fmt: skip


def read(out: Path, level: str = "0") -> np.ndarray:
    return zarr.open_array(Path(out) / level, mode="r")[:]


def pixels_of(case: Case) -> np.ndarray:
    """What the model takes as it is."""
    dtype = case.dtype if case.dtype in {"uint8", "int8"} else "uint8"
    found = make_pixels((case.channels, *case.size), dtype)
    # what becomes integers must not leave their range, where casts differ
    return found // 8 if case.given in {"uint8", "int8"} else found


def whole_of(case: Case, model: Model, pixels: np.ndarray) -> np.ndarray:
    front, behind = case.lost
    pads = [(front, -n % case.multiple + behind) for n in case.size]
    sizes = [math.ceil(n * case.scale) for n in case.size]
    graph, image = model.prepared(), pixels.astype(case.dtype)
    if "two" in case.name:
        image = image[:, np.newaxis]
        return _batch_of_two(graph, image[:, 0], pads, sizes)
    return infer_laid(graph, image, layouts=case.layouts, pads=pads, sizes=sizes)


def _batch_of_two(graph: bytes, image: np.ndarray, pads: list[tuple[int, int]], sizes: list[int]) -> np.ndarray:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph, options)
    padded = np.pad(image, [(0, 0), *pads], mode="reflect")
    (found,) = session.run(None, {session.get_inputs()[0].name: np.stack([padded, padded])})
    return found[(0, slice(None), *map(slice, sizes))]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_run_and_predict_equal_the_whole(tmp_path: Path, case: Case) -> None:
    model = Model(save(case.make(), tmp_path))
    pixels = pixels_of(case)
    expected = whole_of(case, model, pixels)
    axes = "c" + "zyx"[-len(case.size) :]
    scale, origin = [1.0, 2.0, 0.5, 0.25][-len(case.size) :], [30.0, 7.0, 9.0][-len(case.size) :]
    image = write_image(tmp_path / "image.zarr", pixels, axes, scale=(1, *scale), translation=(0, *origin))
    asked = {"cut": case.cut, "results": Results(output="raw")}
    result = tilewise.run(image, model, tmp_path / "o.zarr", **asked)
    assert result.state == "done"
    assert result.blocks > 1 or case.layouts[0] in {"NCDHW", "NDHWC", "CDHW", "DHW"}
    found = read(tmp_path / "o.zarr")
    assert found.dtype == case.given
    np.testing.assert_array_equal(found, expected)
    lazy = tilewise.predict(da.from_array(pixels, chunks=(1, *(50 for _ in case.size))), model,
                            pixels=Pixels(axes=axes), **asked)  # fmt: skip
    assert lazy.dtype == case.given
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), expected)
    attributes = json.loads((tmp_path / "o.zarr" / "zarr.json").read_text())["attributes"]
    told = attributes["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    q = float(case.scale)
    assert told[0]["scale"] == [1.0, *(s / q for s in scale)]
    assert told[1]["translation"] == [0.0, *(o + (1 / q - 1) / 2 * s for o, s in zip(origin, scale, strict=True))]


def test_the_shard_is_the_block_in_the_outputs_own_pixels(tmp_path: Path) -> None:
    model = Model(save(strided(2), tmp_path))
    image = write_image(tmp_path / "image.zarr", make_pixels((1, 300, 301)), "cyx")
    cut = Cut(tile=64, halo="exact", block=90)
    made = tilewise.plan(image, model, tmp_path / "o.zarr", cut=cut)
    (spec,) = made.outputs
    assert spec.shape == (2, 75, 76)
    assert spec.shard[1:] == tuple(n // 4 for n in made.blocks.shape)
    assert spec.chunk[1:] == tuple(axis.step // 4 for axis in made.grid.axes)
    assert made.bytes_written == 2 * 75 * 76 * 4


def test_a_model_of_integers_gets_rounded_numbers(tmp_path: Path) -> None:
    model = Model(save(typed("uint8", "float32"), tmp_path))
    pixels = make_pixels((1, 60, 70), "uint16")
    image = write_image(tmp_path / "image.zarr", pixels, "cyx")
    how = Normalization(kind="minmax", range=(0, 255))
    tilewise.run(image, model, tmp_path / "o.zarr", cut=Cut(tile=32), pixels=Pixels(normalization=how))
    wide = pixels.astype(np.float64)
    ready = np.rint((wide - wide.min()) / (wide.max() - wide.min()) * 255).astype(np.uint8)
    expected = infer_laid(model.prepared(), ready, layouts=("NCHW", "NCHW"), pads=[(0, 0)] * 2, sizes=pixels.shape[1:])
    np.testing.assert_array_equal(read(tmp_path / "o.zarr"), expected)


def test_one_layer_of_every_batch_gives_the_same_bits(tmp_path: Path) -> None:
    pixels = make_pixels((1, 130, 90))
    image = write_image(tmp_path / "image.zarr", pixels, "cyx")
    model = Model(save(one_layer(), tmp_path))
    made = []
    for batch in (1, 3):
        tilewise.run(image, model, tmp_path / f"{batch}.zarr", cut=Cut(tile=32, halo="exact", batch=batch))
        made.append(read(tmp_path / f"{batch}.zarr"))
    np.testing.assert_array_equal(*made)
