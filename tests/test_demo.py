"""The demo: its field is the same from wherever it is looked at, its network finds cells, its run is exact."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewise.demo.field import SQUARE, Field
from tilewise.demo.tissue import PAIR, REACH, cells
from tilewise.geometry import Box
from tilewise.session import SessionOptions, open_session

MODEL = files("tilewise.demo") / "cells.onnx"
WHOLE = Box((SQUARE - 200, 2 * SQUARE - 150), (SQUARE + 300, 2 * SQUARE + 250))


@pytest.fixture(scope="module")
def whole():
    field = Field(3)
    return field.pixels(WHOLE), field.truth(WHOLE)


@given(st.data())
@settings(deadline=None, max_examples=15)
def test_a_part_made_alone_equals_the_crop_of_the_whole(whole, data):
    top, bottom = sorted((data.draw(st.integers(0, 500)), data.draw(st.integers(0, 500))))
    left, right = sorted((data.draw(st.integers(0, 400)), data.draw(st.integers(0, 400))))
    inner = Box((top, left), (bottom, right))
    part = inner.shift(WHOLE.start)
    np.testing.assert_array_equal(Field(3).pixels(part), whole[0][inner.slices])
    np.testing.assert_array_equal(Field(3).truth(part), whole[1][inner.slices])


def test_squares_join_without_a_seam(whole):
    """Cells that lie across the squares' borders go on: the truth changes across a border as often as beside it."""
    truth = whole[1]
    row, column = SQUARE - WHOLE.start[0], 2 * SQUARE - WHOLE.start[1]
    flips = (truth[1:] != truth[:-1]).mean(axis=1)
    assert flips[row - 1] < 3 * flips.mean()
    flips = (truth[:, 1:] != truth[:, :-1]).mean(axis=0)
    assert flips[column - 1] < 3 * flips.mean()
    assert (truth[row - 1] & truth[row]).any()


def test_another_seed_is_another_field(whole):
    assert (Field(4).pixels(WHOLE) != whole[0]).mean() > 0.5


def test_fields_are_neither_empty_nor_full_nor_flat(whole):
    pixels, truth = whole
    assert pixels.dtype == np.uint8
    assert 0.05 < truth.mean() < 0.5
    assert pixels[truth].mean() > 2 * pixels[~truth].mean()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_cell_reaches_further_than_it_may(seed):
    """Otherwise a cell would be cut off at the border of a square."""
    found = cells(seed, Box((0, 0), (2048, 2048)))
    sure = found.long * (1 + np.abs(found.bend)) + 1
    assert sure[found.real].max() < REACH
    assert 1.75 * found.short.max() < PAIR + 6


def test_the_network_is_small_plain_and_free_in_size():
    model = onnx.load_from_string(MODEL.read_bytes())
    assert len(MODEL.read_bytes()) < 1_000_000
    assert model.ir_version == 8
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert {node.op_type for node in model.graph.node} == {"Conv", "Relu", "MaxPool", "Resize", "Concat"}
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in shape] == ["batch", 1, "height", "width"]
    facts = {prop.key: prop.value for prop in model.metadata_props}
    assert "not for" in facts["purpose"].replace(", and", "") or "not trained on" in facts["purpose"]
    assert facts["seed"].isdigit()
    assert facts["trained_by"] == "python -m tilewise.demo.train"


@pytest.mark.parametrize("seed", [0, 7])
def test_it_agrees_with_the_truth_of_fields_that_it_has_not_seen(seed):
    box = Box((1024, 512), (1024 + 768, 512 + 768))
    pixels, truth = Field(seed).pixels(box).astype(np.float32), Field(seed).truth(box)
    session = open_session(MODEL.read_bytes(), SessionOptions())
    standardized = ((pixels - pixels.mean()) / pixels.std())[None, None]
    found = session.run({"pixels": standardized})[0][0, 0] >= 0
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) >= 0.95
