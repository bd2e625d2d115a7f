"""Where results go: OME-Zarr images, a shard a block, set up once and written blindly, with their coarser levels."""

from __future__ import annotations

from tilewise.sink.array import STRENGTH, check, read, write, write_coarser
from tilewise.sink.group import create, finish, validate
from tilewise.sink.spec import OutputSpec

__all__ = ["STRENGTH", "OutputSpec", "check", "create", "finish", "read", "validate", "write", "write_coarser"]
