"""Which outputs are used, and how the axes of each lie in the image."""

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

COARSEST = 64
"""Input pixels an output index where the geometry is told from shapes only."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An output that is used."""

    name: str
    """Its name."""
    layout: str
    """Order of its axes; NC for a vector."""
    reaches: tuple[receptive.Reach, ...]
    """Geometry per spatial axis; empty for a vector."""
    guessed: str
    """Empty, or why the geometry is told from shapes only."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The outputs that are written, and those that are not."""

    choices: tuple[Choice, ...]
    """All images, or all vectors if there is no image; one at least, in the graph's order."""
    left_out: tuple[tuple[str, str], ...]
    """The others: name, and why."""


def choose(explored: Explored, names: Sequence[str], asked: str | None) -> Selection:
    """All outputs that are images, else all that are vectors.

    Raises:
        ModelError: there is none, or they do not lie on one grid.
    """
    images: list[Choice] = []
    vectors: list[Choice] = []
    why: dict[str, str] = {}
    for name in names:
        try:
            found = _image(explored, name, asked)
        except receptive.MixedError as error:
            found, why[name] = None, f"{_shapeless(explored, name)} ({error})"
        if found is not None:
            images.append(found)
            continue
        found = _vector(explored, name, asked)
        if found is not None:
            vectors.append(found)
        why[name] = "one vector a tile beside an image" if found else why.get(name) or _shapeless(explored, name)
    chosen = images or vectors
    if not chosen:
        causes = "; ".join(f"'{name}': {why[name]}" for name in names)
        raise ModelError(
            f"no output is an image or a vector ({causes})",
            "an output with the image's axes, or one vector a tile",
            "Choose another with --output-name, or export the model without its last steps.",
        )
    _check_grid(chosen)
    kept = {choice.name for choice in chosen}
    return Selection(tuple(chosen), tuple((name, why[name]) for name in names if name not in kept))


def _check_grid(choices: Sequence[Choice]) -> None:
    """Tiles are placed alike for all outputs, so all have to lose the same margins."""
    first, *others = ([(reach.lead, reach.trail) for reach in choice.reaches] for choice in choices)
    for choice, margins in zip(choices[1:], others, strict=True):
        if margins != first:
            raise ModelError(
                f"the outputs '{choices[0].name}' and '{choice.name}' lose other margins "
                f"({first} and {margins} pixels)",
                "outputs that share one grid",
                f"Choose one with --output-name, for example --output-name {choices[0].name}.",
            )


def _shapeless(explored: Explored, name: str) -> str:
    lost = explored.walk.lost.get(name)
    cause = f", made by {lost.node}" if lost else ""
    return f"a list or table of shape {list(explored.walk.trace.shapes.get(name, ()))}{cause}"


def _image(explored: Explored, name: str, asked: str | None) -> Choice | None:
    if name not in explored.walk.states:
        return _guess(explored, name, asked)
    state = explored.walk.states[name]
    reaches = None if _single(state) else receptive.read(explored.walk, name)
    if reaches is None:
        # a dense layer that makes a map of the one size there is
        return None if explored.freed or asked == "NC" else _guess(explored, name, asked)
    letters = [space(explored.layout)[min(receptive.axes_of(p))] if receptive.has_place(p) else "" for p in state]
    return Choice(name, _named(letters, explored, name, asked), reaches, "")


def _single(state: receptive.State) -> bool:
    """True if all places of the image have become one."""
    return all(part.size == 1 for parts in state for part in parts if part.place)


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
        if len(layout) != len(shape) or (layout[0] == "N" and shape[0] != explored.batch):
            continue
        if asked is None and layout[0] != "N" and "N" in explored.layout and shape[0] == explored.batch:
            # a batch of vectors is no map of one row
            continue
        if all(shape[layout.index(letter)] <= 1 for letter in letters):
            continue
        steps = [Fraction(sizes[i], shape[layout.index(letter)] or 1) for i, letter in enumerate(letters)]
        if all(min(step.numerator, step.denominator) == 1 and max(step, 1 / step) <= COARSEST for step in steps):
            reaches = tuple(receptive.Reach(step, 0, 0, 0, 0) for step in steps)
            return Choice(name, layout, reaches, "geometry told from shapes only")
    return None


def _vector(explored: Explored, name: str, asked: str | None) -> Choice | None:
    """One row of numbers, whatever the size of the image."""
    shape = explored.walk.trace.shapes.get(name, ())
    if asked not in {None, "NC"} or not shape or not _single(explored.walk.states.get(name, ())):
        return None
    batched = shape[0] == explored.batch
    if name not in explored.walk.states and not batched:
        return None
    return Choice(name, "NC", (), "") if len([n for n in shape[batched:] if n != 1]) <= 1 else None
