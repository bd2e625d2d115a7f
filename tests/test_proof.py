"""Probes, certificate and verdict: what a walk claims is believed only as far as runs agree."""

import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from networks import Net, normalized, one_layer, tiny_unet, valid_unet, wrap
from tilewise import splice
from tilewise.proof.certificate import certify, pixels, plan_axis, shift
from tilewise.proof.choice import Choice
from tilewise.proof.explore import explore
from tilewise.proof.freedom import same_numbers, takes_batches
from tilewise.proof.geometry import Frame
from tilewise.proof.judge import Evidence, gather, judge
from tilewise.proof.liveness import live_bytes
from tilewise.proof.probe import cut_noise, difference, spread_nan, value_range
from tilewise.proof.runner import NOISES, Clock, RunError, Runner, ShortError, is_short, noise, open_graph
from tilewise.proof.signature import Port, layouts
from tilewise.receptive import Note, Reach

UNET = Frame((Reach(Fraction(1), 0, 0, 11, 11),) * 2, (4, 4), (0, 0), None)
SIZES = (48, 64)


def clock():
    return Clock(time.monotonic() + 60)


def runner(model, *, layout="NCHW", dtype="float32", channels=1, batch=1, optimize=True):
    return Runner(open_graph(model, optimize=optimize), "image", layout, dtype, channels, clock(), batch)


def lied(frame, **changes):
    """The frame with other claims for every axis."""
    return replace(frame, reaches=tuple(replace(reach, **changes) for reach in frame.reaches))


def test_cuts_of_noise_are_felt_as_far_as_the_walk_says():
    felt = cut_noise(runner(tiny_unet()), UNET, "NCHW")
    assert [(f.axis, f.side, f.need, f.beyond) for f in felt] == [
        (axis, side, 11, 0.0) for axis in (0, 1) for side in ("before", "after")
    ]


def test_a_claim_that_is_too_small_is_found_out_by_noise():
    felt = cut_noise(runner(tiny_unet()), lied(UNET, before=8, after=8), "NCHW")
    assert all(f.beyond > 1e-5 for f in felt)


def test_nan_spreads_through_the_linear_copy_as_far_as_the_walk_says():
    linear = runner(splice.linearise(tiny_unet()))
    assert [f.need for f in spread_nan(linear, UNET, "NCHW")] == [11] * 4
    assert all(f.beyond == 0 for f in spread_nan(linear, UNET, "NCHW"))
    assert all(np.isinf(f.beyond) for f in spread_nan(linear, lied(UNET, before=10, after=10), "NCHW"))


def test_a_unet_is_certified():
    found = certify(runner(tiny_unet()), UNET, "NCHW")
    assert found.difference == 0
    assert found.tile == (44, 44)


@pytest.mark.parametrize("wrong", [{"before": 4, "after": 4}, {"after": 6}])
def test_too_small_a_radius_is_not_certified(wrong):
    assert certify(runner(tiny_unet()), lied(UNET, **wrong), "NCHW").difference > 1e-5


def test_too_small_a_multiple_is_not_certified():
    # no skip that would refuse odd sizes: pooling simply falls on another grid
    net = Net()
    model = wrap(net, lambda x: net.resize(net.pool(net.pad(x, 0, 3), 4, stride=4), 4.0))
    run = runner(model)
    frame = Frame((Reach(Fraction(1), 0, 0, 16, 16),) * 2, (4, 4), (0, 0), None)
    image = run.noise((48, 48))
    assert np.array_equal(run.run(image)[0][:, :, 4:44], run.run(image[:, 4:])[0][:, :, :40])
    assert not np.array_equal(run.run(image)[0][:, :, 2:42], run.run(image[:, 2:])[0][:, :, :40])
    with pytest.raises((RunError, AssertionError)):
        assert certify(run, replace(frame, multiple=(2, 2)), "NCHW").difference == 0


def test_valid_convolutions_are_certified():
    frame = Frame((Reach(Fraction(1), 7, 7, 7, 7),) * 2, (2, 2), (0, 0), None)
    found = certify(runner(valid_unet()), frame, "NCHW")
    assert found.difference == 0
    assert certify(runner(valid_unet()), lied(frame, lead=6, trail=8, before=6, after=8), "NCHW").difference == 0


