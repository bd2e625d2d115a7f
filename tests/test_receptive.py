"""The walk against brute force: cut, compare with the whole, over many random weights."""

import time
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from networks import Net, wrap
from tilewise import receptive, splice
from tilewise.geometry import round_up
from tilewise.operators import Trace
from tilewise.proof.choice import choose
from tilewise.proof.explore import explore
from tilewise.proof.prepared import crop
from tilewise.proof.runner import Clock, Runner, open_graph
from tilewise.proof.signature import layouts, pick_image, ports
from tilewise.receptive.place import MixedError, Part, Place, collapse, regroup, spatial
from tilewise.receptive.taps import Sampling, resize_taps, slide, transposed_taps, window_taps

WEIGHTS = 20
HALF = Fraction(1, 2)


def place(size=96, step=1, start=0, stop=None, axis=0):
    return Part(size, Place(axis, Fraction(step), start, size if stop is None else stop))


def walked(model):
    """What the graph tells: (explored, choice)."""
    inputs, outputs = ports(model)
    image = pick_image(inputs, ())
    explored = explore(model, image, layouts(image, None), Clock(time.monotonic() + 60))
    selection = choose(explored, [port.name for port in outputs], None)
    if any(reach.extra for reach in selection.choices[0].reaches):
        explored, selection = crop(model, image, explored, selection, Clock(time.monotonic() + 60))
    return explored, selection.choices[0]


@dataclass
class Brute:
    """What cutting tells, in input pixels, along axis y."""

    before: int
    after: int
    multiple: bool
    """True if no smaller multiple does."""


