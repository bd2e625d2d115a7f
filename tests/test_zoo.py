"""The zoo: what is claimed of every specimen, held against brute force; and runs in tiles against whole ones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

import brute
from specimens import SPECIMENS
from tiled import compare
from tilewise.proof.examine import examine
from tilewise.proof.runner import Clock

if TYPE_CHECKING:
    from specimens import Specimen
    from tilewise.spec import ModelSpec

LOCAL = [s for s in SPECIMENS if not s.whole and not s.fixed and s.output_layout != "NC"]
MIXING = [s for s in SPECIMENS if s.whole and s.name not in {"random", "Loop"}]
"""Chance differs anyway, and what a loop does is not looked into."""
RUN = (
    "layout NHWC", "layout DHWC", "layout HW", "HWC to CHW", "type int8", "type out bool", "labels as int64",
    "multiple 4 by 2", "valid U-Net", "super-resolution x3, declared size", "stride 3 after x2", "three resolutions",
    "classifier of one size", "a batch of four baked in", "probability and distances", "quantised, QLinearConv",
    "legacy unet", "dynamo windows", "keras unet", "keras several", "keras flattened",
)  # fmt: skip
"""One of a kind; the others run in benchmarks/zoo.py."""


def named(specimens):
    return pytest.mark.parametrize("specimen", specimens, ids=lambda s: s.name)


def inspected(specimen: Specimen, folder) -> ModelSpec:
    """In this process: a child each would take minutes."""
    path = folder / "model.onnx"
    path.write_bytes(specimen.build(0).SerializeToString())
    return examine(path, specimen.graph, Clock(time.monotonic() + 60)).spec


def test_the_zoo_is_large_and_its_names_tell_them_apart():
    assert len(SPECIMENS) >= 60
    assert len({s.name for s in SPECIMENS}) == len(SPECIMENS)


@named(SPECIMENS)
def test_claims(specimen, tmp_path):
    found = inspected(specimen, tmp_path)
    claims = {
        "layout": specimen.layout,
        "output_layout": specimen.output_layout or specimen.layout,
        "spatial_ndim": specimen.ndim,
        "in_channels": specimen.channels,
        "dtype": specimen.dtype,
        "out_dtype": specimen.out_dtype,
        "multiple": specimen.axes(specimen.multiple),
        "radius": None if specimen.radius is None else specimen.axes(specimen.radius),
        "scale": specimen.axes(specimen.scales[0] if specimen.scales else specimen.scale),
        "lead": specimen.axes(specimen.lead),
        "trail": specimen.axes(specimen.trail),
        "fixed_size": specimen.fixed,
        "fixed_batch": specimen.batch,
        "verdict": specimen.verdict,
    }
    assert {key: getattr(found, key) for key in claims} == claims
    assert specimen.word in found.reason
    assert tuple(port.layout for port in found.ports) == specimen.ports


@named(LOCAL)
def test_radius_and_multiple_are_those_of_brute_force(specimen):
    cuts = [brute.cut(specimen, axis) for axis in range(specimen.ndim)]
    assert specimen.coarse or not any(cut.smaller for cut in cuts)
    measured = tuple(max(cut.before, cut.after) for cut in cuts)
    # where coordinates are rounded, an index is taken to spare
    spare = 1 if specimen.verdict == "exact to rounding" or specimen.coarse else 0
    assert measured == tuple(reach - spare for reach in specimen.axes(specimen.radius))


@named(MIXING)
def test_what_is_called_dependent_feels_a_cut_from_afar(specimen):
    felt = False
    for seed in range(brute.WEIGHTS):
        model = specimen.build(seed)
        if specimen.fixed:
            felt |= feels_far_pixels(specimen, model, specimen.fixed, seed)
        else:
            felt |= feels_cut(specimen, model, seed)
    assert felt


def feels_cut(specimen, model, seed) -> bool:
    """Farther from a cut than any convolution here reaches, against the whole."""
    runner = brute.Runner(brute.open_free(model, specimen.layout), specimen.layout, specimen.layout)
    # brighter towards the far corner, so that halves have other ranges
    image = brute.pixels((specimen.channels, 96, 96), specimen.dtype, seed) * np.linspace(1, 3, 96, dtype=np.float32)
    image *= np.linspace(1, 3, 96, dtype=np.float32)[:, np.newaxis]
    whole = runner.run(image)
    pieces = [
        (runner.run(image[:, 48:])[:, 8:], whole[:, 56:]),
        (runner.run(image[:, :48])[:, :40], whole[:, :40]),
        (runner.run(image[..., 48:])[..., 8:], whole[..., 56:]),
        (runner.run(image[..., :48])[..., :40], whole[..., :40]),
    ]
    return any(brute.unlike(a, b, rounding=True).any() for a, b in pieces)


def feels_far_pixels(specimen, model, sizes, seed) -> bool:
    """Other pixels in one half, seen in the far quarter of the other; or the same pixels at another place."""
    runner = brute.Runner(brute.open_free(model, specimen.layout, freed=False), specimen.layout, specimen.layout)
    image = brute.pixels((specimen.channels, *sizes), specimen.dtype, seed)
    other = image.copy()
    other[:, sizes[0] // 2 :] = brute.pixels(other[:, sizes[0] // 2 :].shape, specimen.dtype, seed + 99)
    quarter = sizes[0] // 4
    if brute.unlike(runner.run(image)[:, :quarter], runner.run(other)[:, :quarter], rounding=True).any():
        return True
    moved = np.roll(image, 16, axis=1)
    back = np.roll(runner.run(moved), -16, axis=1)
    return bool(brute.unlike(runner.run(image)[:, :quarter], back[:, :quarter], rounding=True).any())


@named([s for s in SPECIMENS if s.fixed])
def test_what_is_called_fixed_takes_no_other_size_or_loses_its_meaning(specimen):
    layout = specimen.output_layout or specimen.layout
    runner = brute.Runner(
        brute.open_free(specimen.build(0), specimen.layout), specimen.layout, layout, batch=specimen.batch or 1
    )
    larger = tuple(2 * n for n in specimen.fixed)
    try:
        made = runner.run(brute.pixels((specimen.channels, *larger), specimen.dtype, 0))
    except Exception:
        return
    small = runner.run(brute.pixels((specimen.channels, *specimen.fixed), specimen.dtype, 0))
    # it runs, but is no image of that size: a classifier becomes a map, a map stays as small
    assert made.shape != small.shape if layout == "NC" else made.shape == small.shape


@named([s for s in SPECIMENS if "N" in s.layout and s.name != "random" and s.batch != 4])
def test_the_batch_is_free_exactly_where_mates_do_not_matter(specimen):
    session = brute.open_free(specimen.build(0), specimen.layout, freed=specimen.fixed is None)
    sizes = specimen.fixed or (72,) * specimen.ndim
    letters = specimen.layout.replace("N", "").replace("C", "")
    images = [brute.pixels((specimen.channels, *sizes), specimen.dtype, seed) for seed in (1, 2)]
    if specimen.dtype == "float32":
        images[1] *= 3
    feeds = [brute.lay(image, f"C{letters}", specimen.layout) for image in images]
    if any(isinstance(n, int) and n == 1 for n in session.get_inputs()[0].shape[:1]):
        # the file declares one image: that is freed and found out by running, which is not to be repeated here
        return
    constants = {name: np.full(1, value, np.float32) for name, value in specimen.graph.inputs}
    single = [session.run(None, {"image": feed, **constants})[0] for feed in feeds]
    try:
        both = session.run(None, {"image": np.concatenate(feeds, specimen.layout.index("N")), **constants})[0]
    except Exception:
        assert specimen.batch == 1
        return
    axis = max((specimen.output_layout or specimen.layout).find("N"), 0)
    apart = np.concatenate(single, axis)
    alike = both.shape == apart.shape and not brute.unlike(both, apart, rounding=False).any()
    assert alike == (specimen.batch is None)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TILEWISE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@named([s for s in SPECIMENS if s.name in RUN])
def test_tiled_equals_untiled(specimen, tmp_path):
    found = compare(specimen, tmp_path)
    assert found.difference == 0
    assert found.model.spec.verdict == specimen.verdict
