from __future__ import annotations

import numpy as np
import pytest
import zarr

import tilewise
from images import make_pixels, write_array
from networks import normalized, save
from oracle import infer_whole
from shell import call
from tilewise import Cut, Model
from tilewise.cluster import connect
from tilewise.demo.show import MODEL
from tilewise.errors import OutputError, SettingError
from tilewise.events import Noted
from tilewise.settings import Results
from tilewise.spot import Trial, choose_spots, widen
from tilewise.spot.settle import choose_trial, measure


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


@pytest.fixture(scope="module")
def client():
    with connect(scheduler=None, workers=0, threads=2, memory=1 << 30) as found:
        yield found


def test_the_table_falls_to_zero_at_the_exact_halo(client, image):
    model = Model(MODEL)
    trials, statistics = measure(client, tilewise.plan(image, model, cut=Cut(tile=96)), model)
    assert statistics is None
    assert [trial.halo for trial in trials] == [(h, h) for h in range(0, model.spec.halo[0] + 1, 4)]
    assert trials[0].largest > trials[2].largest > trials[-1].largest == 0
    assert all(trial.mean <= trial.largest for trial in trials)
    assert trials[0].speedup >= trials[1].speedup > trials[-1].speedup == 1


def test_errors_are_those_of_a_run_with_that_halo(client, image, tmp_path):
    model = Model(MODEL)
    trials, _ = measure(client, tilewise.plan(image, model), model)
    # cores of the same places, written by a run; an image this small has all of them looked at, and 16 of them tried
    tilewise.run(image, MODEL, tmp_path / "out.zarr", cut=Cut(tile=64 + 8, halo=4))
    pixels = zarr.open_array(image, mode="r")[:].astype(np.float32)[np.newaxis]
    truth = infer_whole(model.prepared(), pixels, 4)
    found = np.abs(zarr.open_array(tmp_path / "out.zarr" / "0", mode="r")[:] - truth).max()
    said = next(trial.largest for trial in trials if trial.halo == (4, 4))
    assert said <= found * (1 + 1e-6)
    assert said > found / 4


def test_the_smallest_halo_within_the_tolerance_is_taken(image, tmp_path, client):
    model = Model(MODEL)
    settings = {"results": Results(activation="sigmoid")}
    trials, _ = measure(client, tilewise.plan(image, model, **settings), model)
    tolerance = float(trials[-2].largest) * 1.01
    settings["cut"] = Cut(halo=tolerance)
    events = []
    made = tilewise.run(image, MODEL, tmp_path / "out.zarr", observers=(events.append,), **settings)
    assert made.done
    (line,) = [e.text for e in events if isinstance(e, Noted) and e.text.startswith("halo [")]
    assert line.startswith(f"halo {list(trials[-2].halo)}: largest error")
    # the same command resumes with what was settled, another tolerance is refused
    again = []
    tilewise.run(image, MODEL, tmp_path / "out.zarr", observers=(again.append,), **settings)
    assert not [e for e in again if isinstance(e, Noted) and e.text.startswith("halo [")]
    with pytest.raises(OutputError, match="tolerance"):
        tilewise.run(image, MODEL, tmp_path / "out.zarr", **settings | {"cut": Cut(halo=tolerance / 100)})


def test_one_bad_halo_spoils_all_below_it():
    trials = [Trial((h,), error, 0, 1, 1) for h, error in ((0, 0.5), (8, 1e-4), (16, 1e-2), (24, 1e-3), (32, 0))]
    assert choose_trial(tuple(trials), 1e-3).halo == (24,)
    assert choose_trial(tuple(trials), 1e-9).halo == (32,)
    assert choose_trial(tuple(trials), 0.9).halo == (0,)


def test_a_plan_says_that_the_halo_will_be_measured(image):
    made = tilewise.plan(image, MODEL, cut=Cut(halo=1e-3))
    assert any("error of at most 0.001 is measured" in note for note in made.notes)


@pytest.mark.parametrize("halo", [1.5, 0.0, -0.1])
def test_a_tolerance_that_is_none_is_refused(halo):
    with pytest.raises(SettingError, match="tolerance between 0 and 1"):
        Cut(halo=halo)


def test_a_model_without_reach_has_nothing_to_measure_against(image, tmp_path):
    with pytest.raises(SettingError, match="a finite reach"):
        tilewise.run(image, save(normalized(), tmp_path), tmp_path / "out.zarr", cut=Cut(halo=1e-3))
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.data
def test_nuclei_decay_as_known(client, data, tmp_path):
    pixels = np.load(data / "models" / "unet2d_nuclei_broad_test_input.npy")[0, 0]
    image = write_array(tmp_path / "image.zarr", pixels)
    model = Model(data / "models" / "unet2d_nuclei_broad.onnx")
    made = tilewise.plan(image, model, results=Results(activation="sigmoid"))
    trials, _ = measure(client, made, model)
    largest = {trial.halo[0]: trial.largest for trial in trials}
    assert largest[0] > 0.1
    assert largest[32] < 0.05
    assert largest[48] < 1e-4
    assert largest[56] == 0


def test_inspect_prints_the_table(image):
    said = call("inspect", MODEL, "--image", image, "--tile", "96", "--activation", "sigmoid", "--json")
    assert said.code == 0
    rows = said.json["halos"]
    assert rows[-1]["largest"] == 0
    assert rows[-1]["halo"] == said.json["halo"]
    lines = call("inspect", MODEL, "--image", image, "--tile", "96").out.splitlines()
    assert lines[-len(rows) - 1].split() == ["halo", "largest", "error", "mean", "error", "redundancy", "speed-up"]
    assert lines[-1].split()[0] == "24,24"
