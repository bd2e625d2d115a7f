"""Networks that look at the whole image, made local by freezing what they see there."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

import tilewise
from images import make_pixels, write_array
from networks import Net, save, wrap
from oracle import infer_whole
from tilewise import Cut, Model
from tilewise.cluster import connect
from tilewise.freezing import freeze
from tilewise.settings import Asked, Graph
from tilewise.source import open_image

SHAPE = (203, 310)


def normalizer(net, kind, x):
    """One normalization over space, as exporters write it; scale and bias are not trivial."""
    channels = net.channels[x]
    scale = net.constant((1 + 0.3 * net.rng.standard_normal(channels)).astype(np.float32))
    bias = net.constant((0.3 * net.rng.standard_normal(channels)).astype(np.float32))
    if kind == "instance":
        return net.node("InstanceNormalization", [x, scale, bias], epsilon=1e-4)
    if kind == "group":
        return net.node("GroupNormalization", [x, scale, bias], num_groups=2)
    if kind == "grouped":
        flat = net.reshape(x, [0, 2, -1])
        ones, zeros = (net.constant(np.full(2, v, np.float32)) for v in (1.0, 0.0))
        made = net.node("InstanceNormalization", [flat, ones, zeros])
        made = net.node("Reshape", [made, net.node("Shape", [x])], channels=channels)
        made = net.node("Mul", [made, net.constant(net.weights(channels, 1)[:, :, None] + 1)], channels=channels)
        return net.node("Add", [made, net.constant(net.weights(channels, 1)[:, :, None])], channels=channels)
    if kind == "mvn":
        return net.node("MeanVarianceNormalization", [x])
    mean = net.node("ReduceMean", [x, net.constant(np.array([2, 3]))], channels=channels)
    centred = net.node("Sub", [x, mean], channels=channels)
    variance = net.node(
        "ReduceMean", [net.node("Mul", [centred, centred]), net.constant(np.array([2, 3]))], channels=channels
    )
    spread = net.node("Sqrt", [net.node("Add", [variance, net.constant(np.float32(1e-5))])])
    return net.node("Div", [centred, spread], channels=channels)


def excite(net, x, kind="GlobalAveragePool"):
    """Squeeze and excitation."""
    channels = net.channels[x]
    gate = net.node(kind, [x], channels=channels)
    gate = net.conv(net.relu(net.conv(gate, 2, 1)), channels, 1)
    return net.node("Mul", [x, net.node("Sigmoid", [gate])], channels=channels)


def unet(kind, *, seed=0, opset=21):
    net = Net(2, seed)

    def layer(x, channels):
        x = net.conv(x, channels)
        return net.relu(excite(net, x) if kind == "excite" else normalizer(net, kind, x))

    def make(x):
        skip = layer(x, 4)
        deep = layer(net.pool(skip), 8)
        return net.conv(layer(net.concat(skip, net.resize(deep)), 4), 2, 1)

    return wrap(net, make, opset=opset)


@pytest.fixture(scope="module")
def client():
    with connect(scheduler=None, workers=0, threads=2, memory=1 << 30) as found:
        yield found


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    pixels = make_pixels(SHAPE, "uint8")
    # brighter on one side: statistics of tiles differ
    pixels = (pixels * np.linspace(0.2, 1, SHAPE[1])).astype("uint8")
    return write_array(tmp_path_factory.mktemp("image") / "image.zarr", pixels)


@pytest.mark.parametrize("kind", ["instance", "group", "grouped", "mvn", "decomposed", "excite"])
def test_frozen_equals_the_untiled_run(client, image, tmp_path, kind):
    path = save(unet(kind), tmp_path)
    asked = Asked(graph=Graph(freeze_norms="exact"))
    frozen = freeze(client, open_image(str(image)), Model(path), asked)
    assert frozen.model.spec.verdict == "exact", frozen.model.spec.reason
    pixels = zarr.open_array(image, mode="r")[:].astype(np.float32)[np.newaxis]
    truth = infer_whole(str(path), pixels, 2)
    made = []
    for tile in (64, 96):
        tilewise.run(image, frozen.model, tmp_path / f"out-{tile}", cut=Cut(tile=tile))
        made.append(zarr.open_array(tmp_path / f"out-{tile}" / "0", mode="r")[:])
    assert np.array_equal(*made)
    assert np.abs(made[0] - truth).max() <= 1e-4 * np.ptp(truth)
    assert len(frozen.norms.rows) == {"decomposed": 6, "excite": 3}.get(kind, 3)
