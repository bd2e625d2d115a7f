"""``doctor``: what this machine can do."""

from __future__ import annotations

from typing import Annotated

import typer

from tilewise.cli.frame import Json, app, guarded, show

Device = Annotated[str, typer.Option("--device", help="A device that must work: cpu, cuda or cuda:1.")]
Scheduler = Annotated[str | None, typer.Option("--scheduler", help="Address of a Dask scheduler to look at, too.")]


@app.command()
@guarded
def doctor(*, device: Device = "auto", scheduler: Scheduler = None, as_json: Json = False) -> None:
    """Say what really works on this machine, and what to type to mend what does not."""
    from tilewise.doctor import examine
    from tilewise.settings import Machine

    Machine(device=device)
    health = examine(device=device, scheduler=scheduler)
    show(health, as_json)
    if not health.works:
        raise typer.Exit(2)
