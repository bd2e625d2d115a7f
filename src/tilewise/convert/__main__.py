"""The child: one request as JSON on standard input; on standard output a line a step, and the answer on the last.

Sources are opened by frameworks of a million lines. That happens here, and ends with this process.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewise.errors import TilewiseError

if TYPE_CHECKING:
    from typing import TextIO


def main() -> int:
    """Answer one request."""
    request = json.load(sys.stdin)
    voice = _own_voice()

    def say(step: str) -> None:
        print(json.dumps({"step": step}), file=voice, flush=True)

    try:
        _limit(request["memory"])
        answer = _answer(request, say)
    except TilewiseError as error:
        answer = {"error": {"kind": type(error).__name__, "got": error.got, "expected": error.expected, "do": error.do}}
    except MemoryError:
        answer = {"memory": True}
    print(json.dumps(answer), file=voice, flush=True)
    return 0


def _own_voice() -> TextIO:
    """Standard output for our words alone: what frameworks print there goes to standard error."""
    voice = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return voice


def _limit(memory: int) -> None:
    """Bound the address space before anything is parsed."""
    try:
        import resource
    except ImportError:  # not on Windows: the parent's deadline remains
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (memory if hard == resource.RLIM_INFINITY else min(memory, hard), hard))


def _answer(request: dict[str, Any], say: Any) -> dict[str, Any]:
    from tilewise.convert.original import Request
    from tilewise.convert.work import work

    weights, shape = request["weights"], request["shape"]
    asked = Request(
        path=Path(request["path"]),
        kind=request["kind"],
        weights=Path(weights) if weights else None,
        shape=tuple(shape) if shape else None,
        opset=request["opset"] or 0,
        trust=request["trust"],
        scratch=Path(request["scratch"]),
        data=request["data"],
    )
    return work(asked, wanted_ir=request["ir"], tolerance=request["tolerance"], say=say)


if __name__ == "__main__":
    sys.exit(main())
