import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewise import ledger as ledger_module
from tilewise.errors import OutputError
from tilewise.ledger import STATES, Ledger
from tilewise.record import differences, read_stamp


def stored(path, name):
    return [entry for entry in (path / "tilewise" / name).rglob("*") if entry.is_file() and entry.name != "zarr.json"]


def test_a_new_ledger_stores_nothing_for_pending_blocks(tmp_path):
    ledger = Ledger.create(str(tmp_path), 1_000_000, {"tile": [64]})
    assert ledger.counts().pending == 1_000_000
    assert not any(stored(tmp_path, name) for name in ("state", "seconds", "attempts", "nan", "inf"))
    assert read_stamp(str(tmp_path)).record == {"tile": [64]} == ledger.record


def test_marks_are_seen_by_others_after_a_flush(tmp_path):
    ledger = Ledger.create(str(tmp_path), 5, {})
    ledger.mark(3, "done", seconds=1.5, nan=7, inf=2)
    ledger.mark(4, "failed", cause="no luck", executions=3)
    assert ledger.state(3) == "done"
    assert Ledger.open(str(tmp_path)).counts().done == 0
    ledger.flush()
    other = Ledger.open(str(tmp_path))
    assert other.counts() == ledger.counts()
    assert (other.counts().nan, other.counts().inf, other.counts().seconds, other.counts().executions) == (7, 2, 1.5, 4)
    assert other.failures == [{"block": 4, "cause": "no luck"}]
    assert list(other.pending()) == [0, 1, 2, 4]
    assert list(other.pending(failed=False)) == [0, 1, 2]


def test_a_failed_block_that_is_done_at_last_is_no_failure(tmp_path):
    ledger = Ledger.create(str(tmp_path), 2, {})
    ledger.mark(0, "failed", cause="x")
    ledger.flush()
    ledger = Ledger.create(str(tmp_path), 2, {})
    ledger.mark(0, "done")
    ledger.flush()
    found = Ledger.open(str(tmp_path))
    assert found.failures == []
    assert (found.counts().failed, found.counts().done, found.counts().executions) == (0, 1, 2)


def test_a_million_blocks_stay_flat(tmp_path):
    ledger = Ledger.create(str(tmp_path), 1_000_000, {})
    for number in range(0, 1_000_000, 20_000):
        ledger.mark(number, "done")
        ledger.flush()
        assert len(ledger._loaded) <= ledger_module.LOADED
    assert ledger.counts().done == 50
    pending = ledger.pending()
    assert [next(pending), next(pending)] == [1, 2]
    assert Ledger.open(str(tmp_path)).counts() == ledger.counts()


def test_only_the_first_thousand_causes_are_kept(tmp_path):
    ledger = Ledger.create(str(tmp_path), 1200, {})
    for number in range(1200):
        ledger.mark(number, "failed", cause="c")
    ledger.flush()
    assert len(Ledger.open(str(tmp_path)).failures) == 1000
    assert Ledger.open(str(tmp_path)).counts().failed == 1200


MARKS = st.lists(
    st.tuples(
        st.integers(0, 29),
        st.sampled_from(STATES),
        st.integers(0, 3),
        st.integers(0, 2**40),
        st.sampled_from(["keep", "flush", "open"]),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=25)
@given(MARKS)
def test_any_order_of_marks_flushes_and_reopenings_is_the_simple_model(tmp_path_factory, marks):
    path = str(tmp_path_factory.mktemp("ledger"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger_module, "ROWS", 8)
        patch.setattr(ledger_module, "LOADED", 2)
        ledger = Ledger.create(path, 30, {})
        model = dict.fromkeys(range(30), ("pending", 0, 0))
        for number, state, executions, nan, then in marks:
            ledger.mark(number, state, executions=executions, nan=nan, seconds=0.5)
            model[number] = (state, model[number][1] + executions, nan)
            if then != "keep":
                ledger.flush()
            if then == "open":
                ledger = Ledger.create(path, 30, {})
        counts = ledger.counts()
        for state in STATES:
            assert getattr(counts, state) == sum(found == state for found, _, _ in model.values())
        assert counts.executions == sum(executions for _, executions, _ in model.values())
        assert counts.nan == sum(nan for _, _, nan in model.values())
        assert list(ledger.pending()) == [n for n, (state, _, _) in model.items() if state in {"pending", "failed"}]
        codes = np.concatenate(list(ledger.states()))
        assert [STATES[code] for code in codes] == [state for state, _, _ in model.values()]


def test_a_ledger_of_another_size_or_none_is_refused(tmp_path):
    with pytest.raises(OutputError, match="has no ledger"):
        Ledger.open(str(tmp_path))
    Ledger.create(str(tmp_path), 5, {})
    with pytest.raises(OutputError, match="counts 5 blocks"):
        Ledger.create(str(tmp_path), 6, {})


def test_a_corrupt_ledger_is_a_refusal(tmp_path):
    ledger = Ledger.create(str(tmp_path), 5, {})
    ledger.mark(1, "done")
    ledger.flush()
    (chunk,) = stored(tmp_path, "state")
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 8
    chunk.write_bytes(content)
    with pytest.raises(OutputError, match="cannot be read"):
        Ledger.open(str(tmp_path))


def test_a_block_outside_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="block 5 of 5"):
        Ledger.create(str(tmp_path), 5, {}).mark(5, "done")


def test_differences_name_each_field():
    old = {
        "cut": {"tile": [256, 256], "halo": 32, "pad": "reflect"},
        "model": {"sha256": "a" * 64},
        "image": {"fingerprint": "b" * 64},
        "gone": 1,
        "notes": {"started": "monday"},
    }
    new = {
        "cut": {"tile": (512, 256), "halo": 32, "pad": "edge"},
        "model": {"sha256": "c" * 64},
        "image": {"fingerprint": "d" * 64},
        "new": True,
        "notes": {"started": "tuesday"},
    }
    assert differences(old, new) == [
        "cut.tile: [256, 256] -> [512, 256]",
        "cut.pad: reflect -> edge",
        f"model.sha256: another file ({'a' * 12} -> {'c' * 12})",
        f"image.fingerprint: another image, or its metadata changed ({'b' * 12} -> {'d' * 12})",
        "gone: 1 -> not recorded",
        "new: not recorded -> true",
    ]


def test_a_record_equals_itself_through_json():
    record = {"a": (1, (2, 3)), "b": {"c": None, "d": 0.1, "e": {}}, "notes": 1}
    assert differences(json.loads(json.dumps(record)), record) == []
