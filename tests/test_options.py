"""The options of plan and run: what is typed reaches the records, and the records' defaults are the help's."""

from __future__ import annotations

import dataclasses

import pytest

from images import make_pixels, write_array
from networks import one_layer, save
from shell import call
from tilewise.descriptions.contract import SILENT
from tilewise.errors import SettingError
from tilewise.options import OPTIONS, PANELS, ask
from tilewise.precedence import ONLY_WITH, settle
from tilewise.settings import Behaviour, Cut, Graph, Machine, Normalization, Pixels, Results

FLAGS = """
--stride --neighbours
--tile --halo --overlap --blend --block --batch --pad --axes --level --field --channels --normalize --scope --stats
--range --mean --std --percentiles --clip --output --activation --threshold --dtype --score-range
--ome-zarr --levels --downsample --labels-into --name --layout --output-layout
--output-name --input --free-size --contract --eps --device
--workers --threads --memory --scheduler --nan --missing --overwrite
"""
DESIGN = FLAGS.split()
WITHOUT = {(Pixels, "normalization"), (Normalization, "before"), (Normalization, "after"), (Results, "steps")}
"""A record, and chains that only a description asks for."""


def asked(*words):
    """What the records become when these flags are typed, each with its value."""
    typed = dict(zip(words[::2], words[1::2], strict=True))
    return ask({option: typed.get(option.flag) for option in OPTIONS})


def test_nothing_typed_is_all_defaults():
    found = asked()
    assert (found.cut, found.pixels, found.results) == (Cut(), Pixels(), Results())
    assert (found.graph, found.machine, found.behaviour) == (Graph(), Machine(), Behaviour())


def test_the_flags_are_those_of_the_design_and_each_has_a_record_and_a_panel():
    assert {option.flag for option in OPTIONS} >= set(DESIGN)
    for option in OPTIONS:
        assert option.field in {field.name for field in dataclasses.fields(option.record)}
        assert option.record in PANELS
    assert set(ONLY_WITH) < {option.flag for option in OPTIONS}


def test_every_field_of_every_record_has_an_option():
    reached = {(option.record, option.field) for option in OPTIONS}
    for record in (Cut, Pixels, Normalization, Results, Graph, Machine, Behaviour):
        for field in dataclasses.fields(record):
            assert (record, field.name) in reached or (record, field.name) in WITHOUT


@pytest.mark.parametrize(
    ("flag", "text", "record", "value"),
    [
        ("--tile", "auto", "cut", "auto"),
        ("--tile", "512", "cut", 512),
        ("--tile", "64,256,256", "cut", (64, 256, 256)),
        ("--halo", "exact", "cut", "exact"),
        ("--halo", "1e-3", "cut", 0.001),
        ("--halo", "64", "cut", 64),
        ("--halo", "8,32,32", "cut", (8, 32, 32)),
        ("--overlap", "32", "cut", 32),
        ("--stride", "64", "cut", 64),
        ("--stride", "64,32", "cut", (64, 32)),
        ("--block", "1024", "cut", 1024),
        ("--batch", "4", "cut", 4),
        ("--pad", "edge", "cut", "edge"),
        ("--axes", "tcyx", "pixels", "tcyx"),
        ("--level", "2", "pixels", 2),
        ("--field", "B/03/0", "pixels", "B/03/0"),
        ("--neighbours", "z:1", "pixels", ("z", 1)),
        ("--channels", "2,0", "pixels", (2, 0)),
        ("--channels", "all", "pixels", "all"),
        ("--output", "labels", "results", "labels"),
        ("--activation", "softmax", "results", "softmax"),
        ("--dtype", "float16", "results", "float16"),
        ("--ome-zarr", "0.4", "results", "0.4"),
        ("--levels", "auto", "results", "auto"),
        ("--levels", "3", "results", 3),
        ("--downsample", "nearest", "results", "nearest"),
        ("--layout", "NHWC", "graph", "NHWC"),
        ("--output-name", "mask", "graph", "mask"),
        ("--free-size", True, "graph", True),
        ("--device", "cuda:1", "machine", "cuda:1"),
        ("--workers", "3", "machine", 3),
        ("--threads", "auto", "machine", "auto"),
        ("--memory", "4GB", "machine", 4_000_000_000),
        ("--memory", "2GiB", "machine", 2 << 30),
        ("--memory", "500000000", "machine", 500_000_000),
        ("--scheduler", "tcp://10.0.0.1:8786", "machine", "tcp://10.0.0.1:8786"),
        ("--nan", "error", "behaviour", "error"),
        ("--missing", "error", "behaviour", "error"),
        ("--overwrite", True, "behaviour", True),
    ],
)
def test_what_is_typed_reaches_its_record(flag, text, record, value):
    field = next(option.field for option in OPTIONS if option.flag == flag)
    found = getattr(getattr(asked(flag, text), record), field)
    assert found == value
    assert type(found) is type(value)


