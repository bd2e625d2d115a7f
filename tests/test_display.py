"""What people see while a run goes on: a bar on a terminal, plain lines elsewhere, little if quiet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise import display
from tilewise.display import Pace, show_seconds, watch
from tilewise.events import Advanced, Ended, Noted, Started

STORY = (
    Noted("a note with [brackets] and [/brackets]"),
    Started("blocks", 3, 1, 1_000_000),
    Advanced("blocks", 2, 0, "block 1 on CPU at host:1 in 0.50 s"),
    Advanced("blocks", 2, 1, "block 2 failed: ValueError: [red]no[/red]"),
    Ended("blocks", 4.2),
)


def tell(observer):
    for event in STORY:
        observer(event)


@given(st.floats(0, 1e6))
def test_seconds_are_short_and_true(seconds):
    text = show_seconds(seconds)
    number, unit = text.split()
    first, _, second = number.partition(":")
    back = {
        "s": float(first),
        "min": 60 * int(first) + int(second or 0),
        "h": 3600 * int(first) + 60 * int(second or 0),
    }
    assert abs(back[unit] - seconds) <= (60 if unit == "h" else 0.5)


def test_seconds_as_people_write_them():
    assert [show_seconds(s) for s in (0, 59.4, 59.6, 185, 7800)] == ["0 s", "59 s", "1:00 min", "3:05 min", "2:10 h"]


def test_pace_leaves_out_what_was_done_before(monkeypatch):
    pace = Pace(100, 40, 2_000_000, begin=0.0)
    monkeypatch.setattr(display.time, "monotonic", lambda: 10.0)
    assert pace.describe(40, 0) == "40/100  0.0 Mpx/s"
    assert pace.describe(60, 0) == "60/100  4.0 Mpx/s  20 s left"
    assert pace.describe(60, 10) == "60/100  6.0 Mpx/s  10 s left  10 failed"
    assert pace.describe(100, 0) == "100/100  12.0 Mpx/s"


def test_plain_lines_where_there_is_no_terminal(capsys):
    tell(watch())
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "a note with [brackets] and [/brackets]",
        "blocks: 1 of 3 done before",
        "block 2 failed: ValueError: [red]no[/red]",
        "blocks: 4 s",
    ]


def test_lines_come_now_and_then_and_say_pace(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    observer = watch()
    observer(Started("blocks", 100, 0, 1_000_000))
    for k in range(1, 25):
        now[0] = float(k)
        observer(Advanced("blocks", k, 0, "one more"))
    lines = capsys.readouterr().err.splitlines()[1:]
    assert 3 <= len(lines) <= 4
    assert all("Mpx/s" in line and "left" in line for line in lines)


def test_verbose_says_each_block(capsys):
    tell(watch(verbose=True))
    assert "block 1 on CPU at host:1 in 0.50 s" in capsys.readouterr().err


def test_quiet_says_only_what_failed(capsys):
    tell(watch(quiet=True))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "block 2 failed: ValueError: [red]no[/red]\n"


@pytest.mark.parametrize("verbose", [False, True])
def test_a_terminal_gets_a_bar_unless_lines_are_wanted(capsys, monkeypatch, verbose):
    monkeypatch.setattr(display.sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    tell(watch(verbose=verbose))
    said = capsys.readouterr()
    assert said.out == ""
    assert ("━" in said.err) != verbose
    assert "a note with [brackets] and [/brackets]" in said.err
    assert "ValueError: [red]no[/red]" in said.err


def test_a_note_while_the_bar_is_drawn_keeps_its_brackets(capsys, monkeypatch):
    monkeypatch.setattr(display.sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    observer = watch()
    observer(STORY[1])
    observer(Noted("the halo [12, 12] and a [/closing] tag"))
    observer(STORY[-1])
    assert "the halo [12, 12] and a [/closing] tag" in capsys.readouterr().err
