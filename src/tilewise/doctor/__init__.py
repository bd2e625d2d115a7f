"""What this machine can do: tried, not guessed, with what to type where something does not work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tilewise.doctor.finding import Finding
from tilewise.doctor.gpu import examine_gpus
from tilewise.doctor.machine import examine_machine
from tilewise.doctor.packages import examine_packages
from tilewise.doctor.runtime import examine_runtime
from tilewise.doctor.scheduler import examine_scheduler

__all__ = ["Finding", "Health", "examine"]

MARKS = {"good": "ok", "absent": "-", "weak": "!", "bad": "BAD"}
"""What stands in front of a line."""


@dataclass(frozen=True, slots=True)
class Health:
    """All that was looked at."""

    findings: tuple[Finding, ...]
    """One thing each."""

    @property
    def works(self) -> bool:
        """True if nothing keeps a run from starting."""
        return all(finding.state != "bad" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {"works": self.works, "findings": [finding.to_json() for finding in self.findings]}

    def __repr__(self) -> str:
        width = max(len(finding.name) for finding in self.findings)
        lines = []
        for finding in self.findings:
            lines.append(f"{MARKS[finding.state]:>3}  {finding.name:<{width}}  {finding.found}")
            if finding.do:
                lines.append(f"{'':>3}  {'':<{width}}  -> {finding.do}")
        return "\n".join(lines)


def examine(*, device: str = "auto", scheduler: str | None = None) -> Health:
    """Look at everything that a run needs; takes some seconds.

    Args:
        device: one that must work, or auto.
        scheduler: address of a Dask scheduler to look at, too.
    """
    found = [
        *examine_machine(),
        *examine_packages(),
        *examine_runtime(device),
        *examine_gpus(wanted=device.startswith("cuda")),
    ]
    if scheduler is not None:
        found += examine_scheduler(scheduler)
    return Health(tuple(found))
