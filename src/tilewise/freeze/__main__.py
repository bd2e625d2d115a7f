"""The child that rewrites: one request as JSON on standard input, one answer on the last line of standard output."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tilewise.errors import TilewiseError
from tilewise.freeze.step import take_step
from tilewise.norms import Norms


def main() -> int:
    """Answer one request."""
    request = json.load(sys.stdin)
    try:
        answer = answer_request(request)
    except TilewiseError as error:
        answer = {"error": {"kind": type(error).__name__, "got": error.got, "expected": error.expected, "do": error.do}}
    except MemoryError:
        answer = {"memory": True}
    print(json.dumps(answer))
    return 0


def answer_request(request: dict[str, Any]) -> dict[str, Any]:
    """Take one step and write its graph."""
    known = Norms.from_json(request["known"]).rows
    told, content = take_step(Path(request["path"]).read_bytes(), request["image"], request["shapes"], known)
    Path(request["out"]).write_bytes(content)
    return told


if __name__ == "__main__":
    sys.exit(main())
