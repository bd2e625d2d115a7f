"""What a benchmark found: as text for the eyes, as Markdown and JSON for ``results/``, with machine and versions."""

from __future__ import annotations

import datetime as dt
import json
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from images import cores

RESULTS = Path(__file__).with_name("results")
"""Where the figures that documents quote are kept."""

PACKAGES = ("tilewise", "dask", "distributed", "zarr", "numpy", "numcodecs", "onnxruntime", "onnx")
"""That the figures depend on."""


@dataclass
class Table:
    """Rows under columns."""

    title: str
    """One line above."""
    columns: tuple[str, ...]
    """Heads; the first column holds names."""
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    """As many values each as there are columns."""
    notes: list[str] = field(default_factory=list)
    """Lines below."""

    def text(self) -> str:
        """For a terminal."""
        shown = [self.columns, *[tuple(map(show, row)) for row in self.rows]]
        widths = [max(len(row[k]) for row in shown) for k in range(len(self.columns))]
        lines = [
            "  ".join(
                f"{cell:<{w}}" if k == 0 else f"{cell:>{w}}"
                for k, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in shown
        ]
        return "\n".join([self.title, *lines, *self.notes])

    def markdown(self) -> str:
        """For a document."""
        head = f"| {' | '.join(self.columns)} |\n|{' --- |' + ' ---: |' * (len(self.columns) - 1)}"
        rows = [f"| {' | '.join(map(show, row))} |" for row in self.rows]
        notes = "".join(f"\n- {note}" for note in self.notes)
        return "\n".join([f"## {self.title}", "", head, *rows]) + ("\n" + notes if notes else "")


def show(value: Any) -> str:
    """A value in few figures."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, tuple):
        return " x ".join(map(show, value))
    if not isinstance(value, float):
        return str(value)
    if value == 0:
        return "0"
    if 0.01 <= abs(value) < 1e5:
        return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:.2g}"


def describe_machine() -> dict[str, Any]:
    """Kind of machine, cores, memory, versions, date, commit, command."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "command": " ".join(["python", *(Path(arg).name if k == 0 else arg for k, arg in enumerate(sys.argv))]),
        "load": [round(n, 2) for n in psutil.getloadavg()],
    }


def publish(name: str, tables: list[Table], facts: dict[str, Any], *, keep: bool) -> None:
    """Print the tables, and keep them in ``results/`` if asked to."""
    for table in tables:
        print(f"\n{table.text()}", flush=True)
    if not keep:
        return
    machine = describe_machine()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine, **facts}, indent=1, default=str) + "\n")
    lines = [f"- {key}: {value}" for key, value in machine.items()]
    parts = [f"# {name}", "\n".join(lines), *[table.markdown() for table in tables]]
    (RESULTS / f"{name}.md").write_text("\n\n".join(parts) + "\n")
    print(f"\nkept in {RESULTS / name}.md and .json")


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _commit() -> str:
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "../src", ".", ":!results")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" and changes" if changed else "")
