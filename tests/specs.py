"""Specs of images and models that exist only as facts, for tests of what is decided from them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tilewise.lazy import describe
from tilewise.spec import Certificate, ModelSpec, Tensor

if TYPE_CHECKING:
    from tilewise.openers.spec import ImageSpec


class Shaped:
    """As much of a Dask array as its description needs."""

    def __init__(self, shape: tuple[int, ...], dtype: str, chunks: tuple[int, ...]) -> None:
        import numpy as np

        self.shape, self.dtype, self.chunksize, self.ndim = shape, np.dtype(dtype), chunks, len(shape)


def image_of(
    axes: str, shape: tuple[int, ...], dtype: str = "uint8", chunks: tuple[int, ...] | None = None
) -> ImageSpec:
    """An image of this shape, in chunks of at most 512."""
    return describe(Shaped(shape, dtype, chunks or tuple(min(n, 512) for n in shape)), axes)  # type: ignore[arg-type]


def model_of(
    *, ndim: int = 2, channels: int = 1, multiple: int = 8, reach: int | None = 20, **changes: Any
) -> ModelSpec:
    """A local model that takes any multiple, unless changed."""
    layout = "NC" + "DHW"[-ndim:]
    port = Tensor("x", "float32", (None, channels, *(None,) * ndim))
    bound = None if reach is None else (reach,) * ndim
    spec = ModelSpec(
        path="/model.onnx",
        name="model",
        sha256="0" * 64,
        input_name="x",
        output_name="y",
        inputs=(port,),
        outputs=(port,),
        constants=(),
        layout=layout,
        output_layout=layout,
        spatial_ndim=ndim,
        in_channels=channels,
        out_channels=1,
        dtype="float32",
        out_dtype="float32",
        fixed_size=None,
        declared_size=None,
        fixed_batch=None,
        multiple=(multiple,) * ndim,
        remainder=(0,) * ndim,
        before=bound,
        after=bound,
        lead=(0,) * ndim,
        trail=(0,) * ndim,
        scale=(Fraction(1),) * ndim,
        verdict="exact" if reach is not None else "dependent",
        reason="as told",
        activation_bytes=200.0,
        weight_bytes=1_000_000,
        certificate=Certificate("passed", 0.0, None, 1, "", "", "", ""),
    )
    return replace(spec, **changes)
