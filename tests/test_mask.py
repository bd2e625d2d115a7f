"""Masks on the grid of tiles, and what is found in an overview."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tilewise.geometry import Axis, Blocks, Grid
from tilewise.mask import find_signal, fit_axis, overview_of, pack_tiles, touch
from tilewise.mask.tissue import close, drop_dust, split


def grid_of(counts):
    """Tiles of 4 pixels, the last of each axis 3."""
    return Grid(tuple(Axis(size=4 * n - 1, tile=4) for n in counts))


@given(
    tiles=hnp.arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 9))),
    cores=st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 4)),
    alike=st.booleans(),
)
def test_blocks_know_their_tiles(tiles, cores, alike):
    """One value a tile, or one for all planes of a stack."""
    counts = tiles.shape
    mask = pack_tiles(tiles[:1] if alike else tiles, "drawn")
    whole = np.broadcast_to(tiles[:1], counts) if alike else tiles
    np.testing.assert_array_equal(mask.tiles, tiles[:1] if alike else tiles)
    assert mask.skipped(counts) == (~whole).sum()
    blocks = Blocks(grid_of(counts), cores)
    idle = mask.find_idle(blocks)
    expected = []
    for number in range(blocks.total):
        span = blocks.span(blocks.index(number))
        kept = mask.select(span.ranges)
        assert kept == {tile for tile in span.tiles() if whole[tile]}
        expected.append(not kept)
    numbers = np.arange(blocks.total + 3)
    # rows beyond the blocks are somebody else's
    assert idle.among(numbers).tolist() == [*expected, False, False, False]
    assert idle.total == sum(expected)


@given(data=st.data(), tile=st.integers(1, 9), margin=st.integers(0, 5), n=st.integers(1, 40), m=st.integers(1, 60))
def test_a_tile_is_kept_if_any_pixel_of_the_mask_touches_its_core(data, tile, margin, n, m):
    axis = Axis(size=n, tile=min(tile, n))
    mask = data.draw(hnp.arrays(bool, (m,)))
    scale = Fraction(m, n)
    found = touch(mask, [fit_axis(axis, m, scale, Fraction(0), margin)])
    for k in range(axis.count):
        start, stop = axis.core(k)
        # pixel j of the mask covers [j, j + 1) / scale of the image
        touching = [j for j in range(m) if j < (stop + margin) * scale and j + 1 > (start - margin) * scale]
        assert found[k] == any(mask[j] for j in touching)


def test_digests_tell_masks_apart():
    one, other = np.zeros((3, 4), bool), np.zeros((4, 3), bool)
    changed = one.copy()
    changed[2, 3] = True
    assert len({pack_tiles(tiles, "").digest for tiles in (one, other, changed)}) == 3
    assert pack_tiles(one, "").digest == pack_tiles(one.copy(), "made otherwise").digest


@pytest.mark.parametrize("seed", range(3))
def test_otsu_is_the_split_of_largest_variance(seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(20, 5, 4000), rng.normal(90, 9, 1500)])
    counts, edges = np.histogram(values, 256)
    centres = (edges[1:] + edges[:-1]) / 2

    def between(k):
        low, high = counts[: k + 1], counts[k + 1 :]
        means = [(part * c).sum() / part.sum() for part, c in ((low, centres[: k + 1]), (high, centres[k + 1 :]))]
        return low.sum() * high.sum() * (means[0] - means[1]) ** 2

    # over a gap without pixels all splits are as good
    assert between(np.searchsorted(edges, split(values)) - 2) == pytest.approx(max(map(between, range(255))))


def test_of_what_is_all_the_same_nothing_lies_above():
    assert split(np.full((9, 9), 3.0)) == 3.0
    assert split(np.full(4, np.nan)) == 0.0


def test_small_holes_are_closed_and_nothing_is_lost():
    mask = np.ones((12, 12), bool)
    mask[5:7, 5:7] = False
    mask[0:4, 8:] = False
    closed = close(mask)
    assert closed[5:7, 5:7].all()
    assert not closed[1, 10]
    assert (closed >= mask).all()
    lone = np.zeros((5, 5, 5), bool)
    lone[2, 2, 2] = True
    np.testing.assert_array_equal(close(lone), lone)
    assert not drop_dust(lone).any()


def stain(shape=(64, 80)):
    """A pink patch and a lone speck on white."""
    pixels = np.full((3, *shape), 240, np.uint8)
    pixels[:, 10:40, 20:50] = np.array([200, 90, 150], np.uint8)[:, np.newaxis, np.newaxis]
    pixels[:, 60, 70] = 10, 200, 10
    return pixels


def test_tissue_is_what_has_colour_on_a_bright_background():
    found, how = find_signal(overview_of(stain(), 0), eight_bit=True)
    expected = np.zeros((64, 80), bool)
    expected[10:40, 20:50] = True
    np.testing.assert_array_equal(found, expected)
    assert how.startswith("tissue on a bright background: saturation above ")


def test_signal_of_any_channel_counts_on_a_dark_background():
    pixels = np.random.default_rng(0).poisson(5, (2, 60, 60)).astype(np.uint16)
    pixels[0, 5:15, 5:15] += 200
    pixels[1, 40:50, 30:44] += 4000
    # one hot pixel is not what all others are measured by
    pixels[0, 55, 3] = 65535
    found, how = find_signal(overview_of(pixels, 0), eight_bit=False)
    assert how.startswith("signal on a dark background: channel 0 above ")
    assert found[5:15, 5:15].all()
    assert found[40:50, 30:44].all()
    assert found.sum() < 300


def test_dark_things_on_a_bright_grey_background_are_tissue():
    pixels = np.random.default_rng(0).normal(200, 3, (1, 60, 60))
    pixels[0, 5:25, 5:15] -= 120
    found, how = find_signal(overview_of(pixels, 0), eight_bit=False)
    assert how.startswith("tissue on a bright background: channel 0 at most ")
    assert found[5:25, 5:15].all()
    assert found.sum() == 200


def test_planes_of_a_stack_share_what_any_of_them_shows():
    stack = np.stack([stain(), np.full_like(stain(), 240)])
    together, alone = (
        find_signal(overview_of(one, lead), eight_bit=True)[0] for one, lead in ((stack, 1), (stain(), 0))
    )
    np.testing.assert_array_equal(together, alone)
