"""The lazy face: a Dask array or DataArray in, one out, nothing computed."""

from __future__ import annotations

from tilewise.lazy.arrays import describe
from tilewise.lazy.face import predict

__all__ = ["describe", "predict"]
