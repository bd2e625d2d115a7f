"""One graph in one layout, ready to be traced at any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tilewise import receptive, splice
from tilewise.operators import Trace
from tilewise.proof.runner import Clock, Runner, noise, open_graph

if TYPE_CHECKING:
    from onnx import ModelProto

    from tilewise.proof.signature import Port


@dataclass
class Explorer:
    """A graph in one layout, ready to be traced at any size."""

    model: ModelProto
    """The graph."""
    image: Port
    """Its image input."""
    layout: str
    """The layout that is tried."""
    clock: Clock
    """Shared."""
    freed: bool
    """True if sizes are freed."""
    channels: int
    """Tried."""
    batch: int
    """Tried."""

    def __post_init__(self) -> None:
        from onnx import ModelProto

        copy = ModelProto()
        copy.CopyFrom(self.model)
        axes = [i for i, letter in enumerate(self.layout) if letter == "N" or (self.freed and letter in "DHW")]
        splice.free(copy, self.image.name, axes)
        self.plan = splice.expose(copy, self.image.name)
        self.ops = splice.operators(copy)
        self.constants = splice.numbers(copy)
        self.opset = next((o.version for o in copy.opset_import if o.domain in splice.graph.STANDARD), 1)
        session = open_graph(self.plan.model, optimize=False)
        wanted = [*self.plan.shapes.values(), *self.plan.values]
        self.runner = Runner(
            session, self.image.name, self.layout, self.image.dtype, self.channels, self.clock, self.batch, wanted
        )

    def trace(self, sizes: tuple[int, ...]) -> Trace:
        """Run once for all shapes and small values."""
        image = noise((self.batch, self.channels, *sizes), self.image.dtype)
        made = self.runner.run(image)
        count = len(self.plan.shapes)
        shapes = {name: tuple(int(n) for n in m) for name, m in zip(self.plan.shapes, made[:count], strict=True)}
        values: dict[str, np.ndarray] = dict(self.constants)
        values |= {name: np.asarray(m) for name, m in zip(self.plan.values, made[count:], strict=True)}
        shapes |= {name: value.shape for name, value in values.items()}
        shapes[self.image.name] = self.runner.feed(image).shape
        return Trace(sizes, shapes, values)

    def walk(self, sizes: tuple[int, ...]) -> receptive.Walk:
        """Trace and walk."""
        return receptive.walk(self.ops, self.image.name, self.layout, self.trace(sizes), self.opset)
