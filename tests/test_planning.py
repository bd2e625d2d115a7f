"""What is decided, from facts alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs import image_of, model_of
from tilewise.errors import ImageError, SettingError
from tilewise.planning import decide
from tilewise.settings import Asked, Behaviour, Cut, Machine, Normalization, Pixels, Results

GB = 10**9
MACHINE = Machine(memory=4 * GB, threads=2)


def decided(image, model, machine=MACHINE, **asked):
    return decide(image, model, Asked(machine=machine, **asked))


def test_a_plan_says_what_the_contract_names():
    made = decided(image_of("yx", (5000, 6000)), model_of()).to_json()
    assert set(made) >= {
        "tile", "halo", "multiple", "tiles", "blocks", "block", "redundancy", "bytes_read", "bytes_written",
        "read_amplification", "memory_per_worker", "verdict", "settings",
    }  # fmt: skip
    assert made["settings"]["tile"]["from"] == "auto"
    assert made["settings"]["normalize"] == {"value": "none", "from": "default"}
    assert made["settings"]["memory"] == {"value": 4 * GB, "from": "flag"}
    assert made["levels"] == [5]
    assert made["bytes_written"] == 4 * sum(-(-5000 // f) * -(-6000 // f) for f in (1, 2, 4, 8, 16))


def test_lists_are_in_spatial_order():
    made = decided(image_of("zyx", (40, 500, 600)), model_of(ndim=3), cut=Cut(tile=(40, 128, 256), halo=(0, 16, 24)))
    assert made.tile == (40, 128, 256)
    assert made.halo == (0, 16, 24)
    assert made.blocks.shape[0] == 40


def test_the_verdict_is_bounded_where_the_halo_is_smaller_than_the_reach():
    image = image_of("yx", (5000, 5000))
    assert decided(image, model_of(), cut=Cut(tile=256, halo=24)).verdict == "exact"
    assert decided(image, model_of(), cut=Cut(tile=256, halo=16)).verdict == "bounded"
    assert decided(image, model_of(reach=None), cut=Cut(tile=256, halo=16)).verdict == "dependent"
    # one tile sees all: nothing is cut
    assert decided(image_of("yx", (200, 200)), model_of(), cut=Cut(tile=256, halo=0)).verdict == "exact"


@pytest.mark.parametrize(
    ("axes", "shape", "out"),
    [
        ("yx", (50, 60), "cyx"),
        ("zyx", (3, 50, 60), "czyx"),
        ("xyczt", (60, 50, 1, 3, 2), "tczyx"),
        ("tyx", (2, 50, 60), "tcyx"),
    ],
)
def test_the_output_has_the_order_of_ome_zarr(axes, shape, out):
    made = decided(image_of(axes, shape), model_of())
    assert made.output_axes == out
    assert made.grid.shape == tuple(dict(zip(axes, shape, strict=True))[a] for a in out if a != "c")
    assert decided(image_of(axes, shape), model_of(), results=Results(output="labels")).output_axes == out.replace(
        "c", ""
    )


@pytest.mark.parametrize(
    ("image", "model", "asked", "error", "words"),
    [
        (image_of("cyx", (3, 50, 60)), model_of(), {}, SettingError, "3 channels .* 1, which .*--channels 0"),
        (image_of("yx", (50, 60)), model_of(channels=3), {}, SettingError, "1 channel .* 3, which"),
        (image_of("cyx", (3, 50, 60)), model_of(), {"pixels": Pixels(channels=(5,))}, SettingError, "0 to 2"),
        (image_of("tyx", (3, 50, 60)), model_of(ndim=3), {}, ImageError, "3-D model.*with z"),
        (image_of("yx", (50, 60)), model_of(fixed_batch=1), {"cut": Cut(batch=4)}, SettingError, "batch of 1"),
        (image_of("yx", (50, 60)), model_of(), {"results": Results(activation="softmax")}, SettingError, "sigmoid"),
        (
            image_of("yx", (50, 60)),
            model_of(dtype="uint8"),
            {"pixels": Pixels(normalization=Normalization(kind="minmax"))},
            SettingError,
            "none",
        ),
        (image_of("yx", (9000, 9000)), model_of(), {"cut": Cut(tile=8000, halo=24)}, SettingError, "smaller --tile"),
        (
            image_of("yx", (90000, 90000)),
            model_of(),
            {"cut": Cut(tile=256, halo=24, block=60000)},
            SettingError,
            "smaller --block",
        ),
    ],
)
def test_what_does_not_fit_is_refused(image, model, asked, error, words):
    with pytest.raises(error, match=words):
        decided(image, model, **asked)


@given(st.integers(10, 200_000), st.integers(10, 200_000), st.sampled_from([GB, 4 * GB, 16 * GB]))
def test_auto_stays_within_memory_whatever_the_image(height, width, memory):
    made = decided(image_of("yx", (height, width)), model_of(), Machine(memory=memory, threads=2))
    assert made.memory.total <= memory


def test_memory_does_not_depend_on_the_image():
    cut = Cut(tile=512, halo=24)
    bounds = {decided(image_of("yx", (n, n)), model_of(), cut=cut).memory.total for n in (30_000, 100_000, 1_000_000)}
    assert len(bounds) == 1


def test_a_small_image_still_gives_each_thread_some_blocks():
    made = decided(image_of("yx", (2000, 2000)), model_of(), cut=Cut(tile=256, halo=24))
    assert made.blocks.total >= 8


def test_a_million_blocks_are_counted_and_not_listed():
    made = decided(image_of("zyx", (1000, 60_000, 60_000)), model_of(), cut=Cut(tile=512, halo=24))
    made.to_json()
    assert made.blocks.total > 500_000


def test_reading_is_said_with_chunks_and_halos():
    made = decided(image_of("yx", (4096, 4096), chunks=(512, 512)), model_of(), cut=Cut(tile=560, halo=24, block=4096))
    assert made.read_amplification == 1
    cut = decided(image_of("yx", (4096, 4096), chunks=(512, 512)), model_of(), cut=Cut(tile=560, halo=24, block=512))
    assert cut.read_amplification > 2


def test_a_plan_prints_in_few_lines():
    made = decided(image_of("yx", (5000, 6000)), model_of(), behaviour=Behaviour())
    lines = repr(made).splitlines()
    assert 8 <= len(lines) <= 12
    assert all(len(line) < 160 for line in lines)
