"""Every image that the libraries of the field write is read as they read it. ``benchmarks/openers.py`` prints it."""

import pytest

import written

SLOW = {"ngff-zarr"}
"""Writers that take longer than ten seconds."""

WRITERS = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in written.WRITERS]


@pytest.mark.parametrize("writer", WRITERS)
def test_pixels_are_those_of_the_library_that_wrote_them(tmp_path, writer):
    rows = written.WRITERS[writer](tmp_path)
    if not rows:
        pytest.skip(f"nothing to read: no shared images, or no {writer} here or at ${written.FOREIGN}")
    faults = [(row, fault) for row in rows if (fault := written.compare(row)) is not None]
    assert faults == []
    assert len(rows) >= 15


def test_a_difference_is_found(tmp_path):
    row = written.write_volumes(tmp_path)[0]
    assert written.compare(row) is None
    changed = row.pixels.copy()
    changed[2, 3, 5] += 1
    cases = ((changed, "zyx", "other pixels"), (changed, "tyx", "axes"), (changed.astype("f4"), "zyx", "type"))
    for pixels, axes, words in cases:
        other = written.Row(row.writer, row.name, row.path, pixels, axes)
        assert words in written.compare(other)
