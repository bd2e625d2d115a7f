"""Tile and halo where they are left to us: always something that runs, exact if it is affordable, within memory."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs import model_of
from tilewise.errors import SettingError
from tilewise.geometry import Grid
from tilewise.settings import Cut
from tilewise.tiling import AFFORDABLE, choose, spread

BUDGET = 2_000_000_000


@given(
    shape=st.tuples(st.integers(1, 9000), st.integers(1, 9000)),
    multiple=st.sampled_from([1, 3, 4, 8, 12, 14, 32]),
    reach=st.one_of(st.none(), st.integers(0, 400)),
    budget=st.sampled_from([10**7, 10**8, BUDGET]),
)
def test_without_flags_a_run_always_starts(shape, multiple, reach, budget):
    model = model_of(multiple=multiple, reach=reach)
    made = choose(shape, model, Cut(), budget, 300.0)
    for axis, n, halo in zip(made.axes, shape, made.halo, strict=True):
        assert axis.size == n
        assert axis.tile % multiple == 0
        assert halo % multiple == 0
        if axis.count > 1:
            assert axis.before == axis.after == halo
    price = math.prod(axis.count * axis.tile / axis.padded for axis in made.axes)
    tiled = [axis.count > 1 for axis in made.axes]
    exact = model.halo
    if exact is not None and not made.bounded and any(tiled):
        assert all(h >= e for h, e, t in zip(made.halo, exact, tiled, strict=True) if t)
        assert price <= AFFORDABLE or all(axis.step >= axis.tile / 2 for axis in made.axes if axis.count > 1)
    if made.bounded:
        assert "--halo exact insists" in made.note
        assert all(axis.step >= axis.tile / 2 for axis in made.axes if axis.count > 1)


@given(st.sampled_from([10**8, 3 * 10**8, 10**9]))
def test_a_batch_stays_within_its_memory(budget):
    made = choose((50_000, 50_000), model_of(), Cut(), budget, 300.0)
    assert math.prod(axis.tile for axis in made.axes) * 300 <= budget


def test_more_memory_never_computes_more():
    costs = [
        Grid(choose((20_000, 20_000), model_of(reach=100), Cut(), b, 300.0).axes).redundancy
        for b in (10**8, 10**9, 10**10)
    ]
    assert costs == sorted(costs, reverse=True)


def test_a_tile_of_the_image_is_no_tiling():
    made = choose((300, 310), model_of(), Cut(tile=1024, halo=16), BUDGET, 1.0)
    assert [axis.tile for axis in made.axes] == [304, 312]
    assert Grid(made.axes).tiles == 1
    assert not made.bounded


def test_pixels_are_rounded_up_to_the_multiple_and_said():
    made = choose((3000, 3000), model_of(), Cut(tile=256, halo=21), BUDGET, 1.0)
    assert made.halo == (24, 24)
    assert "rounded up to [24, 24]" in made.note


def test_overlap_is_twice_the_halo():
    made = choose((3000, 3000), model_of(), Cut(tile=256, overlap=(48, 32)), BUDGET, 1.0)
    assert made.halo == (24, 16)


def test_a_model_without_finite_reach_gets_an_eighth():
    made = choose((3000, 3000), model_of(reach=None), Cut(tile=512), BUDGET, 1.0)
    assert made.halo == (64, 64)


@pytest.mark.parametrize(
    ("model", "cut", "words"),
    [
        (model_of(), Cut(tile=100), r"multiple of 8 .*nearest sizes are 96 and 104"),
        (model_of(), Cut(tile=3), r"nearest sizes are 8\."),
        (model_of(fixed_size=(512, 512)), Cut(tile=256), r"fixed size \[512, 512\]"),
        (model_of(), Cut(tile=64, halo=32), r"room for a core .*--tile 72"),
        (model_of(reach=None), Cut(halo="exact"), r"finite reach"),
        (model_of(), Cut(tile=(64, 64, 64)), r"one number, or 2 in order \(y,x\)"),
        (model_of(remainder=(4, 4)), Cut(tile=64), r"multiple of 8 plus 4 .*60 and 68"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(model, cut, words):
    with pytest.raises(SettingError, match=re.compile(words, re.DOTALL)):
        choose((3000, 3000), model, cut, BUDGET, 1.0)


def test_a_fixed_size_is_the_tile():
    made = choose((3000, 40), model_of(fixed_size=(256, 256), declared_size=(256, 256)), Cut(), BUDGET, 1.0)
    assert [axis.tile for axis in made.axes] == [256, 256]
    assert made.axes[1].padded == 256


def test_valid_convolutions_pad_the_image_by_what_is_lost():
    model = model_of(multiple=4, reach=20, lead=(20, 20), trail=(20, 20), remainder=(0, 0))
    made = choose((500, 500), model, Cut(tile=140), BUDGET, 1.0)
    assert [axis.step for axis in made.axes] == [100, 100]
    assert made.axes[0].window(0) == (-20, 120)
    assert made.axes[0].window(4) == (380, 520)


def test_spread():
    assert spread("--tile", 5, 3) == (5, 5, 5)
    assert spread("--tile", (1, 2), 2) == (1, 2)


@pytest.mark.parametrize(("ndim", "side", "tile"), [(2, 900, 904), (2, 5000, 1024), (3, 100, 104), (3, 500, 128)])
def test_a_model_whose_tiles_change_the_result_gets_large_ones(ndim, side, tile):
    made = choose((side,) * ndim, model_of(ndim=ndim, reach=None), Cut(), BUDGET, 10.0)
    assert [axis.tile for axis in made.axes] == [tile] * ndim


def test_such_a_tile_is_no_smaller_than_the_declared_size_and_stays_within_memory():
    model = model_of(reach=None, declared_size=(1536, 1536))
    assert [axis.tile for axis in choose((9000, 9000), model, Cut(), BUDGET, 10.0).axes] == [1536, 1536]
    assert [axis.tile for axis in choose((9000, 9000), model, Cut(), 512**2 * 10, 10.0).axes] == [512, 512]


@pytest.mark.parametrize(("multiple", "halo"), [(16, 32), (64, 64), (128, 0)])
def test_tiles_of_one_size_overlap_where_half_of_them_is_left(multiple, halo):
    model = model_of(reach=None, multiple=multiple, fixed_size=(256, 256))
    assert choose((900, 900), model, Cut(), BUDGET, 10.0).halo == (halo, halo)
