"""Whether a description agrees with the graph that it describes: what does not is named, never followed blindly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewise.errors import ModelError

if TYPE_CHECKING:
    from tilewise.descriptions.contract import Contract, Extent
    from tilewise.spec import ModelSpec

HELP = "Correct the description, or give {flag} {value} to overrule it."
"""What to do about axes."""


def check_letters(contract: Contract) -> None:
    """Refuse axes that no model of tilewise has.

    Raises:
        ModelError: an axis of time or of indices.
    """
    odd = sorted(set(contract.layout or "") - set("NCDHW"))
    if odd:
        names = ", ".join({"t": "time", "i": "index"}.get(letter, letter) for letter in odd)
        raise ModelError(
            f"the model's description says that its input has an axis of {names}",
            "axes of batch, channels and space",
            "Export the model for one time point, or tell the axes that stand for space with --layout.",
        )


def disagree(contract: Contract, known: ModelSpec) -> ModelError:
    """A description whose input axes do not fit the graph."""
    return ModelError(
        f"the model's description says that its input is {contract.layout}, which does not fit the graph",
        f"{known.layout}, as the graph tells",
        HELP.format(flag="--layout", value=known.layout),
    )


def check_agrees(contract: Contract, known: ModelSpec, *, overruled: bool) -> None:
    """Refuse a description whose channels or output axes are not those of the graph.

    Args:
        contract: what the description says.
        known: what the graph tells.
        overruled: a flag says how the output's axes lie.

    Raises:
        ModelError: they differ.
    """
    for what, said, found in (
        ("takes", contract.in_channels, known.in_channels),
        ("gives", contract.out_channels, known.out_channels),
    ):
        if said is not None and said != found and (what == "takes" or _alone(known)):
            raise ModelError(
                f"the model's description says that it {what} {said} channels",
                f"{found}, as the graph tells",
                "Correct the axes or the shape in the description, or use --contract ignore.",
            )
    if contract.output_layout in {None, known.output_layout} or overruled or not _alone(known):
        return
    raise ModelError(
        f"the model's description says that its output is {contract.output_layout}",
        f"{known.output_layout}, as the graph tells",
        HELP.format(flag="--output-layout", value=known.output_layout),
    )


def _alone(known: ModelSpec) -> bool:
    """True if the described output is the one that is written."""
    return len(known.outputs) == 1


def list_oddities(contract: Contract, tile: tuple[int, ...], known: ModelSpec, *, bounded: bool) -> tuple[str, ...]:
    """Lines about what the graph contradicts and a run does all the same.

    Args:
        contract: what the model says.
        tile: what the run takes.
        known: what the graph tells.
        bounded: the halo that the run takes is smaller than needed.
    """
    notes = list(contract.notes)
    exact = known.halo
    if contract.halo is not None and exact is not None and bounded:
        notes.append(
            f"the {contract.origin('halo')} asks for a halo of {list(contract.halo)}, and the graph needs "
            f"{list(exact)} to be exact: --halo exact gives that"
        )
    extents = contract.extents or ()
    if len(extents) == len(tile) and not all(_fits(t, e) for t, e in zip(tile, extents, strict=True)):
        allowed = " x ".join(f"{e.least} + n {e.step}" if e.step else f"{e.least}" for e in extents)
        notes.append(f"the description allows sizes of {allowed}; the graph runs as well at {list(tile)}")
    return tuple(notes)


def _fits(tile: int, extent: Extent) -> bool:
    return tile >= extent.least and (tile - extent.least) % extent.step == 0 if extent.step else tile == extent.least
