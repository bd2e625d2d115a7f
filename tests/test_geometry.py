"""The grid by property: cores partition the image, windows keep the halo and never leave the padded image."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewise.geometry import Axis, Blocks, Box, Grid, reflect_index, round_up, source_box, source_indices


@st.composite
def axes(draw: st.DrawFn, *, shrinking: bool = False, largest: int = 400) -> Axis:
    multiple = draw(st.sampled_from([1, 2, 3, 4, 8, 12, 14]))
    lead = draw(st.integers(0, 9)) if shrinking else 0
    trail = draw(st.integers(0, 9)) if shrinking else 0
    before = lead + multiple * draw(st.integers(0, 5))
    after = trail + multiple * draw(st.integers(0, 5))
    tile = before + after + multiple * draw(st.integers(1, 6))
    size = draw(st.integers(1, largest))
    tile = min(tile, round_up(size, multiple) + lead + trail)
    if tile - lead - trail >= size or tile - before - after >= multiple:
        return Axis(size=size, tile=tile, multiple=multiple, before=before, after=after, lead=lead, trail=trail)
    return Axis(size=size, tile=tile, multiple=multiple, before=lead, after=trail, lead=lead, trail=trail)


@given(axes())
def test_cores_partition_the_image(axis: Axis) -> None:
    edges = [axis.core(k) for k in range(axis.count)]
    assert edges[0][0] == 0
    assert edges[-1][1] == axis.size
    assert all(a[1] == b[0] for a, b in itertools.pairwise(edges))
    assert all(a < b for a, b in edges)


@settings(max_examples=300)
@given(st.booleans().flatmap(lambda shrinking: axes(shrinking=shrinking)))
def test_windows_keep_halo_grid_and_bounds(axis: Axis) -> None:
    for k in range(axis.count):
        start, stop = axis.window(k)
        low, high = axis.core(k)
        assert stop - start == axis.tile
        assert start >= -axis.lead
        assert stop <= axis.padded + axis.trail
        assert (start + axis.lead) % axis.multiple == 0
        # context is complete, or the window lies against the edge of the padded image
        assert low - start >= axis.before or start == -axis.lead
        assert stop - high >= axis.after or stop == axis.padded + axis.trail
        # what is kept lies within what the model gives
        inner = axis.taken(k)
        assert 0 <= inner[0] < inner[1] <= axis.kept


@given(axes())
def test_padded_is_the_smallest_size_on_the_grid(axis: Axis) -> None:
    assert axis.padded >= axis.size
    assert (axis.padded - axis.kept) % axis.multiple == 0
    assert axis.padded - axis.size < axis.multiple or axis.padded == axis.kept


@given(st.integers(1, 200), st.sampled_from([Fraction(2), Fraction(3), Fraction(1, 4), Fraction(3, 2)]))
def test_scaled_cores_partition_the_output(size: int, scale: Fraction) -> None:
    axis = Axis(size=size, tile=min(24, round_up(size, 4)), multiple=4, before=4, after=4, scale=scale)
    placed = [axis.placed(k) for k in range(axis.count)]
    assert placed[0][0] == 0
    assert placed[-1][1] == math.ceil(size * scale)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(placed))
    for k in range(axis.count):
        start, stop = axis.taken(k)
        assert 0 <= start <= stop <= axis.tile * scale


@given(st.lists(axes(largest=40), min_size=1, max_size=2), st.data())
def test_blocks_cover_each_output_pixel_once(cuts: list[Axis], data: st.DataObject) -> None:
    grid = Grid(tuple(cuts))
    cores = tuple(data.draw(st.integers(1, 4)) for _ in cuts)
    blocks = Blocks(grid, cores)
    seen = np.zeros(grid.placed_shape, dtype=int)
    read = 0
    for number in range(blocks.total):
        index = blocks.index(number)
        assert blocks.number(index) == number
        span = blocks.span(index)
        seen[span.placed.slices] += 1
        assert all(a % n == 0 for a, n in zip(span.placed.start, blocks.placed_shape, strict=True))
        tiles = np.zeros(grid.placed_shape, dtype=int)
        for tile in span.tiles():
            tiles[grid.placed(tile).slices] += 1
            window = grid.window(tile)
            assert all(a >= b for a, b in zip(window.start, span.window.start, strict=True))
            assert all(a <= b for a, b in zip(window.stop, span.window.stop, strict=True))
        assert (tiles[span.placed.slices] == 1).all()
        assert tiles.sum() == span.placed.size
        assert all(a <= b for a, b in zip(span.window.shape, blocks.largest_window, strict=True))
        read += span.window.clip(grid.shape).size
    assert (seen == 1).all()
    assert read == blocks.read_pixels()


@given(st.integers(1, 20), st.integers(0, 30), st.integers(0, 30))
def test_reflection_is_numpys(size: int, before: int, after: int) -> None:
    expected = np.pad(np.arange(size), (before, after), mode="reflect")
    assert [reflect_index(i, size) for i in range(-before, size + after)] == expected.tolist()


@pytest.mark.parametrize("pad", ["reflect", "edge", "constant"])
@given(start=st.integers(-20, 30), length=st.integers(1, 30), size=st.integers(1, 25))
def test_source_box_holds_all_that_a_window_shows(pad: str, start: int, length: int, size: int) -> None:
    shown = [i for i in source_indices(start, start + length, size, pad) if i >= 0]
    box = source_box(Box((start,), (start + length,)), (size,), pad)
    assert all(box.start[0] <= i < box.stop[0] for i in shown)
    assert box.stop[0] <= size


def test_the_picture_in_the_module() -> None:
    axis = Axis(size=100, tile=48, multiple=8, before=8, after=8)
    assert axis.step == 32
    assert axis.padded == 104
    assert [axis.core(k) for k in range(axis.count)] == [(0, 32), (32, 64), (64, 96), (96, 100)]
    assert [axis.window(k) for k in range(axis.count)] == [(0, 48), (24, 72), (56, 104), (56, 104)]


def test_a_tile_of_the_image_is_no_tiling() -> None:
    axis = Axis(size=100, tile=104, multiple=8, before=48, after=48)
    assert (axis.count, axis.core(0), axis.window(0), axis.whole) == (1, (0, 100), (0, 104), True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"size": 100, "tile": 32, "before": 16, "after": 16},
        {"size": 100, "tile": 64, "multiple": 8, "before": 4, "after": 8},
        {"size": 100, "tile": 64, "before": 1, "lead": 2},
        {"size": 100, "tile": 64, "multiple": 2, "scale": Fraction(1, 4)},
    ],
)
def test_an_axis_cannot_be_wrong(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Axis(**wrong)


def test_a_box_cannot_be_wrong() -> None:
    with pytest.raises(ValueError, match="behind"):
        Box((3,), (2,))