@given(
    st.integers(0, 60), st.integers(0, 60), st.sampled_from([1, 2, 3, 8, 12, 14]), st.integers(0, 9), st.integers(0, 9)
)
@settings(deadline=None)
def test_a_certificate_has_at_least_four_windows(before, after, multiple, lead, trail):
    reach = Reach(Fraction(1), lead, trail, before + lead, after + trail)
    frame = Frame((reach, reach), (multiple, multiple), (0, 0), None)
    cut = plan_axis(frame, 0)
    starts = {cut.window(k)[0] for k in range(cut.count)}
    assert len(starts) >= 4
    assert cut.tile >= 9 * multiple
    assert cut.tile % multiple == 0
    # the whole needs no padding
    assert cut.padded == cut.size
    assert pixels(frame) > 0


def test_windows_of_a_fixed_size_are_held_against_each_other():
    model = tiny_unet()
    frame = replace(UNET, fixed=SIZES)
    assert shift(runner(model), frame, "NCHW").difference == 0
    assert shift(runner(model), replace(frame, fixed=(20, 20)), "NCHW") is None
    assert shift(runner(model), lied(frame, before=2, after=2), "NCHW").difference > 1e-5


def test_a_normalisation_is_felt_everywhere():
    frame = Frame((Reach(Fraction(1), 0, 0, 2, 2),) * 2, (1, 1), (0, 0), None)
    assert min(f.beyond for f in cut_noise(runner(normalized()), frame, "NCHW")) > 1e-5


def test_batches_are_compared_with_single_images():
    assert takes_batches(runner(tiny_unet()), SIZES, [0])
    net = Net()
    mates = wrap(net, lambda x: net.node("Sub", [x, net.node("ReduceMean", [x, net.constant(np.array([0]))])]))
    assert not takes_batches(runner(mates), SIZES, [0])
    net = Net()
    baked = wrap(net, lambda x: net.reshape(x, [1, 1, 48, -1]))
    assert not takes_batches(runner(baked), SIZES, [0])


def test_graphs_are_compared():
    one, other = runner(one_layer()), runner(one_layer(seed=1))
    assert same_numbers(one, one, SIZES)
    assert not same_numbers(one, other, SIZES)


def test_dead_outputs_are_no_evidence():
    net = Net()
    model = wrap(net, lambda x: net.node("Mul", [net.conv(x, 1), net.constant(np.float32(0))]))
    frame = Frame((Reach(Fraction(1), 0, 0, 1, 1),) * 2, (1, 1), (0, 0), None)
    found = gather(runner(model), None, frame, "NCHW", SIZES)
    assert (found.status, found.difference) == ("skipped: the output is constant on noise", None)


def test_noise_is_chosen_so_that_the_output_varies():
    net = Net()
    # alive for pixels beyond 30 only
    model = wrap(net, lambda x: net.relu(net.node("Sub", [x, net.constant(np.float32(30))])))
    run = runner(model)
    assert run.enliven(SIZES)
    assert run.kind.gain == 100
    assert run.run(run.noise(SIZES))[0].any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int8", "uint16"])
def test_noise_has_the_type_of_the_input(dtype):
    for kind in NOISES:
        made = noise((2, 20, 30), dtype, 3, kind)
        assert (made.shape, made.dtype.name) == ((2, 20, 30), dtype)
        assert np.array_equal(made, noise((2, 20, 30), dtype, 3, kind))
        assert len(np.unique(made)) > 50


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "CHW", "HWC", "NHW", "HW", "NCDHW", "NDHWC"])
def test_images_are_fed_in_the_layout_of_the_model(layout):
    sizes = {"N": 1, "C": 1 if "C" not in layout else 3, "D": 5, "H": 6, "W": 7}
    image = np.arange(np.prod([sizes[c] for c in "NC" + ("DHW" if "D" in layout else "HW")])).reshape(
        [sizes[c] for c in "NC" + ("DHW" if "D" in layout else "HW")]
    )
    run = Runner(None, "image", layout, "int64", sizes["C"], clock())
    fed = run.feed(image)
    assert fed.shape == tuple(sizes[c] for c in layout)
    assert fed.ravel()[0] == 0
    index = tuple(1 if c in "HW" else 0 for c in layout)
    assert fed[index] == image[(0, 0, *[0] * (image.ndim - 4), 1, 1)]