def test_normalization_travels_within_pixels():
    words = ["--normalize", "minmax", "--scope", "slice", "--stats", "all", "--range", "-1,1"]
    kind = asked(*words).pixels.normalization
    assert kind == Normalization(kind="minmax", scope="slice", stats="all", range=(-1.0, 1.0))
    words = ["--normalize", "fixed", "--mean", "0.5,1e-3", "--std", "2,3"]
    assert asked(*words).pixels.normalization == Normalization(kind="fixed", mean=(0.5, 0.001), std=(2.0, 3.0))
    words = ["--normalize", "percentile", "--percentiles", "0,100", "--clip", True]
    assert asked(*words).pixels.normalization == Normalization(kind="percentile", percentiles=(0, 100), clip=True)


def test_further_inputs_may_have_any_name():
    found = asked("--input", ["exposure=0.2", "a=b=3", "steps=-4"]).graph.inputs
    assert found == (("exposure", 0.2), ("a=b", 3.0), ("steps", -4.0))
    for wrong in ("exposure", "=3", "exposure=", "exposure=many"):
        with pytest.raises(SettingError, match="NAME=VALUE"):
            asked("--input", [wrong])


@pytest.mark.parametrize("flag", list(ONLY_WITH))
def test_an_option_without_effect_is_refused_and_its_company_named(flag):
    text = {
        "--range": "0,2", "--mean": "1", "--std": "1", "--percentiles": "2,98", "--clip": True, "--threshold": "0.4",
        "--stats": "all", "--scope": "slice", "--dtype": "float16", "--eps": "1e-6",
        "--score-range": "0,2",
    }[flag]  # fmt: skip
    other, values = ONLY_WITH[flag]
    lone = {"--output": "labels"} if values == ("scores",) else {}
    with pytest.raises(SettingError) as refusal:
        settle(asked(flag, text, *[word for pair in lone.items() for word in pair]), SILENT)
    assert f"{other} {values[0]}" in f"{refusal.value.expected} {refusal.value.do}"


@pytest.mark.parametrize("flag", [flag for flag in DESIGN if flag not in {"--clip", "--free-size", "--overwrite"}])
def test_nonsense_is_refused_or_left_to_who_knows(flag):
    """Names of axes, fields, layouts, outputs and schedulers are judged where image, model and network are known."""
    if flag in {"--axes", "--field", "--layout", "--output-layout", "--output-name", "--scheduler"}:
        return
    with pytest.raises(SettingError) as refusal:
        asked(flag, ["\u00a0;"] if flag == "--input" else "\u00a0;")
    assert flag in refusal.value.got


def test_plan_says_where_each_value_came_from(tmp_path):
    image = write_array(tmp_path / "image.zarr", make_pixels((90, 80)))
    said = call("plan", image, save(one_layer(), tmp_path), "--tile", "32", "--json")
    settings = said.json["settings"]
    assert settings["tile"] == {"value": [32, 32], "from": "flag"}
    assert settings["pad"] == {"value": "reflect", "from": "default"}
    assert settings["halo"]["from"] == "auto"
    names = {flag.removeprefix("--").replace("-", "_") for flag in DESIGN}
    model_options = {"layout", "output_layout", "output_name", "input", "free_size"}
    assert names - model_options <= set(settings)
