"""Tracing a graph at two sizes and walking it: layout, multiple, scale and reach, as the graph tells them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewise import receptive, splice
from tilewise.errors import ModelError
from tilewise.proof.explorer import Explorer
from tilewise.proof.runner import Clock, RunError, ShortError, is_short, space
from tilewise.proof.signature import Port, declared, declared_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from onnx import ModelProto

    from tilewise.operators import Op

SIZES = {
    2: ((96, 128), (192, 256), (168, 240), (252, 360), (336, 420), (320, 448), (225, 300)),
    3: ((32, 48, 64), (64, 96, 128), (48, 84, 72), (36, 54, 72), (96, 120, 144)),
}
"""Sizes to try, multiples of many numbers, each axis another."""
OFFSETS = (12, 4, 8, 1, 2, 6)
"""Added to the second of them where none runs: some models of valid convolutions take no multiple of M."""
LARGEST = 1 << 22
"""Pixels of an image that is tried: no sound multiple needs more."""
MUCH = 1 << 19
"""Pixels above which a size is tried after the declared one, if that is smaller."""
ANOTHER_LAYOUT = "another layout?"
"""In a note that tells that channels were taken for space."""


@dataclass(frozen=True, slots=True)
class Explored:
    """What tracing and walking told."""

    layout: str
    """Of the input."""
    channels: int
    """Of the input."""
    batch: int
    """1, or the fixed batch of the graph."""
    freed: bool
    """True if the graph ran at other sizes than the declared one."""
    sizes: tuple[int, ...]
    """Of the image in the first trace."""
    remainder: tuple[int, ...]
    """Sizes that the model takes are this modulo M."""
    walk: receptive.Walk
    """At that size."""
    ops: tuple[Op, ...]
    """The graph."""
    notes: tuple[receptive.Note, ...]
    """Those of the walk, and what the second size told."""


def explore(model: ModelProto, image: Port, layouts: tuple[str, ...], clock: Clock, *, frees: bool = True) -> Explored:
    """Try layouts and sizes until one run succeeds and its walk makes sense.

    Args:
        model: the graph.
        image: its image input.
        layouts: the likeliest first.
        clock: seconds left.
        frees: other sizes than a declared one may be tried.

    Raises:
        ModelError: nothing runs.
        MemoryError: a layout failed for memory: that a less likely one runs would tell nothing.
    """
    causes: list[Exception] = []
    doubtful: Explored | None = None
    for layout in layouts:
        tried: list[Exception] = []
        found = _explore_layout(model, image, layout, clock, tried, frees=frees)
        causes += tried
        if found is None:
            if any(isinstance(cause, MemoryError) for cause in tried):
                raise ShortError(f"the model in the layout {layout} needs more memory than there is")
            continue
        if not any(ANOTHER_LAYOUT in note.why for note in found.notes):
            return found
        doubtful = doubtful or found
    if doubtful is not None and len(layouts) > 1:
        return doubtful
    if doubtful is not None:
        note = next(note for note in doubtful.notes if ANOTHER_LAYOUT in note.why)
        raise ModelError(
            f"--layout {doubtful.layout} does not fit the graph ({note})",
            "the layout that the graph is made for",
            "Leave --layout out, or correct it.",
        )
    raise ModelError(
        f"the model runs on no image that was tried ({causes[0] if causes else 'no layout fits'})",
        "a model whose input is an image",
        "Check --layout and the values of --input.",
    )


def _explore_layout(
    model: ModelProto, image: Port, layout: str, clock: Clock, causes: list[Exception], *, frees: bool
) -> Explored | None:
    size = declared_size(image, layout)
    for channels in _channels(model, image, layout):
        for batch in _batches(image, layout):
            loosened = _open(model, image, layout, clock, channels, batch, causes, freed=True) if frees else None
            loose = _explore_free(loosened, size, causes) if loosened else None
            # its session holds on to the memory of the largest image that it ran
            loosened = None
            if loose is not None and (size is None or not any("image's size" in note.why for note in loose.notes)):
                return loose
            if size is not None:
                fixed = _open(model, image, layout, clock, channels, batch, causes, freed=False)
                found = _explore_fixed(fixed, size, causes) if fixed else None
                if found is not None:
                    return found
            if loose is not None:
                return loose
    return None


def _open(
    model: ModelProto,
    image: Port,
    layout: str,
    clock: Clock,
    channels: int,
    batch: int,
    causes: list[Exception],
    *,
    freed: bool,
) -> Explorer | None:
    try:
        return Explorer(model, image, layout, clock, freed=freed, channels=channels, batch=batch)
    except ModelError as error:
        if is_short(error):
            causes.append(ShortError(error.got))
        elif freed and declared_size(image, layout) is not None:
            causes.append(RunError(error.got))
        else:
            raise
        return None


def _channels(model: ModelProto, image: Port, layout: str) -> list[int]:
    known = declared(image, layout, "C")
    if known is not None:
        return [known]
    weights = splice.numbers(model)
    found = [weights[op.inputs[1]].shape[1] for op in splice.operators(model) if _weighs(op, weights)]
    return list(dict.fromkeys([*found[:1], 1, 3, 4, 2]))


def _weighs(op: Op, weights: Mapping[str, np.ndarray]) -> bool:
    return op.kind == "Conv" and op.attributes.get("group", 1) == 1 and op.inputs[1] in weights


def _batches(image: Port, layout: str) -> list[int]:
    known = declared(image, layout, "N")
    return [1] if known in {None, 1} else [1, int(known or 1)]


def _explore_free(explorer: Explorer, size: tuple[int, ...] | None, causes: list[Exception]) -> Explored | None:
    rank = len(space(explorer.layout))
    tries = list(SIZES[rank])
    if size is not None and math.prod(size) <= 1 << 20:
        # what is much larger than declared may cost a heavy model minutes: it comes last
        tries = sorted([*tries, size], key=lambda sizes: math.prod(sizes) > max(MUCH, math.prod(size)))
    tries += [tuple(n + offset for n in SIZES[rank][1]) for offset in OFFSETS if size is None]
    for sizes in tries:
        try:
            first = explorer.walk(sizes)
        except (RunError, MemoryError) as error:
            causes.append(error)
            continue
        fitting = tuple(max(2 * m, -(-n // m) * m) for n, m in zip(sizes, first.multiple, strict=True))
        if sizes not in SIZES[rank] or math.prod(fitting) > LARGEST:
            fitting = sizes
        try:
            if fitting != sizes:
                first = explorer.walk(fitting)
            second = _second(explorer, first, causes)
        except (RunError, MemoryError) as error:
            causes.append(error)
            continue
        if second is None and size is not None:
            return None
        return _settle(explorer, first, second, causes)
    return None


def _second(explorer: Explorer, first: receptive.Walk, causes: list[Exception]) -> receptive.Walk | None:
    """Another size on the same grid; odd steps, so that twice the multiple would be found out."""
    sizes = first.trace.sizes
    # in 3-D all axes grow alike: the second run is the dearest step of the inspection of a small network
    apart = 2 if len(sizes) == 2 else 0
    for odd in (1, 3, 2, 4):
        grown = tuple(n + m * (odd + apart * i) for i, (n, m) in enumerate(zip(sizes, first.multiple, strict=True)))
        if math.prod(grown) > LARGEST:
            break
        try:
            return explorer.walk(grown)
        except (RunError, MemoryError) as error:
            causes.append(error)
    return None


def _settle(
    explorer: Explorer, first: receptive.Walk, second: receptive.Walk | None, causes: list[Exception]
) -> Explored:
    notes = first.notes
    if second is None:
        short = bool(causes) and isinstance(causes[-1], MemoryError)
        why = "there is no memory to run it at a second size" if short else "it runs at one size only of those tried"
        notes = (*notes, receptive.Note("unproven", "the model", why))
    else:
        other = receptive.disagreement(explorer.ops, first, second)
        notes = (*notes, other) if other else notes
    return _explored(explorer, first, notes)


def _explored(explorer: Explorer, first: receptive.Walk, notes: tuple[receptive.Note, ...]) -> Explored:
    sizes = first.trace.sizes
    return Explored(
        layout=explorer.layout,
        channels=explorer.channels,
        batch=explorer.batch,
        freed=explorer.freed,
        sizes=sizes,
        remainder=tuple(n % m for n, m in zip(sizes, first.multiple, strict=True)),
        walk=first,
        ops=tuple(explorer.ops),
        notes=notes,
    )


def _explore_fixed(explorer: Explorer, size: tuple[int, ...], causes: list[Exception]) -> Explored | None:
    try:
        first = explorer.walk(size)
    except (RunError, MemoryError) as error:
        causes.append(error)
        return None
    return _explored(explorer, first, first.notes)
