"""Running a graph on noise: images in and out with axes (channels, space), whatever the model's own layout."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tilewise.errors import ModelError
from tilewise.session import Session, SessionOptions, first_line, open_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import ModelProto


@dataclass(frozen=True, slots=True)
class Noise:
    """What random pixels look like."""

    gain: float = 1.0
    """Their standard deviation."""
    grain: int = 1
    """Pixels a side that are nearly alike."""


NOISES = (Noise(), Noise(0.1), Noise(10.0), Noise(1.0, 8), Noise(100.0), Noise(100.0, 8))
"""Tried in this order."""
LARGEST = 2**31
"""Bytes that no message of protobuf reaches."""
SHORT = ("bad_alloc", "bad allocation", "Failed to allocate memory", "bfc_arena")
"""What the allocators below onnxruntime say where memory ends."""
LIVELY = 0.3
"""Distinct values of the output, as a part of all, with which a search for better noise ends."""


class RunError(Exception):
    """The model does not take an input of this shape."""


class ShortError(RunError, MemoryError):
    """It might, with more memory: nothing is told of the model."""


class LateError(ModelError):
    """A run did not end in time: nothing is told of the model."""


@dataclass(slots=True)
class Clock:
    """Seconds left for all the work, and how fast the model is."""

    end: float
    """On the monotonic clock."""
    pixels: float = 0.0
    """Run so far."""
    seconds: float = 0.0
    """Taken so far."""

    def left(self) -> float:
        """Seconds left."""
        return self.end - time.monotonic()

    def cost(self, pixels: float) -> float:
        """Seconds that so many pixels will take."""
        return pixels * self.seconds / self.pixels if self.pixels else 0.0


@dataclass(slots=True)
class Runner:
    """An open graph with one image input."""

    session: Session
    """The graph."""
    image: str
    """Name of the input."""
    layout: str
    """Of the input."""
    dtype: str
    """Of the input."""
    channels: int
    """Of the input."""
    clock: Clock
    """Shared by all runners."""
    batch: int = 1
    """What the graph takes at least."""
    outputs: Sequence[str] | None = None
    """Which outputs; all if None."""
    counted: bool = True
    """True if its runs tell how fast the model is."""
    kind: Noise = Noise()
    """What its probes look like."""

    def feed(self, image: np.ndarray) -> np.ndarray:
        """Axes (batch, channels, space) in the model's order."""
        order = [i for i, letter in enumerate("NC" + space(self.layout)) if letter in self.layout]
        kept = image[tuple(0 if letter not in self.layout else slice(None) for letter in "NC")]
        letters = [("NC" + space(self.layout))[i] for i in order]
        return np.ascontiguousarray(kept.transpose([letters.index(letter) for letter in self.layout]))

    def run(self, image: np.ndarray) -> list[np.ndarray]:
        """Run on (channels, space) or (batch, channels, space).

        Raises:
            RunError: the runtime refuses it.
        """
        if image.ndim == len(space(self.layout)) + 1:
            image = np.broadcast_to(image, (self.batch, *image.shape))
        feed = self.feed(image)
        begin = time.monotonic()
        try:
            made = self.session.run({self.image: feed}, self.outputs, seconds=max(self.clock.left(), 0.1))
        except TimeoutError as error:
            raise LateError(
                f"the model did not end on an image of {image.shape[2:]} in time",
                "a model that runs within the inspection's deadline",
                "Check that it ends, or inspect it on a faster machine.",
            ) from error
        except Exception as error:
            raise (ShortError if is_short(error) else RunError)(first_line(str(error))) from error
        if self.counted:
            self.clock.pixels += float(np.prod(image.shape[2:])) * len(image)
            self.clock.seconds += time.monotonic() - begin
        return made

    def noise(self, sizes: Sequence[int], seed: int = 0) -> np.ndarray:
        """A random image (channels, space)."""
        return noise((self.channels, *sizes), self.dtype, seed, self.kind)

    def enliven(self, sizes: Sequence[int]) -> bool:
        """Find noise on which the output varies: on a dead output every comparison would pass.

        Returns:
            False if it is constant on all that was tried.
        """
        best, varied = 0.0, False
        for kind in NOISES:
            made = self.run(noise((self.channels, *sizes), self.dtype, 1, kind))[0]
            values = len(np.unique(made)) if np.isfinite(made).all() else 0
            lively, varied = values / made.size, varied or values > 1
            if lively > best:
                best, self.kind = lively, kind
            if best > LIVELY:
                break
        return varied


def is_short(error: BaseException) -> bool:
    """True if it tells of too little memory."""
    return isinstance(error, MemoryError) or any(word in str(error) for word in SHORT)


def space(layout: str) -> str:
    """Its spatial letters in order."""
    return "".join(letter for letter in "DHW" if letter in layout)


def noise(shape: Sequence[int], dtype: str, seed: int = 0, kind: Noise = Noise()) -> np.ndarray:
    """Pixels that leave no branch of a network untouched."""
    rng = np.random.default_rng(seed)
    number = np.dtype(dtype)
    if number.kind != "f":
        info = np.iinfo(number)
        return rng.integers(max(info.min, -128), min(info.max, 255), shape, endpoint=True).astype(number)
    if kind.grain == 1:
        made = rng.standard_normal(shape, np.float32)
    else:
        coarse = rng.standard_normal((*shape[:-2], *(-(-n // kind.grain) for n in shape[-2:])), np.float32)
        made = np.repeat(np.repeat(coarse, kind.grain, -2), kind.grain, -1)[..., : shape[-2], : shape[-1]]
        made = made + 0.1 * rng.standard_normal(shape, np.float32)
    return (made * np.float32(kind.gain)).astype(number)


def open_graph(model: ModelProto, *, optimize: bool = True) -> Session:
    """A session of a graph in memory, as workers open it."""
    return open_session(serialized(model), SessionOptions(optimize=optimize))


def serialized(model: ModelProto) -> bytes:
    """Bytes of a graph.

    Raises:
        ModelError: it is larger than 2 GB.
    """
    try:
        return bytes(model.SerializeToString())
    except Exception as error:
        if is_short(error) or model.ByteSize() < LARGEST:
            raise ShortError(f"no memory for a copy of the model ({error})") from error
        raise ModelError("the model is larger than 2 GB", "a smaller one", "Use weights in half precision.") from error
