"""Coarser levels are made as blocks land: each shard once, never before what it stands on, resumed after any cut."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewise.ladder import Ladder, levels_path
from tilewise.ledger import Ledger
from tilewise.pyramid import Pyramid, Rows

SQUARE = Pyramid((70, 50), (8, 8), ((2, 2), (2, 2), (1, 2)))
STACK = Pyramid((3, 40, 9, 30), (1, 10, 3, 10), ((1, 2, 2, 2), (1, 2, 1, 2)))
FLAT = Pyramid((70, 50), (8, 8), ())


class Run:
    """As the engine drives it, without a model: tasks land in any order and may fail."""

    def __init__(self, out, rows, seed=0):
        self.rows, self.random = rows, random.Random(seed)
        self.blocks = Ledger.create(str(out), rows.pyramids[0].total(0), {})
        self.levels = Ledger.create(levels_path(str(out)), rows.total, {})
        self.ladder = Ladder(rows, self.blocks, self.levels)
        self.made: list[tuple] = []

    def take(self, pending):
        row = next(self.ladder, None)
        return (
            ("shard", row)
            if row is not None
            else ("block", block)
            if (block := next(pending, None)) is not None
            else None
        )

    def go(self, *, failing=(), skipping=(), stop=10**9, flush=5):
        pending, flying = self.blocks.pending(), []
        for step in range(stop):
            while len(flying) < 4 and (task := self.take(pending)) is not None:
                flying.append(task)
            if not flying:
                break
            kind, number = flying.pop(self.random.randrange(len(flying)))
            if kind == "block":
                state = "failed" if number in failing else "skipped" if number in skipping else "done"
                self.blocks.mark(number, state)
                if state != "failed":
                    self.ladder.rise(number)
            else:
                self.check_parents(number)
                self.made.append(self.rows.locate(number))
                self.ladder.mark(number, "done", seconds=0.0, executions=1)
            if step % flush == 0:
                self.flush()
        return self

    def flush(self):
        self.blocks.flush()
        self.levels.flush()

    def check_parents(self, row):
        output, level, number = self.rows.locate(row)
        for parent in self.rows.pyramids[output].parents(level, number):
            book = self.blocks if level == 1 else self.levels
            at = parent if level == 1 else self.rows.row(output, level - 1, parent)
            assert book.state(at) in {"done", "skipped"}


def everything(rows):
    return [rows.locate(row) for row in range(rows.total)]


@pytest.mark.parametrize("pyramids", [(SQUARE,), (SQUARE, FLAT, SQUARE), (STACK,)])
def test_each_shard_is_made_once_and_none_is_left(tmp_path, pyramids):
    rows = Rows(pyramids)
    run = Run(tmp_path, rows).go()
    assert sorted(run.made) == everything(rows)
    assert run.levels.counts().done == rows.total
    assert not run.ladder._urgent
    assert not run.ladder._taken


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 90), st.integers(1, 9), st.sets(st.integers(0, 62), max_size=9))
def test_a_run_that_is_cut_anywhere_goes_on(tmp_path_factory, seed, stop, flush, failing):
    out, rows = tmp_path_factory.mktemp("out"), Rows((SQUARE,))
    # what was not flushed is lost
    Run(out, rows, seed).go(stop=stop, flush=flush, failing=failing)
    second = Run(out, rows, seed + 1)
    kept = [row for row in range(rows.total) if second.levels.state(row) == "done"]
    second.go()
    assert sorted(second.made) == [place for row, place in enumerate(everything(rows)) if row not in kept]
    second.flush()
    assert Run(out, rows).go().made == []


def test_nothing_stands_on_a_failed_block_until_it_is_done(tmp_path):
    rows = Rows((SQUARE,))
    run = Run(tmp_path, rows).go(failing={0})
    missing = {(0, 1, 0), (0, 2, 0), (0, 3, 0)}
    assert set(everything(rows)) - set(run.made) == missing
    run.flush()
    assert set(Run(tmp_path, rows).go().made) == missing


def test_a_block_that_is_done_again_takes_what_stands_on_it_along(tmp_path):
    rows = Rows((SQUARE, SQUARE))
    run = Run(tmp_path, rows).go()
    run.blocks.mark(9, "failed")
    run.flush()
    again = Run(tmp_path, rows)
    number, above = 9, set()
    for level in range(3):
        number = SQUARE.child(level, number)
        above |= {(0, level + 1, number), (1, level + 1, number)}
    assert [row for row in range(rows.total) if again.levels.state(row) == "pending"] == sorted(
        rows.row(*place) for place in above
    )
    assert set(again.go().made) == above


def test_shards_over_skipped_blocks_alone_are_skipped(tmp_path):
    rows = Rows((SQUARE,))
    run = Run(tmp_path, rows).go(skipping=set(range(63)) - {62})
    assert run.made == [(0, level, SQUARE.total(level) - 1) for level in (1, 2, 3)]
    assert run.levels.counts().skipped == rows.total - 3


def test_shards_over_blocks_that_were_skipped_before_are_found(tmp_path):
    rows = Rows((SQUARE,))
    book = Ledger.create(str(tmp_path), 63, {})
    for number in range(63):
        book.mark(number, "skipped", executions=0)
    book.flush()
    run = Run(tmp_path, rows).go()
    assert run.made == []
    assert run.levels.counts().skipped == rows.total


def test_few_shards_wait_whatever_the_number_of_blocks(tmp_path):
    """Half ready shards are not kept at all; those that are ready go before the next block."""
    side = 120
    rows = Rows((Pyramid((side, side), (1, 1), ((2, 2),) * 7),))
    run = Run(tmp_path, rows)
    pending, most = run.blocks.pending(), 0
    for number in pending:
        run.blocks.mark(number, "done")
        run.ladder.rise(number)
        while (row := next(run.ladder, None)) is not None:
            most = max(most, len(run.ladder._taken))
            run.ladder.mark(row, "done", seconds=0.0, executions=1)
    assert most <= 2
    assert run.levels.counts().done == rows.total
