"""Where an output comes from, in one file that lies in it: model, settings, statistics, versions, and how it went."""

from __future__ import annotations

import datetime as dt
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from tilewise.record import folder_of, read_json, write_json
from tilewise.versions import versions

if TYPE_CHECKING:
    from tilewise.plans import Plan
    from tilewise.result import Result
    from tilewise.task import Job

FILE = "provenance.json"
"""In the ledger's folder; the output's group tells where it is."""

PACKAGES = ("zarr", "numpy", "dask", "distributed")
"""That pixels go through, beside those of which ``tilewise.versions`` knows."""

RUNS = 100
"""Runs over one output that are told, the latest ones."""


def keep_provenance(job: Job, result: Result, *, seconds: float, idle: bool) -> None:
    """Write down where an output comes from, as far as it has come; the runs that made it are added up.

    Args:
        job: what was done.
        result: how it went.
        seconds: what this run took.
        idle: it had nothing to do, and is told only if no other is.
    """
    folder = folder_of(result.output)
    if idle and folder.holds(FILE):
        return
    ended = dt.datetime.now(dt.UTC)
    started = ended - dt.timedelta(seconds=seconds)
    one = {
        "started": started.isoformat(timespec="seconds"),
        "ended": ended.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "state": result.state,
        "host": platform.node(),
    }
    write_json(folder, FILE, {**_tell(job.plan, result, job.device), "runs": [*_runs(folder), one][-RUNS:]})


def _tell(plan: Plan, result: Result, device: str) -> dict[str, Any]:
    model, told = plan.model, result.to_json()
    return {
        "model": {
            "name": model.name,
            "sha256": model.sha256,
            "path": model.path,
            "outputs": [product.name for product in plan.recipe.products],
            "verdict": plan.verdict,
            "reason": plan.reason,
        },
        "image": {"path": plan.image.path, "level": plan.image.level, "fingerprint": plan.image.fingerprint},
        "settings": {setting.name: {"value": setting.value, "from": setting.origin} for setting in plan.settings},
        "statistics": read_json(folder_of(result.output), "statistics.json"),
        "versions": {
            **asdict(versions()),
            **{name: _version(name) for name in PACKAGES},
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        "device": device,
        "providers": result.providers,
        "ledger": {name: told[name] for name in told if name not in {"output", "providers", "failures"}},
        "notes": list(plan.notes),
    }


def _runs(folder: Any) -> list[Any]:
    try:
        found = (read_json(folder, FILE) or {}).get("runs", [])
    except (ValueError, AttributeError):
        return []
    return found if isinstance(found, list) else []


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
