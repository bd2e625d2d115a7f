"""One operator as the walk meets it: its attributes, and what is known of its inputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tilewise.receptive.place import MixedError

if TYPE_CHECKING:
    import numpy as np

    from tilewise.operators import Op, Trace
    from tilewise.receptive.place import State

Kind = Literal["rounding", "dependent", "unproven"]
"""What a note means for exactness."""


@dataclass(frozen=True, slots=True)
class Note:
    """Why a model is not simply exact."""

    kind: Kind
    """Off by rounding; depends on more than a neighbourhood; or not understood."""
    node: str
    """The operator, and its name in the graph."""
    why: str
    """What it does."""

    def __str__(self) -> str:
        return f"{self.node}: {self.why}"


@dataclass(slots=True)
class Visit:
    """An operator with what flows in."""

    op: Op
    """The operator."""
    states: tuple[State | None, ...]
    """Per input; None if it does not depend on pixels or is left out."""
    trace: Trace
    """Shapes and values."""
    opset: int
    """Version of the standard operators."""
    notes: list[Note] = field(default_factory=list)
    """What was found; grows."""

    def note(self, kind: Kind, why: str) -> None:
        """Write down why this operator is not simply local."""
        self.notes.append(Note(kind, f"{self.op.kind} '{self.op.name}'", why))

    def state(self, index: int = 0) -> State:
        """An input that must depend on pixels."""
        found = self.states[index] if index < len(self.states) else None
        if found is None:
            raise MixedError(f"its input {index} does not depend on the image")
        return found

    def value(self, index: int) -> np.ndarray | None:
        """A constant input, None if it is left out.

        Raises:
            MixedError: it depends on pixels.
        """
        if index >= len(self.op.inputs) or not self.op.inputs[index]:
            return None
        found = self.trace.values.get(self.op.inputs[index])
        if found is None:
            raise MixedError(f"its input '{self.op.inputs[index]}' depends on the image's pixels")
        return found

    def numbers(self, attribute: str, index: int | None = None) -> list[int] | None:
        """Integers from an attribute, or, in newer opsets, from an input."""
        if attribute in self.op.attributes:
            return [int(n) for n in self.op.attributes[attribute]]
        found = self.value(index) if index is not None else None
        return None if found is None else [int(n) for n in found.ravel()]

    def get(self, attribute: str, default: Any = None) -> Any:
        """An attribute."""
        return self.op.attributes.get(attribute, default)

    def shape(self, index: int = 0) -> tuple[int, ...]:
        """Shape of an input."""
        return self.trace.shapes[self.op.inputs[index]]

    def made(self, index: int = 0) -> tuple[int, ...]:
        """Shape of an output."""
        return self.trace.shapes[self.op.outputs[index]]
