"""How a job reaches workers: once each, also those that come late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distributed import WorkerPlugin

from tilewise.task import Job, dismiss, enlist

if TYPE_CHECKING:
    from distributed import Worker


class Enlist(WorkerPlugin):  # type: ignore[misc]
    """Makes a job known on every worker for as long as the plugin is registered."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def setup(self, worker: Worker) -> None:  # noqa: ARG002 the plugin's protocol
        """Called on the worker."""
        enlist(self.job)

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002 the plugin's protocol
        """Called on the worker when the run is over or given up."""
        dismiss(self.job.run)
