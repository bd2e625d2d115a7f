"""The plan of the house in CONTRIBUTING.md is true: rooms, floors, doors and lengths, read from the sources."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "src" / "tilewise"
PLAN = ROOT / "CONTRIBUTING.md"
LINES = 250
"""Of a file."""
BODY = 60
"""Lines of a function."""
FREE = frozenset({*sys.stdlib_module_names, "numpy"})
"""What every room may import."""


@dataclass(frozen=True)
class House:
    """What CONTRIBUTING.md says."""

    floors: dict[str, int]
    doors: dict[str, set[str]]
    long: dict[str, int]


@dataclass(frozen=True)
class Room:
    """One file, read."""

    path: str
    name: str
    """As the table calls it: a module of the package, or a folder with its slash."""
    inside: tuple[tuple[str, int], ...]
    """Rooms of the house that it imports, and the lines where."""
    own: tuple[str, ...]
    """Modules of its own folder that it imports."""
    outside: tuple[str, ...]
    """Dotted names of other libraries' modules, and of what is taken from them."""
    lines: int
    functions: tuple[tuple[str, int], ...]
    """Names and lengths."""


def read_tables(text: str) -> House:
    """The three tables, told by their headings' first cells."""
    rows: dict[str, list[list[str]]] = {}
    head = ""
    for line, following in pairwise([*text.splitlines(), ""]):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and following.startswith("| ---"):
            head = cells[0]
        elif line.startswith("|") and not line.startswith("| ---"):
            rows.setdefault(head, []).append(cells)

    def words(cell: str) -> list[str]:
        return re.findall(r"`([^`]+)`", cell)

    named = [(room, int(row[0])) for row in rows["floor"] for room in words(row[1])]
    assert len(dict(named)) == len(named), "a room stands twice in the plan"
    return House(
        floors=dict(named),
        doors={library: set(words(row[1])) for row in rows["library"] for library in words(row[0])},
        long={name: int(row[1]) for row in rows.get("too long", []) for name in words(row[0])},
    )


def read_rooms(folder: Path) -> list[Room]:
    """Every file below a package's folder."""
    return [_read(path, folder) for path in sorted(folder.rglob("*.py"))]


def _read(path: Path, folder: Path) -> Room:
    parts = path.relative_to(folder).with_suffix("").parts
    text = path.read_text()
    tree = ast.parse(text)
    imported = [(name, node.lineno) for node in ast.walk(tree) for name in _imports(node, (folder.name, *parts))]
    name, prefix = _room(folder, parts), f"{folder.name}."
    inside, own, outside = [], [], []
    for dotted, line in imported:
        if dotted != folder.name and not dotted.startswith(prefix):
            outside.append(dotted)
            continue
        target = _module(folder, tuple(dotted.split(".")[1:]))
        if _room(folder, target) != name:
            inside.append((_room(folder, target), line))
        elif len(parts) > 1 and target != parts:
            own.append("/".join(target))
    return Room(
        path="/".join(path.relative_to(folder).parts),
        name=name,
        inside=tuple(dict.fromkeys(inside)),
        own=tuple(dict.fromkeys(own)),
        outside=tuple(dict.fromkeys(outside)),
        lines=len(text.splitlines()),
        functions=tuple(
            (node.name, (node.end_lineno or 0) - node.lineno + 1)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ),
    )


