from __future__ import annotations

import numpy as np
import pytest

from tilewise.layout import arrange, restore


@pytest.mark.parametrize(
    ("layout", "shape"),
    [
        ("NCHW", (2, 3, 4, 5)),
        ("NHWC", (2, 4, 5, 3)),
        ("NCDHW", (2, 3, 6, 4, 5)),
        ("NDHWC", (2, 6, 4, 5, 3)),
        ("NWHC", (2, 5, 4, 3)),
    ],
)
def test_arrange_and_restore_are_inverse(layout: str, shape: tuple[int, ...]) -> None:
    ndim = len(layout) - 2
    tiles = np.random.default_rng(0).random((2, 3, *((6, 4, 5)[-ndim:])))
    arranged = arrange(tiles, layout)
    assert arranged.shape == shape
    assert arranged.flags.c_contiguous
    np.testing.assert_array_equal(restore(arranged, layout, ndim), tiles)


@pytest.mark.parametrize(("layout", "shape"), [("CHW", (3, 4, 5)), ("HWC", (4, 5, 3))])
def test_a_layout_without_batch(layout: str, shape: tuple[int, ...]) -> None:
    tiles = np.arange(60.0).reshape(1, 3, 4, 5)
    assert arrange(tiles, layout).shape == shape
    np.testing.assert_array_equal(restore(arrange(tiles, layout), layout, 2), tiles)


def test_a_layout_without_channels() -> None:
    tiles = np.arange(20.0).reshape(1, 1, 4, 5)
    assert arrange(tiles, "NHW").shape == (1, 4, 5)
    np.testing.assert_array_equal(restore(arrange(tiles, "HW"), "HW", 2), tiles)
