"""Which output is used, and how its axes lie in the image."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from tilewise import receptive
from tilewise.errors import ModelError
from tilewise.proof.runner import space

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilewise.proof.explore import Explored


@dataclass(frozen=True, slots=True)
class Choice:
    """The output that is used."""

    name: str
    """Its name."""
    layout: str
    """Order of its axes; NC for a vector."""
    reaches: tuple[receptive.Reach, ...]
    """Geometry per spatial axis; empty for a vector."""
    guessed: str
    """Empty, or why the geometry is told from shapes only."""


def choose(explored: Explored, names: Sequence[str], asked: str | None) -> Choice:
    """The first output that is an image, else the first that is a vector.

    Raises:
        ModelError: there is none.
    """
    causes = []
    for reader in (_image, _vector):
        for name in names:
            try:
                found = reader(explored, name, asked)
            except receptive.MixedError as error:
                causes.append(f"'{name}': {error}")
                continue
            if found is not None:
                return found
    shapes = ", ".join(f"'{name}' {list(explored.walk.trace.shapes[name])}" for name in names)
    raise ModelError(
        f"no output is an image or a vector (for an image of {list(explored.sizes)}: {shapes})",
        "an output with the image's axes, or one vector a tile",
        "Choose another with --output-name, or export the model without its last steps.",
    )


def _image(explored: Explored, name: str, asked: str | None) -> Choice | None:
    if name not in explored.walk.states:
        return _guess(explored, name, asked)
    reaches = receptive.read(explored.walk, name)
    if reaches is None:
        return None
    state = explored.walk.states[name]
    letters = [space(explored.layout)[min(receptive.axes_of(p))] if receptive.has_place(p) else "" for p in state]
    return Choice(name, _named(letters, explored, name, asked), reaches, "")


def _named(letters: list[str], explored: Explored, name: str, asked: str | None) -> str:
    """Batch is the first axis that is not space, channels the next."""
    others = [i for i, letter in enumerate(letters) if not letter]
    shape = explored.walk.trace.shapes[name]
    if len(others) > 2:
        raise receptive.MixedError(f"an output of shape {list(shape)} has more axes than batch, channels and space")
    if len(others) == 2:
        letters[others[0]], letters[others[1]] = "N", "C"
    elif others:
        batched = "N" in explored.layout and shape[others[0]] == explored.batch and others[0] == 0
        letters[others[0]] = "N" if batched else "C"
    layout = "".join(letters)
    return _agreed(layout, asked)


def _agreed(layout: str, asked: str | None) -> str:
    if asked is None or asked == layout:
        return layout
    if sorted(asked) != sorted(layout) or space(asked) != space(layout) or _order(asked) != _order(layout):
        raise ModelError(
            f"--output-layout {asked}", f"{layout}, as the graph tells", "Leave --output-layout out, or correct it."
        )
    return asked


def _order(layout: str) -> list[int]:
    return [layout.index(letter) for letter in space(layout)]


def _guess(explored: Explored, name: str, asked: str | None) -> Choice | None:
    """Geometry from the traced shape, where the walk lost the places."""
    shape, sizes = explored.walk.trace.shapes.get(name, ()), explored.sizes
    letters = space(explored.layout)
    layouts = (
        [asked] if asked else [explored.layout, f"NC{letters}", f"N{letters}C", f"N{letters}", f"C{letters}", letters]
    )
    for layout in layouts:
        if len(layout) != len(shape):
            continue
        steps = [Fraction(sizes[i], shape[layout.index(letter)] or 1) for i, letter in enumerate(letters)]
        if all(min(step.numerator, step.denominator) == 1 and max(step, 1 / step) <= 64 for step in steps):
            reaches = tuple(receptive.Reach(step, 0, 0, 0, 0) for step in steps)
            return Choice(name, layout, reaches, "geometry told from shapes only")
    return None


def _vector(explored: Explored, name: str, asked: str | None) -> Choice | None:
    shape = explored.walk.trace.shapes.get(name, ())
    state = explored.walk.states.get(name, ())
    if any(receptive.has_place(parts) for parts in state) or asked not in {None, "NC"}:
        return None
    if name not in explored.walk.states and shape[:1] != (explored.batch,):
        return None
    long = [n for n in shape[1:] if n != 1]
    if len(shape) == 2 or (len(shape) > 2 and len(long) <= 1 and shape[0] == explored.batch):
        return Choice(name, "NC", (), "")
    return None
