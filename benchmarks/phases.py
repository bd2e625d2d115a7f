"""A run with a look at the clock between its phases, in a process of its own; startup.py starts it.

python phases.py BEGIN IMAGE MODEL OUT      BEGIN is the time at which the process was started
"""

from __future__ import annotations

import json
import sys
import time


def go_through_phases(begin: float, image: str, model: str, out: str) -> None:
    """What ``tilewise run`` does, with a look at the clock between; in a process of its own."""
    marks = [("interpreter", time.time())]
    import tilewise.cli  # noqa: F401

    marks.append(("import the command line", time.time()))
    from tilewise.engine import execute
    from tilewise.events import Ended, Started
    from tilewise.model import Model
    from tilewise.planning import plan

    marks.append(("import the engine", time.time()))
    known = Model(model)
    known.spec  # noqa: B018 a cached property: this inspects
    marks.append(("know the model", time.time()))
    made = plan(image, known, out)
    marks.append(("plan", time.time()))

    def observe(event: object) -> None:
        if getattr(event, "text", "").startswith("dashboard"):
            marks.append(("start cluster and client", time.time()))
        if isinstance(event, Started) and event.phase == "blocks":
            marks.append(("open the session, set up the output", time.time()))
        if isinstance(event, Ended) and event.phase == "blocks":
            marks.append(("blocks", time.time()))

    execute(made, known, (observe,))
    marks.append(("close", time.time()))
    ends = [begin, *[moment for _, moment in marks]]
    print(json.dumps({name: moment - before for (name, moment), before in zip(marks, ends, strict=False)}))


if __name__ == "__main__":
    go_through_phases(float(sys.argv[1]), *sys.argv[2:])
