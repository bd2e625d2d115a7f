"""``demo``: the sample run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tilewise.cli.frame import app, guarded


@app.command()
@guarded
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where image, result and picture go.")] = Path(
        "tilewise-demo"
    ),
) -> None:
    """Build a large sample image, run a model over it, check the result, draw a picture."""
    from tilewise.process import settle

    settle()
    from tilewise.demo import demo as show

    show(folder)