def verdict(*notes, layout="NCHW", guessed="", **evidence):
    explored = explore(one_layer(), PORT, ("NCHW",), clock())
    explored = replace(explored, notes=notes)
    return judge(explored, Choice("y", layout, (), guessed), Evidence(**evidence))


PORT = Port("image", "float32", ("n", 1, "h", "w"))
LOCAL = {"status": "passed", "difference": 0.0, "tile": (1, 1)}


def test_verdicts():
    assert verdict(**LOCAL)[0] == "exact"
    assert verdict(**{**LOCAL, "difference": 3e-6}) == (
        "exact to rounding", "tiled and untiled differ by 3.0e-06 of the range on noise",
    )  # fmt: skip
    assert verdict(**{**LOCAL, "difference": 3e-4})[0] == "unproven"
    assert verdict(Note("rounding", "Elu 'e'", "odd"), **LOCAL) == ("exact to rounding", "Elu 'e': odd")
    assert verdict(Note("unproven", "Odd 'o'", "unknown"), **LOCAL) == ("unproven", "Odd 'o': unknown")
    both = (Note("unproven", "Odd 'o'", "unknown"), Note("dependent", "Pool 'p'", "global"))
    assert verdict(*both, **LOCAL) == ("dependent", "Pool 'p': global")
    assert verdict(guessed="told from shapes")[0] == "unproven"
    assert verdict(failure="it failed")[0] == "unproven"
    assert verdict(layout="NC")[0] == "exact"
    assert verdict(Note("dependent", "Bernoulli 'b'", "it is random"), layout="NC")[0] == "dependent"
    skipped = verdict(status="skipped: it would take some 99 s")
    assert skipped == (
        "unproven",
        "all operators are local, but there is no certificate: skipped: it would take some 99 s",
    )


def test_a_small_difference_alone_never_certifies():
    # an unknown operator stays unproven, however well the certificate went
    assert verdict(Note("unproven", "Odd 'o'", "unknown"), **LOCAL)[0] == "unproven"


def test_differences_count_nan_on_one_side_as_infinite():
    a, b = np.array([1.0, np.nan, np.nan, np.inf]), np.array([1.5, np.nan, 0.0, np.inf])
    assert difference(a, b).tolist() == [0.5, 0.0, np.inf, 0.0]
    assert value_range(a) == 0
    assert value_range(np.array([np.nan])) == 0
    assert value_range(np.array([2, 250], np.uint8)) == 248


@pytest.mark.parametrize(
    ("dims", "asked", "found"),
    [
        (("n", 3, "h", "w"), None, "NCHW"),
        (("n", "h", "w", 3), None, "NHWC"),
        ((1, 512, 512, 1), None, "NHWC"),
        ((1, 64, 64, 64, 1), None, "NDHWC"),
        (("n", "c", "h", "w"), None, "NCHW"),
        ((3, "h", "w"), None, "CHW"),
        (("h", "w", 3), None, "HWC"),
        (("n", "h", "w"), None, "NHW"),
        (("h", "w"), None, "HW"),
        (("n", 3, "h", "w"), "NHWC", "NHWC"),
    ],
)
def test_the_likeliest_layout_comes_first(dims, asked, found):
    assert layouts(Port("x", "float32", dims), asked)[0] == found


def test_live_bytes_count_what_is_alive_together():
    net = Net()
    explored = explore(wrap(net, lambda x: net.relu(net.conv(x, 6))), PORT, ("NCHW",), clock())
    output = explored.ops[-1].outputs[0]
    # a map of six channels before the Relu, and one after it
    assert live_bytes(explored.ops, explored.walk.trace, "image", [output]) == 2 * 6 * 4


def test_a_run_that_comes_too_late_costs_the_certificate_and_not_the_inspection():
    net = Net()
    slow = runner(wrap(net, lambda x: net.conv(net.conv(x, 256, 9), 256, 9)))
    assert gather(slow, None, UNET, "NCHW", SIZES, seconds=0).status == "skipped: a run did not end in time"


@pytest.mark.parametrize("cause", [MemoryError(), RuntimeError("std::bad_alloc"), RuntimeError("x/bfc_arena.cc:360")])
def test_what_tells_of_memory_is_told_from_what_tells_of_the_model(cause):
    assert is_short(cause)
    assert not is_short(RuntimeError("Dimension mismatch"))
    assert issubclass(ShortError, MemoryError)
