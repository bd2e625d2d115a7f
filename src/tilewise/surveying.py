"""Statistics of the whole image: passes over its boxes on the workers, merged as they come, in any order."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from tilewise import stats
from tilewise.errors import StoppedError, explain
from tilewise.events import Advanced, Ended, Started, tell
from tilewise.task import survey_block, survey_boxes
from tilewise.wave import drive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client

    from tilewise.events import Observer
    from tilewise.stats import Partial, State, Statistics
    from tilewise.task import Job
    from tilewise.wave import Landed

TOGETHER = 64
"""Partials merged at once: each merge copies what was there before."""


def survey(client: Client, job: Job, observers: tuple[Observer, ...]) -> Statistics:
    """Take the statistics that a job's normalization needs.

    Raises:
        StoppedError: a part of the image could not be read.
    """
    made = job.plan
    request = stats.request_for(made.recipe.normalization, made.image.dtype)
    boxes = survey_boxes(made).total
    total = boxes * request.passes
    tell(observers, Started("statistics", total, 0, made.image_pixels * request.passes // total))
    begin, state = time.monotonic(), stats.start(request)
    for number in range(request.passes):
        state = stats.advance(request, state, _merge(_pass(client, job, state, boxes, number * boxes, observers)))
    tell(observers, Ended("statistics", time.monotonic() - begin))
    return stats.finish(request, state)


def _pass(
    client: Client, job: Job, state: State, boxes: int, before: int, observers: tuple[Observer, ...]
) -> Iterator[Partial]:
    wave = drive(client, survey_block, "survey", range(boxes), (job.run, state))
    with closing(wave):
        for done, landed in enumerate(wave, before + 1):
            yield _result(landed)
            tell(observers, Advanced("statistics", done, 0, f"box {landed.number}"))


def _result(landed: Landed) -> Partial:
    if landed.error is not None:
        raise StoppedError(f"statistics of the image: {explain(landed.error)}") from landed.error
    partial: Partial = landed.result
    return partial


def _merge(partials: Iterator[Partial]) -> Partial:
    merged, waiting = stats.Partial(), list[stats.Partial]()
    for partial in partials:
        waiting.append(partial)
        if len(waiting) == TOGETHER:
            merged, waiting = stats.merge(merged, *waiting), []
    return stats.merge(merged, *waiting)
