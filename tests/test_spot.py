from __future__ import annotations

import numpy as np
import pytest
import zarr

import tilewise
from images import make_pixels, write_array
from oracle import infer_whole
from tilewise import Cut, Model
from tilewise.demo.show import MODEL
from tilewise.events import Noted
from tilewise.spot import choose_spots, widen


@pytest.fixture
def image(tmp_path):
    return write_array(tmp_path / "image.zarr", make_pixels((300, 310)))


def test_the_cores_are_the_same_with_the_exact_halo(image):
    made = tilewise.plan(image, MODEL, cut=Cut(tile=64, halo=8))
    wide = widen(made)
    assert made.verdict == "bounded"
    assert wide.verdict == "exact"
    assert wide.grid.counts == made.grid.counts
    for index in np.ndindex(*made.grid.counts):
        assert wide.grid.core(index) == made.grid.core(index)


def test_a_bounded_run_says_its_error(image, tmp_path):
    events = []
    cut = Cut(tile=64, halo=8)
    tilewise.run(image, MODEL, tmp_path / "out.zarr", cut=cut, observers=(events.append,))
    (line,) = [e.text for e in events if isinstance(e, Noted) and "largest error" in e.text]
    said = float(line.rpartition(": ")[2])
    pixels = zarr.open_array(image, mode="r")[:].astype(np.float32)[np.newaxis]
    difference = np.abs(
        zarr.open_array(tmp_path / "out.zarr" / "0", mode="r")[:] - infer_whole(Model(MODEL).prepared(), pixels, 4)
    )
    made = tilewise.plan(image, MODEL, cut=cut)
    spots = [np.unravel_index(n, made.grid.counts) for n in choose_spots(made)]
    expected = max(difference[(slice(None), *made.grid.core(tuple(map(int, k))).slices)].max() for k in spots)
    assert expected > 0
    assert said == pytest.approx(expected, rel=0.06)


def test_an_exact_run_has_nothing_to_say(image, tmp_path):
    events = []
    tilewise.run(image, MODEL, tmp_path / "out.zarr", cut=Cut(tile=128), observers=(events.append,))
    assert not [e for e in events if isinstance(e, Noted) and "largest error" in e.text]


def test_auto_never_fails_for_want_of_a_halo(image):
    made = tilewise.plan(image, MODEL, cut=Cut(tile=64))
    assert made.verdict == "bounded"
    assert made.halo == (16, 16)
    assert "--halo exact insists" in made.notes[0]