def brute(build, multiple, reach, *, channels=2):
    """Cut at a multiple of M on either side, with many random weights; try all smaller multiples."""
    m, q = multiple, 1 / reach.step
    cut = round_up(7, m)
    length = round_up(reach.before + reach.after + 6 * m + 8, m)
    before = after = 0
    smaller = {d for d in range(1, m) if m % d == 0 and (d * q).denominator == 1}
    for seed in range(WEIGHTS):
        model = build(seed)
        session = open_graph(model, optimize=False)
        runner = Runner(session, "image", "NCHW", "float32", channels, Clock(time.monotonic() + 60))

        def run(image, runner=runner):
            made = runner.run(image)[0]
            extra = made.shape[2] - int((image.shape[1] - reach.lead - reach.trail) * q)
            return made[:, :, extra // 2 : made.shape[2] - (extra - extra // 2)]

        rng = np.random.default_rng(seed)
        image = rng.integers(-3, 4, (channels, length + cut, round_up(12, m))).astype(np.float32)
        whole = run(image)
        tail, head = run(image[:, cut:]), run(image[:, :length])
        before = max(before, reach.lead + _last(tail, whole[:, :, int(cut * q) :]) * reach.step)
        after = max(after, reach.trail + _last(head[:, :, ::-1], whole[:, :, : head.shape[2]][:, :, ::-1]) * reach.step)
        for d in list(smaller):
            # off the grid by d: equal in the interior only if d is a multiple, too
            moved = run(image[:, d : d + length])
            low = int(np.ceil((reach.before + m) * q))
            high = moved.shape[2] - int(np.ceil((reach.after + m) * q))
            assert high - low >= 2 * m * q
            if not np.array_equal(moved[:, :, low:high], whole[:, :, low + int(d * q) : high + int(d * q)]):
                smaller.discard(d)
    return Brute(int(np.ceil(before)), int(np.ceil(after)), not smaller)


def _last(made, same):
    different = (made != same).any(axis=(0, 1, 3))
    return int(np.nonzero(different)[0][-1]) + 1 if different.any() else 0


# one layer is (kind, numbers...); kernels lie along y only, so that a case stays small
KEEP = st.one_of(
    st.tuples(st.just("conv"), st.integers(1, 5), st.integers(1, 3), st.sampled_from(["same", "early", "late"])),
    st.tuples(st.just("pool"), st.sampled_from([2, 3, 4]), st.sampled_from(["MaxPool", "AveragePool"])),
    st.tuples(st.just("relu")),
    st.tuples(st.just("shift"), st.integers(1, 4), st.booleans()),
    st.tuples(st.just("branch"), st.integers(1, 5), st.integers(1, 5), st.sampled_from(["concat", "add"])),
    st.tuples(st.just("reflect"), st.integers(1, 3)),
)
DOWN = st.one_of(
    st.tuples(st.just("stride"), st.sampled_from([2, 3]), st.integers(2, 5)),
    st.tuples(st.just("down"), st.sampled_from([2, 3]), st.sampled_from(["MaxPool", "AveragePool"])),
    st.tuples(st.just("slice"), st.sampled_from([2, 3]), st.integers(0, 1)),
    st.tuples(st.just("depth"), st.just(2)),
)
UP = st.one_of(
    st.tuples(st.just("up"), st.sampled_from(["nearest", "linear", "cubic", "asymmetric"])),
    st.tuples(st.just("deconv"), st.sampled_from([(2, 0, 0), (4, 1, 0), (3, 1, 1), (3, 0, 0), (2, 1, 0)])),
    st.tuples(st.just("space"), st.just(2)),
)
LAYERS = st.tuples(
    st.lists(KEEP, max_size=2), st.lists(st.one_of(DOWN, KEEP), max_size=3), st.lists(UP, max_size=1),
    st.lists(KEEP, max_size=2),
).map(lambda parts: [layer for part in parts for layer in part])  # fmt: skip


def lay(net, x, layer):
    """Append one layer."""
    kind, *numbers = layer
    if kind == "conv":
        k, d, side = numbers
        total = (k - 1) * d
        begin = {"same": total // 2, "early": total, "late": 0}[side]
        return net.conv(x, 2, (k, 1), dilation=(d, 1), pads_y=(begin, total - begin))
    if kind == "pool":
        k, op = numbers
        begin = (k - 1) // 2
        return net.pool_y(x, k, 1, (begin, k - 1 - begin), op)
    if kind == "relu":
        return net.relu(x)
    if kind == "shift":
        n, early = numbers
        return net.crop_y(net.pad_y(x, n, 0), 0, -n) if early else net.crop_y(net.pad_y(x, 0, n), n, 0)
    if kind == "branch":
        a, b, how = numbers
        one = lay(net, x, ("conv", a, 1, "same"))
        other = lay(net, x, ("conv", b, 2, "late"))
        return net.concat(one, other) if how == "concat" else net.add(one, other)
    if kind == "reflect":
        n = numbers[0]
        return net.conv(net.pad_y(x, n, n, mode="reflect"), 2, (2 * n + 1, 1), pads_y=(0, 0))
    if kind == "stride":
        s, k = numbers
        return net.conv(x, 2, (k, 1), stride=(s, 1), pads_y=((k - 1) // 2, k - 1 - (k - 1) // 2))
    if kind == "down":
        s, op = numbers
        return net.pool_y(x, s, s, (0, 0), op)
    if kind == "slice":
        s, start = numbers
        return net.crop_y(x, start, 0, step=s)
    if kind == "depth":
        return net.conv(net.node("SpaceToDepth", [x], channels=net.channels[x] * 4, blocksize=2), 2, 1)
    if kind == "up":
        return net.up_y(x, numbers[0])
    if kind == "deconv":
        k, pad, extra = numbers[0]
        return net.deconv_y(x, 2, k, pad, extra)
    if kind == "space":
        return net.node("DepthToSpace", [net.conv(x, 8, 1)], channels=2, blocksize=2)
    raise ValueError(kind)


class Column(Net):
    """Layers whose windows lie along y only."""

    def weights(self, *shape, dtype=np.float32):
        # -1, 0, 1: sums stay exact through all layers
        return self.rng.choice([-1, -1, 0, 1, 1, 1], shape).astype(dtype)

    def conv(self, x, out, kernel=3, *, pads_y=(0, 0), **more):
        return super().conv(x, out, kernel, **more, pads=pads_y)

    def _pads(self, pads, kernel, dilation):
        return [pads[0], 0, pads[1], 0] if isinstance(pads, tuple) else super()._pads(pads, kernel, dilation)

    def pool_y(self, x, k, s, pads, op):
        return self.pool(x, (k, 1), stride=(s, 1), pads=pads, kind=op)

    def pad_y(self, x, begin, end, mode="constant"):
        return self.node("Pad", [x, self.constant(np.array([0, 0, begin, 0, 0, 0, end, 0]))], mode=mode)

    def crop_y(self, x, begin, end, step=1):
        numbers = [[begin], [end or np.iinfo(np.int64).max], [2], [step]]
        return self.node("Slice", [x, *[self.constant(np.array(n, np.int64)) for n in numbers]])

    def up_y(self, x, mode):
        coordinates = "asymmetric" if mode == "asymmetric" else "half_pixel"
        kind = "linear" if mode == "asymmetric" else mode
        more = {"nearest_mode": "round_prefer_floor"} if kind == "nearest" else {}
        scales = self.constant(np.array([1, 1, 2, 1], np.float32))
        return self.node(
            "Resize", [x, "", scales], mode=kind, coordinate_transformation_mode=coordinates,
            channels=self.channels[x], **more,
        )  # fmt: skip

    def deconv_y(self, x, out, k, pad, extra):
        w = self.constant(self.weights(self.channels[x], out, k, 1))
        return self.node(
            "ConvTranspose", [x, w], channels=out, strides=[2, 1], pads=[pad, 0, pad, 0], output_padding=[extra, 0]
        )  # fmt: skip


def column(layers, seed):
    net = Column(seed=seed)

    def make(x):
        for layer in layers:
            x = lay(net, x, layer)
        return net.node("Identity", [x])

    return wrap(net, make, channels_in=2)


def check(layers):
    """Never below brute force, and above it by less than M and one kernel at the coarsest stride."""

    def build(seed):
        return column(layers, seed)

    explored, choice = walked(build(0))
    assert [n for n in explored.notes if n.kind != "rounding"] == []
    reach, m = choice.reaches[0], explored.walk.multiple[0]
    found = brute(build, m, reach)
    coarsest = max(
        (p.place.step for s in explored.walk.states.values() for parts in s for p in parts if p.place), default=1
    )
    slack = m + 9 * coarsest
    assert found.before <= reach.before < found.before + slack
    assert found.after <= reach.after < found.after + slack
    assert found.multiple, f"a smaller multiple than {m} does"


@given(LAYERS)
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_reach_and_multiple_of_random_networks_agree_with_cutting(layers):
    check(layers)


@pytest.mark.parametrize(
    ("layers", "before", "after", "multiple"),
    [
        ([("conv", 3, 1, "same")], 1, 1, 1),
        ([("conv", 3, 4, "same")], 4, 4, 1),
        ([("conv", 4, 1, "same")], 1, 2, 1),
        ([("conv", 5, 1, "early")], 4, 0, 1),
        ([("conv", 5, 1, "late")], 0, 4, 1),
        ([("conv", 3, 1, "same"), ("down", 2, "MaxPool"), ("conv", 3, 1, "same"), ("up", "nearest")], 4, 4, 2),
        ([("down", 3, "MaxPool"), ("up", "nearest")], 0, 0, 3),
        ([("stride", 3, 5), ("down", 2, "MaxPool")], 6, 0, 6),
        ([("shift", 3, False)], 0, 3, 1),
        ([("branch", 1, 5, "concat")], 0, 8, 1),
        ([("depth", 2), ("space", 2)], 0, 0, 2),
    ],
)
def test_known_networks(layers, before, after, multiple):
    explored, choice = walked(column(layers, 0))
    reach = choice.reaches[0]
    assert (reach.before, reach.after, explored.walk.multiple[0]) == (before, after, multiple)
    check(layers)


def test_a_constant_branch_feels_a_cut_although_no_pixel_reaches_it():
    def build(seed):
        net = Column(seed=seed)

        def make(x):
            zero = net.node("Mul", [x, net.constant(np.float32(0))])
            one = net.node("Add", [zero, net.constant(np.float32(1))])
            return net.add(x, net.conv(one, 2, (7, 1), pads_y=(3, 3)))

        return wrap(net, make, channels_in=2)

    explored, choice = walked(build(0))
    reach = choice.reaches[0]
    found = brute(build, 1, reach)
    assert (reach.before, reach.after) == (found.before, found.after) == (3, 3)
    assert explored.notes == ()


def test_axes_are_told_apart():
    net = Net()
    model = wrap(net, lambda x: net.conv(x, 1, (3, 7), stride=(1, 2), pads=None))
    explored, choice = walked(model)
    assert explored.walk.multiple == (1, 2)
    assert [(r.before, r.after) for r in choice.reaches] == [(1, 1), (4, 2)]
    assert [r.step for r in choice.reaches] == [1, 2]


def attention(x, net):
    x = net.pool(x, 4, stride=4)
    tokens = net.node("Transpose", [net.reshape(x, [0, 0, -1])], perm=[0, 2, 1])
    scores = net.node("MatMul", [tokens, net.node("Transpose", [tokens], perm=[0, 2, 1])])
    mixed = net.node("MatMul", [net.node("Softmax", [scores], axis=-1), tokens])
    shape = net.node("Shape", [x])
    return net.node("Reshape", [net.node("Transpose", [mixed], perm=[0, 2, 1]), shape], channels=2)


def coordinates(x, net):
    # the index of every row, made from the shape
    rows = net.node("Gather", [net.node("Shape", [x]), net.constant(np.int64(2))], axis=0)
    counted = net.node("Range", [net.constant(np.int64(0)), rows, net.constant(np.int64(1))])
    column = net.node("Unsqueeze", [net.node("Cast", [counted], to=1), net.constant(np.array([1], np.int64))])
    return net.add(x, column)


def by_area(x, net):
    size = net.node("Cast", [net.node("Size", [x])], to=1)
    return net.node("Div", [x, size])


def roll(x, net):
    numbers = [([4], [2**31], [2], [1]), ([0], [4], [2], [1])]
    pieces = [net.node("Slice", [x, *[net.constant(np.array(n)) for n in four]]) for four in numbers]
    return net.node("Concat", pieces, axis=2, channels=2)


NOT_LOCAL = {
    "InstanceNormalization": lambda x, net: net.node(
        "InstanceNormalization", [x, net.constant(np.ones(2, np.float32)), net.constant(np.ones(2, np.float32))]
    ),
    "LayerNormalization": lambda x, net: net.node("LayerNormalization", [x, net.constant(np.float32([1.0]))], axis=-1),
    "MeanVarianceNormalization": lambda x, net: net.node("MeanVarianceNormalization", [x]),
    "GlobalAveragePool": lambda x, net: net.node("Mul", [x, net.node("GlobalAveragePool", [x])]),
    "ReduceMean": lambda x, net: net.node("Sub", [x, net.node("ReduceMean", [x, net.constant(np.array([2, 3]))])]),
    "ReduceMax": lambda x, net: net.node("Div", [x, net.node("ReduceMax", [x])]),
    "MatMul": attention,
    "Softmax": lambda x, net: net.node("Softmax", [x], axis=-1),
    "CumSum": lambda x, net: net.node("CumSum", [x, net.constant(np.int64(3))]),
    "Resize": lambda x, net: net.node(
        "Resize", [x, "", net.constant(np.float32([1, 1, 2, 2]))], mode="linear",
        coordinate_transformation_mode="align_corners",
    ),
    "TopK": lambda x, net: net.node(
        "Add", [x, net.node("TopK", [x, net.constant(np.array([1]))], outputs=2, axis=-1)[0]]
    ),
    "Add": coordinates,
    "Div": by_area,
    "Concat": roll,
    "Slice": lambda x, net: net.crop(x, -1, -(2**31), step=-1),
    "RandomNormalLike": lambda x, net: net.add(x, net.node("RandomNormalLike", [x])),
    "Pad": lambda x, net: net.crop(net.pad(x, 2, 2, mode="wrap"), 2, -2),
    "DynamicQuantizeLinear": lambda x, net: net.node(
        "Cast", [net.node("DynamicQuantizeLinear", [x], outputs=3, channels=2)[0]], to=1
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", NOT_LOCAL)
def test_what_is_not_local_is_named(kind):
    net = Net()
    model = wrap(net, lambda x: net.node("Identity", [NOT_LOCAL[kind](net.conv(x, 2), net)]), opset=20)
    explored, _ = walked(model)
    first = next(note for note in explored.notes if note.kind != "rounding")
    assert first.kind == "dependent"
    assert kind in first.node


def over_channels(x, net, layer):
    return net.node("Transpose", [layer(net.node("Transpose", [x], perm=[0, 2, 3, 1]))], perm=[0, 3, 1, 2])


def _sizes(x, net):
    shape = net.node("Shape", [x])
    return [net.node("Gather", [shape, net.constant(np.array([i]))], axis=0) for i in range(4)]


def _shaped(x, net, parts):
    return net.node("Reshape", [x, net.node("Concat", parts, axis=0)], channels=4)


def windows(x, net):
    """Attention within windows of 4 x 4, by reshaping: M = 4, and local."""
    n, c, h, w = _sizes(x, net)
    four = net.constant(np.array([4]))
    rows, columns = (net.node("Div", [size, four]) for size in (h, w))
    y = net.node("Transpose", [_shaped(x, net, [n, c, rows, four, columns, four])], perm=[0, 2, 4, 3, 5, 1])
    y = net.reshape(y, [-1, 16, 4])
    scores = net.node("MatMul", [y, net.node("Transpose", [y], perm=[0, 2, 1])])
    y = net.node("MatMul", [net.node("Softmax", [scores], axis=-1), y])
    y = _shaped(y, net, [n, rows, columns, four, four, c])
    return _shaped(net.node("Transpose", [y], perm=[0, 5, 1, 3, 2, 4]), net, [n, c, h, w])


def shuffle(x, net):
    n, _, h, w = _sizes(x, net)
    two = net.constant(np.array([2]))
    y = net.node("Transpose", [_shaped(x, net, [n, two, two, h, w])], perm=[0, 2, 1, 3, 4])
    return _shaped(y, net, [n, net.constant(np.array([4])), h, w])


def shuffle_pixels(x, net):
    n, _, h, w = _sizes(x, net)
    one, two = net.constant(np.array([1])), net.constant(np.array([2]))
    y = net.node("Transpose", [_shaped(x, net, [n, one, two, two, h, w])], perm=[0, 1, 4, 2, 5, 3])
    tall, wide = (net.node("Mul", [size, two]) for size in (h, w))
    y = _shaped(y, net, [n, one, tall, wide])
    net.channels[y] = 1
    return y


def upsample_to(x, net):
    small = net.pool(x)
    return net.node("Resize", [small, "", "", net.node("Shape", [x])], mode="linear", channels=4)


LOCAL = {
    "window attention": windows,
    "layer norm over channels": lambda x, net: over_channels(
        x, net, lambda y: net.node("LayerNormalization", [y, net.constant(np.ones(4, np.float32))], axis=-1)
    ),
    "dense over channels": lambda x, net: over_channels(
        x, net, lambda y: net.node("MatMul", [y, net.constant(net.weights(4, 4))])
    ),
    "softmax over channels": lambda x, net: net.node("Softmax", [x], axis=1),
    "argmax": lambda x, net: net.node("Cast", [net.node("ArgMax", [x], axis=1, keepdims=1)], to=1),
    "channel shuffle": shuffle,
    "mean over channels": lambda x, net: net.add(x, net.node("ReduceMean", [x, net.constant(np.array([1]))])),
    "pixel shuffle by hand": shuffle_pixels,
    "split and join": lambda x, net: net.concat(*net.node("Split", [x], outputs=2, axis=1, num_outputs=2)),
    "batch norm": lambda x, net: net.node(
        "BatchNormalization", [x, *[net.constant(np.ones(4, np.float32)) for _ in range(4)]]
    ),
    "groups": lambda x, net: net.conv(x, 4, group=2),
    "resize to another map": upsample_to,
}


@pytest.mark.parametrize("kind", LOCAL)
def test_what_is_local_is_exact(kind):
    net = Net()
    model = wrap(net, lambda x: net.node("Identity", [LOCAL[kind](net.conv(x, 4), net)]))
    explored, choice = walked(model)
    assert explored.notes == ()
    expected = {"window attention": 4, "resize to another map": 2}.get(kind, 1)
    assert explored.walk.multiple == (expected, expected)
    assert choice.reaches[0].before <= 5


def quantised_part(kind, x, net):
    """One of the runtime's own quantised operators between two quantisations."""
    scale, zero = net.constant(np.float32(0.1)), net.constant(np.uint8(128))
    q = net.node("QuantizeLinear", [x, scale, zero], channels=4)
    numbers = [q, scale, zero]
    inputs = {
        "QLinearAdd": [*numbers, *numbers, scale, zero],
        "QLinearMul": [*numbers, *numbers, scale, zero],
        "QLinearSigmoid": [*numbers, scale, zero],
        "QLinearLeakyRelu": [*numbers, scale, zero],
        "QLinearConcat": [scale, zero, *numbers, *numbers],
        "QLinearAveragePool": [*numbers, scale, zero],
        "QLinearGlobalAveragePool": [*numbers, scale, zero],
        "DynamicQuantizeMatMul": [x, net.constant(net.rng.integers(0, 9, (4, 4)).astype(np.uint8)), scale, zero],
        "FusedConv": [x, net.constant(net.weights(4, 4, 1, 1)), net.constant(np.zeros(4, np.float32)), x],
    }[kind]
    more = {"QLinearConcat": {"axis": 1}, "FusedConv": {"activation": "Relu"}}.get(kind, {})
    if kind == "QLinearAveragePool":
        more = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1]}
    if kind == "DynamicQuantizeMatMul":
        inputs[0] = net.node("Transpose", [x], perm=[0, 2, 3, 1])
    y = net.node(kind, inputs, domain="com.microsoft", channels=8 if kind == "QLinearConcat" else 4, **more)
    if kind == "DynamicQuantizeMatMul":
        return net.node("Transpose", [y], perm=[0, 3, 1, 2], channels=4)
    if kind == "FusedConv":
        return y
    return net.node("DequantizeLinear", [y, scale, zero], channels=net.channels[y])


@pytest.mark.parametrize(
    ("kind", "radius", "note"),
    [
        ("QLinearAdd", 1, None),
        ("QLinearMul", 1, None),
        ("QLinearSigmoid", 1, None),
        ("QLinearLeakyRelu", 1, None),
        ("QLinearConcat", 1, None),
        ("QLinearAveragePool", 2, None),
        ("FusedConv", 1, None),
        ("QLinearGlobalAveragePool", None, "it gathers the whole image"),
        ("DynamicQuantizeMatMul", 1, "its scale depends on the whole image and on the batch"),
    ],
)
def test_operators_of_the_runtime_itself(kind, radius, note):
    net = Net()

    def make(x):
        y = quantised_part(kind, net.conv(x, 4), net)
        return net.node("Mul", [net.conv(x, 4), y]) if kind == "QLinearGlobalAveragePool" else y

    model = wrap(net, make)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    explored, choice = walked(model)
    assert [n.why for n in explored.notes if n.kind != "rounding"] == ([note] if note else [])
    if radius is not None:
        assert choice.reaches[0].before == radius


def test_an_unknown_operator_is_unproven_and_named():
    model = wrap(Net(), lambda x: x)
    model.graph.node.append(helper.make_node("Strange", ["image"], ["y"], name="odd one", domain="my.company"))
    trace = Trace((8, 9), {"image": (1, 1, 8, 9), "y": (1, 1, 8, 9)}, {})
    found = receptive.walk(splice.operators(model), "image", "NCHW", trace, 20)
    assert [(n.kind, n.node) for n in found.notes] == [("unproven", "my.company::Strange 'odd one'")]
    assert found.lost["y"] == found.notes[0]


@given(
    st.integers(1, 7), st.integers(1, 4), st.integers(1, 3), st.integers(0, 6), st.integers(0, 30), st.integers(10, 96)
)
@settings(deadline=None)
def test_clean_indices_of_a_window_are_those_whose_taps_are_clean(kernel, stride, dilation, pad, start, stop):
    taps = window_taps(kernel, stride, dilation, pad)
    made = slide(place(96, 1, start, stop), taps, 40, Fraction(stride)).place
    clean = [o for o in range(40) if taps(o)[0] >= start]
    assert made.start == (clean[0] if clean else made.start)
    assert all(taps(o)[0] >= start for o in range(made.start, 40))
    assert made.stop == min(40, sum(taps(o)[1] < stop for o in range(-200, 40)) - 200)


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(0, 40))
def test_taps_of_a_transposed_window_are_those_that_reach_it(kernel, stride, dilation, pad, o):
    taps = transposed_taps(kernel, stride, dilation, pad)
    reach = [i for i in range(-60, 80) if any(i * stride - pad + k * dilation == o for k in range(kernel))]
    if reach:
        assert taps(o)[0] <= reach[0]
        assert reach[-1] <= taps(o)[1]


@pytest.mark.parametrize(
    ("sampling", "taps"),
    [
        (Sampling(Fraction(2), "nearest", "asymmetric", "floor", antialias=False), [(0, 0), (0, 0), (1, 1)]),
        (Sampling(Fraction(2), "linear", "half_pixel", "", antialias=False), [(-1, 0), (0, 1), (0, 1)]),
        (Sampling(Fraction(2), "cubic", "half_pixel", "", antialias=False), [(-2, 1), (-1, 2), (-1, 2)]),
        (Sampling(HALF, "nearest", "half_pixel", "round_prefer_ceil", antialias=False), [(1, 1), (3, 3), (5, 5)]),
        (Sampling(HALF, "nearest", "half_pixel", "round_prefer_floor", antialias=False), [(0, 0), (2, 2), (4, 4)]),
        (Sampling(HALF, "linear", "half_pixel", "", antialias=True), [(-2, 3), (0, 5), (2, 7)]),
    ],
)
def test_taps_of_resize(sampling, taps):
    assert [resize_taps(sampling)(o) for o in range(3)] == taps


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4), st.integers(1, 4))
def test_regrouping_there_and_back_keeps_places(h, w, a, b):
    state = ((Part(4),), (place(h * a),), (place(w * b, axis=1),))
    there = regroup(state, (4, h, a, w, b))
    back = regroup(there, (4, h * a, w * b))
    assert [spatial(parts).place.step if parts else None for parts in back[1:]] == [1, 1]


def test_shapes_that_do_not_factor_are_mixed():
    with pytest.raises(MixedError, match="factor"):
        regroup(((place(9),), (place(8, axis=1),)), (6, 12))
    with pytest.raises(MixedError, match="share an axis"):
        spatial((Part(3), place(8)))


def test_phases_behind_a_place_are_a_finer_place():
    one = collapse((place(8, 2, 3, 7), Part(2)))
    assert one == (place(16, 1, 6, 14),)
