import pytest

from images import make_pixels, write_array, write_group, write_image
from networks import one_layer, save
from tilewise import Pixels, plan
from tilewise.errors import ImageError
from tilewise.source import is_plate, list_fields, open_image

WELLS = {"A/1": (0, 1), "B/03": (0,)}


def write_plate(path, version="0.5"):
    """Two wells of two and one fields; each field has its own height."""
    zarr_format = 3 if version == "0.5" else 2

    def put(where, ome):
        write_group(where, {"ome": {"version": version, **ome}} if version == "0.5" else ome, zarr_format)

    put(path, {"plate": {"wells": [{"path": well} for well in WELLS]}})
    for k, (well, fields) in enumerate(WELLS.items()):
        put(path / well, {"well": {"images": [{"path": str(field)} for field in fields]}})
        for field in fields:
            pixels = make_pixels((20 + 2 * k + field, 30))
            write_image(path / well / str(field), pixels, "yx", version=version)
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_fields_of_a_plate_are_listed_and_opened(tmp_path, version):
    path = str(write_plate(tmp_path / "p.zarr", version))
    assert is_plate(path)
    fields = list_fields(path)
    assert fields == ("A/1/0", "A/1/1", "B/03/0")
    assert [open_image(path, field=field).shape for field in fields] == [(20, 30), (21, 30), (22, 30)]
    assert open_image(path, field="/A/1/").shape == (20, 30)
    assert open_image(path, field="B/03/0") == open_image(f"{path}/B/03/0")


def test_what_is_no_plate_has_no_fields(tmp_path):
    path = str(write_array(tmp_path / "a.zarr", make_pixels((9, 9))))
    assert not is_plate(path)
    assert not is_plate(str(tmp_path))
    for find in (list_fields, lambda p: open_image(p, field="A/1/0")):
        with pytest.raises(ImageError, match=r"--field for .*a\.zarr; expected an OME-Zarr plate"):
            find(path)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("C/1/0", r"--field C/1/0 for .*; expected one of its wells \(A/1, B/03\)"),
        ("A/1/2", r"expected one of its fields \(A/1/0, A/1/1\)"),
        ("A/10", "one of its wells"),
        ("A/1/../../B/03/0", "one of its fields"),
        ("", "one of its wells"),
    ],
)
def test_a_field_that_is_not_there_is_refused(tmp_path, field, words):
    with pytest.raises(ImageError, match=words):
        open_image(str(write_plate(tmp_path / "p.zarr")), field=field)


def test_a_well_that_lies_elsewhere_is_not_entered(tmp_path):
    plate = write_plate(tmp_path / "p.zarr")
    (plate / "B" / "03").rename(tmp_path / "outside")
    (plate / "B" / "03").symlink_to(tmp_path / "outside")
    with pytest.raises(ImageError, match=r"B/03 of .* is a link to .*outside"):
        open_image(str(plate), field="B/03/0")
    with pytest.raises(ImageError, match="is a link to"):
        list_fields(str(plate))


def test_a_plan_takes_the_field(tmp_path):
    model = save(one_layer(), tmp_path)
    made = plan(write_plate(tmp_path / "p.zarr"), model, pixels=Pixels(field="B/03/0"))
    assert made.image.shape == (22, 30)
    assert {s.name: (s.value, s.origin) for s in made.settings}["field"] == ("B/03/0", "flag")
