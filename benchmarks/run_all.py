"""Every benchmark, one after the other.

    python benchmarks/run_all.py --smallest     each once at its smallest size, under two minutes: what CI runs
    python benchmarks/run_all.py --full         the figures that documents quote, into benchmarks/results/: an hour
    python benchmarks/run_all.py                in between, nothing is kept

Ends with 1 if a benchmark fails: a contender crashes or gives other labels, a worker outgrows its bound, a tiled run
differs from the untiled one. Times never fail, for they depend on the machine; the tables hold them beside their goals.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from typing import TYPE_CHECKING

import conversion
import exactness
import memory
import openers
import pyramid
import slide
import startup
import stores
import throughput
import zoo

if TYPE_CHECKING:
    from collections.abc import Callable

    from layouts import Size

REPEATS: dict[Size, int] = {"smallest": 1, "default": 3, "full": 3}
"""Of throughput."""


def run(size: Size, *, keep: bool) -> list[str]:
    """Names of the benchmarks that failed."""
    benchmarks: dict[str, Callable[[], bool]] = {
        "exactness": lambda: exactness.run(size, keep=keep),
        "conversion": lambda: conversion.run(size, keep=False),
        "zoo": lambda: zoo.run(size, keep=keep),
        "openers": lambda: openers.run(size, keep=keep),
        "stores": lambda: stores.run(size, keep=keep),
        "startup": lambda: startup.run(size, keep=keep),
        "memory": lambda: memory.run(size, keep=keep),
        "pyramid": lambda: pyramid.run(size, keep=keep),
        "slide": lambda: slide.run(size, keep=keep),
        "throughput": lambda: throughput.run(size, repeat=REPEATS[size], keep=keep),
    }
    failed = []
    for name, benchmark in benchmarks.items():
        begin = time.monotonic()
        print(f"\n=== {name}", flush=True)
        try:
            passed = benchmark()
        except Exception:
            traceback.print_exc()
            passed = False
        if not passed:
            failed.append(name)
        print(f"\n{name} {'passed' if passed else 'FAILED'} in {time.monotonic() - begin:.0f} s", flush=True)
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--smallest", action="store_const", const="smallest", dest="size", help="what CI runs")
    sizes.add_argument("--full", action="store_const", const="full", dest="size", help="writes results/")
    asked = parser.parse_args()
    size: Size = asked.size or "default"
    failed = run(size, keep=size == "full")
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
