"""Where it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tilewise.errors import SettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where it runs."""

    device: str = "auto"
    """auto, cpu, cuda, or cuda:1."""
    workers: int | Literal["auto"] = "auto"
    """auto is one worker inside this process on a CPU; a number starts that many subprocesses."""
    threads: int | Literal["auto"] = "auto"
    """Blocks at once in a worker; on a CPU each runs the model in one thread of its own."""
    memory: int | Literal["auto"] = "auto"
    """Bytes a worker may use."""
    scheduler: str | None = None
    """Address of a running Dask scheduler."""

    def __post_init__(self) -> None:
        if self.device not in {"auto", "cpu", "cuda"} and not (
            self.device.startswith("cuda:") and self.device[5:].isdigit()
        ):
            raise SettingError(f"--device {self.device}", "auto, cpu, cuda or cuda:N", "Name one, or use auto.")
        for option, value in (("--workers", self.workers), ("--threads", self.threads)):
            if isinstance(value, int) and value < 1:
                raise SettingError(f"{option} {value}", "at least 1", f"Give {option} auto or a number.")
        if self.scheduler is not None and self.workers != "auto":
            raise SettingError(
                f"--workers {self.workers} with --scheduler",
                "one of the two (a running scheduler has its own workers)",
                "Leave one of them out.",
            )
