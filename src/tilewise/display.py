"""Progress for people: a bar on a terminal, plain lines elsewhere. Everything goes to standard error."""

from __future__ import annotations

import atexit
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tilewise.events import Advanced, Ended, Event, Noted, Started

if TYPE_CHECKING:
    from tilewise.events import Observer

LINE_SECONDS = 5.0
"""How often a plain line is printed."""


@dataclass(slots=True)
class Pace:
    """Rate and time left of a phase."""

    total: int
    """Units in all."""
    ready: int
    """Units that were done before."""
    pixels: int
    """Pixels a unit."""
    begin: float = field(default_factory=time.monotonic)
    """When the phase began."""

    def describe(self, done: int, failed: int) -> str:
        """Share, rate and time left, in one line."""
        now = done + failed - self.ready
        seconds = max(time.monotonic() - self.begin, 1e-9)
        rate = now * self.pixels / seconds / 1e6
        left = (self.total - done - failed) * seconds / now if now else 0.0
        text = f"{done:,}/{self.total:,}  {rate:.1f} Mpx/s"
        if done + failed < self.total and now:
            text += f"  {show_seconds(left)} left"
        return text + (f"  {failed:,} failed" if failed else "")


def show_seconds(seconds: float) -> str:
    """Seconds for reading: 12 s, 3:05 min, 2:10 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def watch(*, verbose: bool = False, quiet: bool = False) -> Observer:
    """An observer that prints: rich on a terminal, lines elsewhere, errors of blocks even if quiet."""
    if quiet:
        return _Quiet()
    if sys.stderr.isatty() and not verbose:
        return _Bar()
    return _Lines(verbose)


def say(text: str) -> None:
    """One line to standard error."""
    print(text, file=sys.stderr, flush=True)


class _Quiet:
    def __call__(self, event: Event) -> None:
        """Says only what went wrong."""
        if isinstance(event, Advanced) and " failed: " in event.detail:
            say(event.detail)


@dataclass(slots=True)
class _Lines:
    verbose: bool
    pace: Pace | None = None
    printed: float = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Noted):
            say(event.text)
        elif isinstance(event, Started):
            self.pace = Pace(event.total, event.done, event.pixels)
            self.printed = time.monotonic()
            say(f"{event.phase}: {event.done:,} of {event.total:,} done before")
        elif isinstance(event, Advanced) and self.pace is not None:
            wanted = self.verbose or " failed: " in event.detail
            if wanted:
                say(event.detail)
            if time.monotonic() - self.printed > LINE_SECONDS:
                self.printed = time.monotonic()
                say(f"{event.phase}: {self.pace.describe(event.done, event.failed)}")
        elif isinstance(event, Ended):
            say(f"{event.phase}: {show_seconds(event.seconds)}")


@dataclass(slots=True)
class _Bar:
    progress: Any = None
    task: Any = None
    pace: Pace | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Noted):
            self._say(event.text)
        elif isinstance(event, Started):
            self._start(event)
        elif isinstance(event, Advanced) and self.pace is not None:
            if " failed: " in event.detail:
                self._say(event.detail)
            pace = self.pace.describe(event.done, event.failed)
            self.progress.update(self.task, completed=event.done + event.failed, pace=pace)
        elif isinstance(event, Ended):
            self.progress.stop()

    def _say(self, text: str) -> None:
        """One line above the bar, as it is: brackets are no markup here."""
        if self.progress is None:
            say(text)
        else:
            self.progress.console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def _start(self, event: Started) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self.pace = Pace(event.total, event.done, event.pixels)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[pace]}"),
        )
        self.progress = Progress(*columns, console=Console(stderr=True))
        self.task = self.progress.add_task(event.phase, total=event.total, completed=event.done, pace="")
        self.progress.start()
        # an interrupted run must not leave the terminal without its cursor; stopping twice does no harm
        atexit.register(self.progress.stop)
