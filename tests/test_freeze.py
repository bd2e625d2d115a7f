"""Networks that look at the whole image, made local by freezing what they see there."""

from __future__ import annotations

import json

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import tilewise
from images import make_pixels, write_array
from networks import Net, save, tiny_unet, valid_unet, wrap
from oracle import infer_whole
from tilewise import Cut, Model
from tilewise.cluster import connect
from tilewise.errors import SettingError
from tilewise.events import Noted, Started
from tilewise.freezing import freeze
from tilewise.settings import Graph, Pixels
from tilewise.stats import Moments, moments_of_cells

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
    made = tilewise.plan(image, path, graph=Graph(freeze_norms="exact"))
    frozen = freeze(client, made, Model(path))
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


def run(image, path, out, mode="exact", **options):
    cut = Cut(tile=options.pop("tile", 64))
    return tilewise.run(image, path, out, graph=Graph(freeze_norms=str(mode)), cut=cut, **options)


def scores(out):
    return zarr.open_array(out / "0", mode="r")[:]


def test_run_freezes_resumes_and_hands_statistics_on(image, tmp_path):
    path = save(unet("instance"), tmp_path)
    events = []
    run(image, path, tmp_path / "a", observers=(events.append,))
    (line,) = [e.text for e in events if isinstance(e, Noted) and e.text.startswith("frozen")]
    assert line.count("InstanceNormalization '") == 3
    assert "now exact" in line
    assert not [e for e in events if isinstance(e, Noted) and e.text.startswith("tiles may differ")]
    kept = tmp_path / "a" / "tilewise" / "norms.json"
    assert json.loads(kept.read_text())["source"] == "exact"
    # nothing is gathered again where it is known
    again, other = [], []
    assert run(image, path, tmp_path / "a", observers=(again.append,)).done
    assert run(image, path, tmp_path / "b", kept, tile=96, observers=(other.append,)).done
    assert not [e for e in (*again, *other) if isinstance(e, Started) and e.phase.startswith("statistics of")]
    assert np.array_equal(scores(tmp_path / "a"), scores(tmp_path / "b"))


def test_a_sample_is_a_preview(image, tmp_path):
    path = save(unet("instance"), tmp_path)
    run(image, path, tmp_path / "exact")
    run(image, path, tmp_path / "sample", "sample")
    assert np.allclose(scores(tmp_path / "exact"), scores(tmp_path / "sample"), atol=2)


@pytest.mark.parametrize(
    ("graph", "mode", "word"),
    [
        (tiny_unet(), "exact", "nothing to freeze"),
        (unet("instance"), "/nowhere/norms.json", "norms.json of an earlier run"),
        (valid_unet(), "exact", "as large as its input"),
    ],
)
def test_what_cannot_be_frozen_is_refused(image, tmp_path, graph, mode, word):
    with pytest.raises(SettingError, match=word):
        run(image, save(graph, tmp_path), tmp_path / "out", mode)
    assert not (tmp_path / "out").exists()


def test_statistics_of_another_model_are_refused(image, tmp_path):
    run(image, save(unet("instance"), tmp_path), tmp_path / "a")
    other = save(unet("instance", seed=1), tmp_path, "other")
    with pytest.raises(SettingError, match="of model"):
        run(image, other, tmp_path / "b", tmp_path / "a" / "tilewise" / "norms.json")


def test_planes_have_statistics_of_their_own(tmp_path):
    stack = write_array(tmp_path / "stack.zarr", make_pixels((3, 80, 90)))
    path = save(unet("instance"), tmp_path)
    with pytest.raises(SettingError, match="--region z=0:1"):
        run(stack, path, tmp_path / "out")
    made = run(stack, path, tmp_path / "one", pixels=Pixels(region=(("z", 1, 2),)))
    assert made.done


def test_predict_refuses_what_it_cannot_know(tmp_path):
    with pytest.raises(SettingError, match="which computes nothing yet"):
        tilewise.predict(da.zeros((64, 64)), save(unet("instance"), tmp_path), graph=Graph(freeze_norms="exact"))


def test_a_plan_says_what_freezing_costs(image, tmp_path):
    made = tilewise.plan(image, save(unet("instance"), tmp_path), graph=Graph(freeze_norms="exact"))
    assert any("a pass over all" in note for note in made.notes)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
    st.integers(1, 5),
    st.integers(0, 2**32 - 1),
    st.data(),
)
def test_sums_of_cells_do_not_feel_the_cut(sides, cell, seed, data):
    pixels = np.random.default_rng(seed).standard_normal(sides).astype(np.float32) * 1000
    whole = moments_of_cells(pixels, [cell] * len(sides))
    axis = data.draw(st.integers(0, len(sides) - 1))
    at = cell * data.draw(st.integers(0, -(-sides[axis] // cell)))
    parts = [p for p in np.split(pixels, [min(at, sides[axis])], axis) if p.size]
    found = sum((moments_of_cells(p, [cell] * len(sides)) for p in parts), Moments())
    assert found == whole
    assert float(whole.total) == pytest.approx(pixels.astype(np.float64).sum(), rel=1e-9, abs=1e-6)
