"""A look at what zarr gets from an object store, before it is decoded."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOK: ContextVar[Callable[[str, Any, bool], None] | None] = ContextVar("LOOK", default=None)
"""Told of each object that zarr asks for below the current call: its key, its bytes or None if it is not there, and
whether all of it was asked for."""


@contextlib.contextmanager
def watched(look: Callable[[str, Any, bool], None]) -> Iterator[None]:
    """Have a function told of each object that zarr asks for meanwhile, on behalf of this thread."""
    token = LOOK.set(look)
    try:
        yield
    finally:
        LOOK.reset(token)
