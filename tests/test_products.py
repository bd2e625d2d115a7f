"""Folders of several outputs: safe on every system, and none twice."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tilewise.products import RESERVED, name_folders


@given(st.lists(st.text(max_size=130), min_size=2, max_size=8))
def test_names_are_safe_and_stay_apart(names):
    made = name_folders(names)
    assert len({name.lower() for name in made}) == len(names)
    for name in made:
        assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name)
        assert name.lower() not in RESERVED
        assert not name.isdigit()
        assert len(name) < 110


def test_names_that_need_nothing_stay():
    assert name_folders(["mask", "Conv_12"]) == ["mask", "Conv_12"]
    assert name_folders(["anything at/all"]) == [None]