def _imports(node: ast.AST, module: tuple[str, ...]) -> list[str]:
    """Dotted names that a statement imports; ``from a import b`` may mean a.b."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        # without its last part a module's name is its package; of a package, that part is __init__
        front = list(module[: len(module) - node.level]) if node.level else []
        base = ".".join([*front, *([node.module] if node.module else [])])
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
        first = node.args[0]
        return [str(first.value)] if isinstance(first, ast.Constant) else []
    return []


def _module(folder: Path, parts: tuple[str, ...]) -> tuple[str, ...]:
    """The longest front of a dotted name that is a file: the rest is a name inside it."""
    for end in range(len(parts), 0, -1):
        place = folder.joinpath(*parts[:end])
        if place.with_suffix(".py").is_file():
            return parts[:end]
        if place.is_dir():
            return (*parts[:end], "__init__")
    return ("__init__",)


def _room(folder: Path, parts: tuple[str, ...]) -> str:
    return f"{parts[0]}/" if (folder / parts[0]).is_dir() else parts[0]


def find_homeless(house: House, rooms: list[Room]) -> list[str]:
    """Files without a room, and rooms without a file."""
    names = {room.name for room in rooms}
    return [f"{room.path} has no room in the plan" for room in rooms if room.name not in house.floors] + [
        f"{name} is in the plan, but no such file is there" for name in house.floors if name not in names
    ]


def find_climbers(house: House, rooms: list[Room]) -> list[str]:
    """Imports that go up or sideways."""
    floors = house.floors
    return [
        f"{room.path}:{line} on floor {floors.get(room.name)} imports {target} on floor {floors.get(target)}"
        for room in rooms
        for target, line in room.inside
        if floors.get(target, 99) >= floors.get(room.name, 0)
    ]


def find_circles(rooms: list[Room]) -> list[str]:
    """Files of one folder that import each other in a circle."""
    arrows = {room.path.removesuffix(".py"): room.own for room in rooms}
    found = []

    def follow(start: str, here: str, seen: set[str]) -> None:
        for target in arrows.get(here, ()):
            if target == start:
                found.append(f"{start} imports itself by way of {here}")
            elif target not in seen:
                seen.add(target)
                follow(start, target, seen)

    for start in arrows:
        follow(start, start, set())
    return found


def find_wrong_doors(house: House, rooms: list[Room]) -> list[str]:
    """Libraries imported elsewhere than through their doors, and doors that nobody uses."""
    used: set[tuple[str, str]] = set()
    wrong = []
    for room in rooms:
        for name in room.outside:
            if name.split(".")[0] in FREE:
                continue
            fronts = [library for library in house.doors if f"{name}.".startswith(f"{library}.")]
            library = max(fronts, key=len, default=name.split(".")[0])
            used.add((library, room.name))
            if room.name not in house.doors.get(library, ()):
                wrong.append(f"{room.path} imports {name}, and {room.name} is no door of {library}")
    stated = {(library, name) for library, names in house.doors.items() for name in names}
    return wrong + [f"{name} is called a door of {library}, and does not import it" for library, name in stated - used]


def find_long(house: House, rooms: list[Room]) -> list[str]:
    """Files and functions that are too long, and exceptions that are not needed any more."""
    lengths = [(room.path, room.lines, LINES) for room in rooms]
    lengths += [(f"{room.path}:{name}", size, BODY) for room in rooms for name, size in room.functions]
    over = {name: (size, most) for name, size, most in lengths if size > most}
    return [
        f"{name} has {size} lines, the most is {house.long.get(name, most)}"
        for name, (size, most) in over.items()
        if size > house.long.get(name, most)
    ] + [f"{name} is called too long, and is not" for name in house.long if name not in over]


@pytest.fixture(scope="module")
def house():
    return read_tables(PLAN.read_text())


@pytest.fixture(scope="module")
def rooms():
    return read_rooms(SOURCES)


def test_every_file_has_one_room(house, rooms):
    assert find_homeless(house, rooms) == []


def test_imports_go_down(house, rooms):
    assert find_climbers(house, rooms) == []


def test_folders_have_no_circles(rooms):
    assert find_circles(rooms) == []


def test_libraries_come_through_their_doors(house, rooms):
    assert find_wrong_doors(house, rooms) == []


def test_files_and_functions_are_short(house, rooms):
    assert find_long(house, rooms) == []


def test_the_plan_is_read_whole(house, rooms):
    assert len(house.floors) > 30
    assert {"onnx", "onnxruntime", "zarr", "dask.array", "distributed", "xarray", "typer", "rich"} <= set(house.doors)
    assert sum(len(room.inside) for room in rooms) > 100


SMALL = """
| floor | rooms | what |
| --- | --- | --- |
| 2 | `top` | upper |
| 1 | `low`, `other`, `family/` | lower |

