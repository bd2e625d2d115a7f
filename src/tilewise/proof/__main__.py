"""The child: one request as JSON on standard input, one answer as JSON on the last line of standard output."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tilewise.errors import TilewiseError
from tilewise.settings import Graph


def main() -> int:
    """Answer one request."""
    request = json.load(sys.stdin)
    _limit(request["memory"])
    try:
        answer = answer_request(request)
    except TilewiseError as error:
        answer = {"error": {"kind": type(error).__name__, "got": error.got, "expected": error.expected, "do": error.do}}
    except MemoryError:
        answer = {"memory": True}
    print(json.dumps(answer))
    return 0


def _limit(memory: int) -> None:
    """Bound the address space before anything is parsed."""
    try:
        import resource
    except ImportError:  # not on Windows: the parent's deadline remains
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def answer_request(request: dict[str, Any]) -> dict[str, Any]:
    """Inspect the model and write the graph that workers run."""
    from tilewise.descriptions.metadata import read_metadata
    from tilewise.descriptions.table import keep as keep_metadata
    from tilewise.descriptions.table import read_within
    from tilewise.proof.examine import examine
    from tilewise.proof.prepared import keep
    from tilewise.proof.runner import Clock

    graph = request["graph"]
    graph["inputs"] = tuple((str(name), float(value)) for name, value in graph["inputs"])
    clock = Clock(time.monotonic() + request["seconds"])
    path = Path(request["path"])
    metadata = read_metadata(path)
    # what the model says of its own axes stands where nobody says otherwise
    said = read_within(metadata).said() if graph["contract"] == "follow" else {}
    told = {name: said.get(name) for name in ("layout", "output_layout", "output_name") if graph[name] is None}
    found = examine(path, Graph(**{**graph, **told}), clock)
    digest = keep(found.prepared, Path(request["prepared"]))
    spec = replace(found.spec, metadata=keep_metadata(metadata))
    return {"spec": spec.to_json(), "external": list(found.external), "prepared": digest}


if __name__ == "__main__":
    sys.exit(main())
