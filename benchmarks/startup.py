"""How long a user waits before and beside the work: --help, the first and the second run, and where it goes.

python benchmarks/startup.py [--size smallest|default|full] [--keep]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from images import write_image
from meter import Usage, measure
from report import Table, publish
from throughput import work_folder

GOALS = {"tilewise --help": 0.5, "first run": 6.0, "second run": 4.0}
"""Seconds."""

REPEATS = {"smallest": 1, "default": 3, "full": 5}
"""Of each command."""

SIDE = 512
"""Pixels of the image."""


def time_commands(repeat: int, image: Path, model: Path, folder: Path) -> tuple[Table, dict[str, Any]]:
    """The three commands, each in a fresh process; the first run has an empty cache of models."""
    each: dict[str, list[Usage]] = {name: [] for name in GOALS}
    for _ in range(repeat):
        with tempfile.TemporaryDirectory(dir=folder, prefix="cache-") as cache:
            each["tilewise --help"].append(_call(["--help"], cache))
            for name in ("first run", "second run"):
                each[name].append(_call(_words(image, model, f"{cache}/{name}.zarr"), cache))
    table = Table(
        f"start-up: an image of {SIDE} x {SIDE}, the demo's network",
        ("command", "seconds", "CPU seconds", "goal", "reached"),
    )
    facts = {}
    for name, usages in each.items():
        wall = statistics.median(usage.wall for usage in usages)
        cpu = statistics.median(usage.cpu for usage in usages)
        facts[name] = {"wall": wall, "cpu": cpu, "goal": GOALS[name], "each": [usage.wall for usage in usages]}
        table.rows.append((name, wall, cpu, GOALS[name], wall <= GOALS[name]))
    return table, facts


def time_imports(image: Path, model: Path, folder: Path) -> tuple[Table, dict[str, Any]]:
    """Seconds that modules take to import, by package, during --help and during a second run."""
    found = {}
    for name, words in (("--help", ["--help"]), ("run", _words(image, model, f"{folder}/imports.zarr"))):
        command = [sys.executable, "-X", "importtime", "-m", "tilewise", *words]
        usage = measure(command, environment={"TILEWISE_CACHE": str(folder / "cache")})
        found[name] = _by_package(usage.errors)
    table = Table(
        "imports, seconds of a package's own modules (python -X importtime, which itself slows them)",
        ("package", "--help", "run"),
    )
    names = [name for name, _ in (found["run"] | found["--help"]).most_common(14)]
    table.rows = [(name, found["--help"][name], found["run"][name]) for name in names]
    table.rows.append(("all", sum(found["--help"].values()), sum(found["run"].values())))
    return table, {name: dict(counted.most_common(40)) for name, counted in found.items()}


def time_phases(image: Path, model: Path, folder: Path) -> tuple[Table, dict[str, Any]]:
    """Where a first and a second run spend their time."""
    table = Table("a run, phase by phase, seconds", ("phase", "first run", "second run"))
    both = []
    with tempfile.TemporaryDirectory(dir=folder, prefix="cache-") as cache:
        for name in ("first", "second"):
            script = str(Path(__file__).with_name("phases.py"))
            words = [str(time.time()), str(image), str(model), f"{cache}/{name}.zarr"]
            usage = measure([sys.executable, script, *words], environment={"TILEWISE_CACHE": cache})
            phases = json.loads(usage.output.strip().splitlines()[-1])
            phases["end of the process"] = usage.wall - sum(phases.values())
            both.append(phases)
    table.rows = [(phase, both[0][phase], both[1][phase]) for phase in both[0]]
    table.rows.append(("all", sum(both[0].values()), sum(both[1].values())))
    return table, {"first": both[0], "second": both[1]}


def _call(words: list[str], cache: str) -> Usage:
    script = Path(sys.executable).with_name("tilewise")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "tilewise"]
    return measure([*command, *words], environment={"TILEWISE_CACHE": cache})


def _words(image: Path, model: Path, out: str) -> list[str]:
    return ["run", str(image), str(model), out, "--quiet"]


def _by_package(report: str) -> Counter[str]:
    """Own seconds of modules, added up by what stands in front of the first dot."""
    found: Counter[str] = Counter()
    for own, name in re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", report, re.MULTILINE):
        found[name.partition(".")[0]] += int(own) / 1e6
    standard = Counter({name: found.pop(name) for name in list(found) if name in sys.stdlib_module_names})
    found["(standard library)"] = sum(standard.values())
    return found


def run(size: str, *, keep: bool = False) -> bool:
    """Measure; true always, for seconds depend on the machine."""
    from tilewise.demo.show import MODEL

    with work_folder(None) as folder:
        image = write_image(folder / "image.zarr", (SIDE, SIDE), (256, 256), "yx")
        os.environ["TILEWISE_CACHE"] = str(folder / "cache")
        commands, timed = time_commands(REPEATS[size], image, MODEL, folder)
        phases, spent = time_phases(image, MODEL, folder)
        imports, counted = time_imports(image, MODEL, folder)
    publish("startup", [commands, phases, imports], {"commands": timed, "phases": spent, "imports": counted}, keep=keep)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("smallest", "default", "full"), default="default")
    parser.add_argument("--keep", action="store_true", help="write the tables into results/")
    asked = parser.parse_args()
    sys.exit(0 if run(asked.size, keep=asked.keep) else 1)


if __name__ == "__main__":
    main()