| library | doors |
| --- | --- |
| `dask.array` | `top` |

| too long | lines |
| --- | --- |
"""


def build(folder, **files):
    """A small house; the first ``_`` in a name stands for a slash."""
    base = folder / "tilewise"
    sources = {"top": "from dask import array\n", "low": "", "other": "", "family___init__": "", **files}
    for name, text in sources.items():
        path = base / (name.replace("_", "/", 1) + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return base


def complain(folder, **files):
    house, rooms = read_tables(SMALL), read_rooms(build(folder, **files))
    return [
        *find_homeless(house, rooms),
        *find_climbers(house, rooms),
        *find_circles(rooms),
        *find_wrong_doors(house, rooms),
        *find_long(house, rooms),
    ]


def test_a_good_house_is_left_alone(tmp_path):
    good = "from dask import array\nfrom tilewise import low\nfrom tilewise.family.son import x\n"
    assert complain(tmp_path, top=good, family_son="x = 1\n", family_father="from tilewise.family import son\n") == []


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"stray": ""}, "stray.py has no room"),
        ({"family_son": "import tilewise.top\n"}, "family/son.py:1 on floor 1 imports top"),
        ({"low": "from tilewise import other\n"}, "low.py:1 on floor 1 imports other on floor 1"),
        ({"low": "def f():\n    from tilewise.top import x\n"}, "low.py:2"),
        ({"low": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .top import x\n"}, "low.py:3"),
        ({"family_son": "from ..top import x\n"}, "family/son.py:1"),
        ({"low": "from tilewise.family.son import x\n", "family_son": ""}, "imports family/ on floor 1"),
        ({"low": "from importlib import import_module\nimport_module('tilewise.top')\n"}, "low.py:2"),
        ({"low": "import tilewise\n"}, "imports __init__"),
        ({"family_a": "from . import b\n", "family_b": "from tilewise.family.a import x\n"}, "imports itself"),
        ({"low": "import dask.array as da\n"}, "low is no door of dask.array"),
        ({"top": "from dask.array import zeros\nimport dask\n"}, "no door of dask"),
        ({"low": "import requests\n"}, "no door of requests"),
        ({"top": ""}, "top is called a door of dask.array"),
        ({"low": "\n" * 251}, "low.py has 251 lines"),
        ({"low": "class A:\n    def f(self):\n" + "        pass\n" * 60}, "low.py:f has 61 lines"),
    ],
)
def test_a_fault_is_found(tmp_path, files, word):
    found = complain(tmp_path, **files)
    assert any(word in complaint for complaint in found), found


def test_a_room_without_files_is_found(tmp_path):
    base = build(tmp_path)
    (base / "other.py").unlink()
    assert find_homeless(read_tables(SMALL), read_rooms(base)) == ["other is in the plan, but no such file is there"]


def test_an_exception_for_length_only_shrinks(tmp_path):
    rooms = read_rooms(build(tmp_path, low="\n" * 260))
    assert find_long(read_tables(SMALL + "| `low.py` | 260 |\n"), rooms) == []
    assert find_long(read_tables(SMALL + "| `low.py` | 259 |\n"), rooms) == ["low.py has 260 lines, the most is 259"]
    assert find_long(read_tables(SMALL + "| `low.py` | 260 |\n| `top.py` | 300 |\n"), rooms) == [
        "top.py is called too long, and is not"
    ]


def test_the_lock_belongs_to_the_project_and_to_the_public_index():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    own = next(package for package in lock["package"] if package["name"] == project["name"])
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    locked = own["metadata"]["requires-dist"]
    assert {re.split(r"[^A-Za-z0-9-]", one)[0] for one in asked} == {one["name"] for one in locked}
    assert {one["source"]["registry"] for one in lock["package"] if one is not own} == {"https://pypi.org/simple"}
    files = [file for one in lock["package"] for file in [*one.get("wheels", ()), *filter(None, [one.get("sdist")])]]
    assert files
    assert all(file["url"].startswith("https://files.pythonhosted.org/") for file in files)
    assert all(file["hash"].startswith("sha256:") for file in files)
