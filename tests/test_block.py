"""One block by property: whatever the tile, halo and blocks, its pixels are those of the untiled model, to the bit."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from networks import save, tiny_unet
from oracle import infer_whole
from tilewise.block import Product, Recipe, count_odd, process, show
from tilewise.geometry import Axis, Blocks, Box, Grid, source_box
from tilewise.model import Model
from tilewise.session import SessionOptions, open_session
from tilewise.settings import Normalization, Results

if TYPE_CHECKING:
    from pathlib import Path


def make_recipe(grid, *, lead=0, layout="NCHW", batch=1, pad="reflect", channels=1, results=None):
    return Recipe(
        lead=lead,
        shape=grid.shape,
        neighbours=(0,) * lead,
        layout=layout,
        dtype="float32",
        products=(Product("y", None, layout, channels, "float32", grid),),
        batch=batch,
        pad=pad,
        normalization=Normalization(),
        results=results or Results(),
    )


def assemble(image, grid, cores, recipe, infer):
    """Every block of a canonical image, put together."""
    blocks = Blocks(grid, cores)
    lead = recipe.lead
    out = np.full((*grid.shape[:lead], recipe.products[0].channels, *grid.shape[lead:]), np.nan, np.float32)
    for number in range(blocks.total):
        span = blocks.span(blocks.index(number))
        box = source_box(span.window, grid.shape, recipe.pad)
        pixels = image[(*box.slices[:lead], slice(None), *box.slices[lead:])]
        (result,) = process(show(pixels, box, span.window, recipe), span, recipe, statistics=None, infer=infer)
        placed = span.placed.slices
        out[(*placed[:lead], slice(None), *placed[lead:])] = result
    return out


@pytest.fixture(scope="module")
def unet(tmp_path_factory):
    path = save(tiny_unet(), tmp_path_factory.mktemp("models"))
    model = Model(path)
    session = open_session(model.prepared(), SessionOptions())
    spec = model.spec
    return SimpleNamespace(
        spec=spec,
        prepared=model.prepared(),
        infer=lambda batch: session.run({spec.input_name: batch}, [spec.output_name]),
    )


@settings(max_examples=25)
@given(data=st.data(), size=st.tuples(st.integers(40, 170), st.integers(40, 170)), batch=st.integers(1, 3))
def test_tiles_equal_the_whole_to_the_bit(unet, data, size, batch):
    m, halo = unet.spec.multiple[0], unet.spec.halo[0]
    tile = data.draw(st.integers(max(9, 2 * halo // m + 1), 30)) * m
    axes = [Axis(size=n, tile=min(tile, n + -n % m), multiple=m) for n in size]
    axes = [a if a.whole else Axis(size=a.size, tile=a.tile, multiple=m, before=halo, after=halo) for a in axes]
    cores = tuple(data.draw(st.integers(1, 5)) for _ in axes)
    image = np.random.default_rng(sum(size)).normal(size=(1, *size)).astype(np.float32)
    grid = Grid(tuple(axes))
    made = assemble(image, grid, cores, make_recipe(grid, batch=batch), unet.infer)
    assert np.abs(made - infer_whole(unet.prepared, image, m)).max() == 0


def test_a_halo_below_the_reach_is_seen(unet):
    """The proof above can fail: four pixels less and it does."""
    m, halo = unet.spec.multiple[0], unet.spec.halo[0] - unet.spec.multiple[0]
    axis = Axis(size=160, tile=2 * halo + 8 * m, multiple=m, before=halo, after=halo)
    image = np.random.default_rng(0).normal(size=(1, 160, 160)).astype(np.float32)
    grid = Grid((axis, axis))
    made = assemble(image, grid, (1, 1), make_recipe(grid), unet.infer)
    assert np.abs(made - infer_whole(unet.prepared, image, m)).max() > 0


def test_each_plane_of_a_stack_is_computed_by_itself(unet):
    m, halo = unet.spec.multiple[0], unet.spec.halo[0]
    image = np.random.default_rng(0).normal(size=(2, 3, 1, 70, 90)).astype(np.float32)
    axis = {n: Axis(size=n, tile=64, multiple=m, before=halo, after=halo) for n in (70, 90)}
    grid = Grid((Axis(size=2), Axis(size=3), axis[70], axis[90]))
    made = assemble(image, grid, (1, 2, 1, 2), make_recipe(grid, lead=2), unet.infer)
    for t in range(2):
        for z in range(3):
            np.testing.assert_array_equal(made[t, z], infer_whole(unet.prepared, image[t, z], m))


def test_equal_windows_are_inferred_once_and_batches_have_one_shape():
    axis = Axis(size=100, tile=48, multiple=8, before=8, after=8)
    shapes = []

    def infer(batch):
        shapes.append(batch.shape)
        return [batch]

    grid = Grid((axis, axis))
    image = np.arange(104.0 * 100, dtype=np.float32)[: 100 * 100].reshape(1, 100, 100)
    made = assemble(image, grid, (4, 4), make_recipe(grid, batch=4), infer)
    np.testing.assert_array_equal(made, image)
    # 4 x 4 cores have 3 x 3 windows: 9 tiles are 3 batches of 4, the last filled up
    assert shapes == [(4, 1, 48, 48)] * 3


@pytest.mark.parametrize("pad", ["reflect", "edge", "constant"])
def test_far_edges_are_padded_as_numpy_does(pad):
    axis = Axis(size=13, tile=16, multiple=16)
    seen = []

    def infer(batch):
        seen.append(batch)
        return [batch]

    image = np.random.default_rng(0).random((2, 13, 13)).astype(np.float32)
    grid = Grid((axis, axis))
    assemble(image, grid, (1, 1), make_recipe(grid, pad=pad, channels=2), infer)
    np.testing.assert_array_equal(seen[0][0], np.pad(image, [(0, 0), (0, 3), (0, 3)], mode=pad))


@pytest.mark.parametrize("scale", [Fraction(2), Fraction(1, 4)])
def test_outputs_of_another_scale_land_in_place(scale):
    axis = Axis(size=90, tile=32, multiple=4, before=4, after=4, scale=scale)
    image = np.random.default_rng(0).random((1, 90, 90)).astype(np.float32)

    def infer(batch):
        if scale > 1:
            return [batch.repeat(2, axis=2).repeat(2, axis=3)]
        return [batch[:, :, ::4, ::4]]

    grid = Grid((axis, axis))
    recipe = make_recipe(grid)
    blocks = Blocks(grid, (2, 3))
    out = np.full((1, *grid.placed_shape), np.nan, np.float32)
    for number in range(blocks.total):
        span = blocks.span(blocks.index(number))
        box = source_box(span.window, grid.shape, "reflect")
        shown = show(image[(slice(None), *box.slices)], box, span.window, recipe)
        (out[(slice(None), *span.placed.slices)],) = process(shown, span, recipe, statistics=None, infer=infer)
    np.testing.assert_array_equal(
        out, infer(np.pad(image, [(0, 0), (0, 2), (0, 2)])[np.newaxis])[0][0][:, : out.shape[1], : out.shape[2]]
    )


@given(st.integers(0, 5), st.integers(0, 5))
def test_nan_and_infinity_are_counted_over_the_core(nan, inf):
    pixels = np.zeros((2, 10, 10), np.float32)
    pixels[0, 2:4, 2:4].flat[: min(nan, 4)] = np.nan
    pixels[1, 5, 2 : 2 + inf] = -np.inf
    pixels[:, 0, 0] = np.nan
    odd = count_odd(pixels, Box((20, 30), (30, 40)), Box((22, 32), (28, 38)), 0)
    assert (odd.nan, odd.inf) == (min(nan, 4), inf)


def test_integers_are_never_odd():
    assert count_odd(np.zeros((1, 4, 4), np.uint8), Box((0, 0), (4, 4)), Box((0, 0), (4, 4)), 0).nan == 0


def test_labels_have_no_channels():
    axis = Axis(size=20, tile=20)
    grid = Grid((axis, axis))
    recipe = make_recipe(grid, channels=3, results=Results(output="labels"))
    image = np.random.default_rng(0).random((3, 20, 20)).astype(np.float32)
    span = Blocks(grid, (1, 1)).span((0, 0))
    (made,) = process(image, span, recipe, statistics=None, infer=lambda batch: [batch])
    np.testing.assert_array_equal(made, image.argmax(0))


def test_the_oracle_knows_the_shared_file(data: Path) -> None:
    """Kept here so that the oracle itself is tried on something that tilewise did not make."""
    if not data.exists():
        pytest.skip("no shared folder")
    folder = data / "models"
    image = np.load(folder / "unet2d_nuclei_broad_test_input.npy")[0]
    wide = image.astype(np.float64)
    whole = infer_whole(folder / "unet2d_nuclei_broad.onnx", ((wide - wide.mean()) / wide.std()).astype(np.float32), 8)
    expected = np.load(folder / "unet2d_nuclei_broad_test_output.npy")[0]
    assert np.abs(1 / (1 + np.exp(-whole)) - expected).max() < 1e-5
