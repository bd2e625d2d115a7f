"""A bounded wave of tasks on a Dask client: as many in flight as keep the workers busy, however many there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from distributed import Client, Future

ATTEMPTS = 3
"""Times that a task is tried before it counts as failed."""

AHEAD = 2
"""Tasks handed out per thread: one that runs, one that waits at the worker."""


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of one task."""

    number: int
    """Which."""
    result: Any
    """What it gave, or None."""
    error: BaseException | None
    """Why it failed at the last attempt, or None."""
    attempts: int
    """How often it was tried."""


def drive(
    client: Client,
    work: Callable[..., Any],
    name: str | Callable[[int], str],
    numbers: Iterable[int],
    arguments: tuple[Any, ...],
    *,
    attempts: int = ATTEMPTS,
) -> Generator[Landed]:
    """Call ``work(arguments[0], number, *arguments[1:])`` on the workers for each number; landed in any order.

    Args:
        client: where.
        work: an importable function; its arguments travel with every task and must be small.
        name: what the dashboard calls the tasks; of each number if they differ.
        numbers: taken one by one, as workers come free; asked again after each that landed.
        arguments: the first stands in front of the number, the others behind it.
        attempts: how often a number is tried before its error is given back.
    """
    from distributed import as_completed

    waiting = iter(numbers)
    flying: dict[str, tuple[int, int]] = {}

    def send(number: int, attempt: int) -> Future:
        called = name if isinstance(name, str) else name(number)
        key = f"{called}-{arguments[0]}-{number}-{attempt}"
        flying[key] = (number, attempt)
        return client.submit(work, arguments[0], number, *arguments[1:], key=key, pure=False)

    def fill() -> list[Future]:
        room = max(2, AHEAD * sum(client.nthreads().values())) - len(flying)
        return [send(number, 1) for _, number in zip(range(room), waiting, strict=False)]

    pool = as_completed(fill(), loop=client.loop)
    try:
        for future in pool:
            number, attempt = flying.pop(future.key)
            error = _error(future)
            if error is not None and attempt < attempts and future.status == "error":
                pool.add(send(number, attempt + 1))
            else:
                yield Landed(number, None if error else future.result(), error, attempt)
            future.release()
            for more in fill():
                pool.add(more)
    finally:
        client.cancel(list(pool.futures))


def _error(future: Future) -> BaseException | None:
    if future.status == "finished":
        return None
    if future.status == "cancelled":
        return ConnectionError("the scheduler is gone")
    error = future.exception()
    return error if isinstance(error, BaseException) else RuntimeError(str(error))
