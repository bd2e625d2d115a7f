"""A Dask scheduler: whether it answers, who works for it, and whether they have what this process has."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from tilewise.cluster import connect
from tilewise.doctor.finding import Finding, State
from tilewise.errors import TilewiseError

if TYPE_CHECKING:
    from distributed import Client

COMPARED = ("tilewise", "onnxruntime", "onnxruntime-gpu", "zarr", "numpy", "dask", "distributed")
"""Packages that client and workers should have in the same version: results or messages may differ otherwise."""


def examine_scheduler(address: str) -> list[Finding]:
    """The scheduler at an address and its workers."""
    try:
        with connect(scheduler=address, workers=0, threads=1, memory=0) as client:
            return [_greet(client, address), *_compare(client)]
    except TilewiseError as error:
        return [Finding("scheduler", "bad", error.got, error.do)]


def list_versions() -> dict[str, str]:
    """Versions in this process; those that are not installed are empty."""
    found = {}
    for name in COMPARED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def _greet(client: Client, address: str) -> Finding:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    threads = sum(worker["nthreads"] for worker in workers)
    words = f"{address} answers, with {len(workers)} workers and {threads} threads"
    if not address.startswith("tls"):
        return Finding("scheduler", "good", f"{words}, without TLS: whoever reaches it can run code there")
    return Finding("scheduler", "good", words)


def _compare(client: Client) -> list[Finding]:
    """A finding for each package that is not the same everywhere."""
    here = list_versions()
    found = []
    try:
        there = client.run(list_versions, on_error="return")
    except Exception as error:
        return [Finding("workers", "bad", f"they do not answer ({type(error).__name__})", "Restart them.")]
    for name, own in here.items():
        others: dict[str, list[str]] = {}
        for worker, versions in there.items():
            given = versions.get(name, "") if isinstance(versions, dict) else "no tilewise"
            others.setdefault(given, []).append(worker)
        for given, workers in others.items():
            if given != own:
                words = f"{name} is {own or 'absent'} here and {given or 'absent'} on {', '.join(workers[:3])}"
                do = f"Install the same on all, for example: pip install '{name}=={own}'" if own else f"Remove {name}."
                state: State = "bad" if name == "tilewise" else "weak"
                found.append(Finding("workers", state, words + (" and others" if len(workers) > 3 else ""), do))
    return found or [Finding("workers", "good", "the same versions as here")]
