"""How a job reaches workers: once each, also those that come late."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from distributed import WorkerPlugin

from tilewise.errors import SettingError
from tilewise.task import Job, dismiss, enlist, settle_device

if TYPE_CHECKING:
    from distributed import Client, Worker


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


def hand_out(client: Client, job: Job) -> Job:
    """Give the job to all workers, also to those that come later, and settle the device: one for the whole run."""
    if job.plan.image.opener == "array":
        _require_inside(client)
    client.register_plugin(Enlist(job), name=_name(job))
    device = client.submit(settle_device, job.run, pure=False).result()
    return job if device == job.device else renew(client, replace(job, device=device))


def _require_inside(client: Client) -> None:
    """Refuse workers in other processes, for an image that only this one holds."""
    if any(not address.startswith("inproc://") for address in client.scheduler_info(n_workers=-1)["workers"]):
        raise SettingError(
            "an array in memory, and a Client whose workers are other processes",
            "workers inside this process",
            "Close the Client, save the array as zarr, or use tilewise.predict, which lets Dask move the pixels.",
        )


def renew(client: Client, job: Job) -> Job:
    """The job with more known about it."""
    client.unregister_worker_plugin(name=_name(job))
    client.register_plugin(Enlist(job), name=_name(job))
    return job


def take_back(client: Client, job: Job) -> None:
    """Make all workers forget the job: what still computes then writes nothing."""
    # the cluster may be gone, and the job with it
    with contextlib.suppress(Exception):
        client.unregister_worker_plugin(name=_name(job))


def _name(job: Job) -> str:
    return f"tilewise-{job.run}"
