"""The demo: its field is the same from wherever it is looked at, its network finds cells, its run is exact."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import onnx
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewise.demo import check, demo, image, paint, picture, show
from tilewise.demo.check import Pair, agree, differ
from tilewise.demo.field import SQUARE, Field
from tilewise.demo.tissue import PAIR, REACH, cells
from tilewise.errors import OutputError, SettingError
from tilewise.events import Advanced
from tilewise.geometry import Box
from tilewise.session import SessionOptions, open_session
from tilewise.settings import Machine

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
    assert "demonstration" in facts["purpose"]
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


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The demo in its smallest form that has several tiles and ends off the network's grid."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(show, "REGION", 300)
        return demo(folder, size=1101, machine=Machine(threads=2), quiet=True)


def test_the_demo_agrees_with_the_truth_and_with_untiled_runs(shown):
    assert shown.dice >= 0.95
    assert shown.difference == 0
    assert shown.tiles == 9
    assert shown.compared == 3 * 300**2
    text = repr(shown)
    for part in (
        str(shown.image),
        str(shown.result),
        str(shown.preview),
        "tilewise inspect",
        "tilewise status",
        "Dice",
    ):
        assert part in text


def test_the_demo_again_changes_nothing(shown):
    folder = shown.image.parent
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("c/**/*") if path.is_file()}
    again = demo(folder, size=1101, machine=Machine(threads=2), quiet=True)
    assert (again.dice, again.difference) == (shown.dice, shown.difference)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_check_against_untiled_sees_one_changed_pixel(shown, monkeypatch):
    pair = Pair(shown.image, shown.result)
    true_scores = Pair.scores

    def changed(self, box):
        scores = true_scores(self, box)
        scores[100, 100] += np.float32(1e-4)
        return scores

    box = Box((300, 77), (301 + 500, 1101))
    assert differ(pair, box, show.MODEL, normalization=show.PIXELS.normalization, results=show.RESULTS) == 0
    monkeypatch.setattr(Pair, "scores", changed)
    assert differ(pair, box, show.MODEL, normalization=show.PIXELS.normalization, results=show.RESULTS) > 5e-5


def test_agreement_is_dice_over_all_blocks(shown, monkeypatch):
    """Against a whole computed in one piece, with blocks that do not divide the image."""
    monkeypatch.setattr(check, "BLOCK", 250)
    pair, field = Pair(shown.image, shown.result), Field(0)
    everything = Box((0, 0), (1101, 1101))
    found, truth = pair.scores(everything) >= 0.5, field.truth(everything)
    seen = agree(pair, field, step=7)
    assert seen.dice == 2 * (found & truth).sum() / (int(found.sum()) + int(truth.sum()))
    assert seen.whole.shape == seen.found.shape == (158, 158)
    np.testing.assert_allclose(seen.whole[35, 36], pair.pixels(Box((245, 252), (252, 259))).mean(), rtol=1e-5)
    np.testing.assert_allclose(seen.found[157, 157], found[1099:, 1099:].mean(), rtol=1e-5)
    assert agree(pair, Field(1), step=7).dice < 0.5


def test_the_image_is_finished_where_it_was_stopped(tmp_path):
    size = image.SHARD + 70
    image.write_image(tmp_path / "a", Field(5), size)
    shards = sorted(path for path in (tmp_path / "a" / "0" / "c").rglob("*") if path.is_file())
    assert len(shards) == 4
    content = shards[1].read_bytes()
    shards[1].unlink()
    events = []
    image.write_image(tmp_path / "a", Field(5), size, observers=(events.append,))
    assert shards[1].read_bytes() == content
    assert [event.done for event in events if isinstance(event, Advanced)] == [4]
    with pytest.raises(OutputError, match="seed"):
        image.write_image(tmp_path / "a", Field(6), size)


def test_the_picture_shows_image_result_and_seams(shown):
    drawn = PIL.Image.open(shown.preview)
    assert drawn.size == picture.SIZE
    colours = {colour for _, colour in drawn.convert("RGB").getcolors(1 << 24)}
    assert {paint.NIGHT, paint.INK, paint.FOUND, paint.EDGE} <= colours
    small = paint.shrink(drawn, 600)
    assert small.width == 600
    assert small.mode == "P"


@pytest.mark.parametrize("size", [1, 40, 513])
def test_the_demo_takes_any_size(tmp_path, size):
    small = demo(tmp_path, size=size, machine=Machine(threads=1), quiet=True)
    assert small.difference == 0
    assert small.preview.exists()


def test_a_size_of_nothing_is_refused(tmp_path):
    with pytest.raises(SettingError, match="at least 1 pixel"):
        demo(tmp_path / "x", size=0, quiet=True)
    assert not (tmp_path / "x").exists()


def test_the_picture_looks_where_most_was_found():
    found = np.zeros((100, 100))
    found[68:72, 18:22] = 1
    edges = ((0, 300, 700), (0, 200, 600))
    assert picture.choose_corner(found, 10, edges) == (2, 1)
    assert picture.choose_corner(found, 10, ((0,), (0,))) == (0, 0)


@given(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), st.data())
@settings(deadline=None)
def test_the_part_shown_lies_inside_the_image_and_holds_its_corner(shape, data):
    corner = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    box = picture.surround(shape, corner)
    assert all(0 <= a <= c < b <= n for a, c, b, n in zip(box.start, corner, box.stop, shape, strict=True))
