"""A plan whose network is frozen: with statistics that are known, or with those of the image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tilewise.events import Noted, tell
from tilewise.freezing.rewrite import freeze
from tilewise.norms import Norms, read_norms
from tilewise.planning import complete, decide
from tilewise.record import folder_of, read_json, read_stamp
from tilewise.resume import recorded_cut

if TYPE_CHECKING:
    from distributed import Client

    from tilewise.events import Observer
    from tilewise.model import Model
    from tilewise.plans import Plan

KEPT = "norms.json"
"""Where statistics are kept, beside the ledger."""


def settle_norms(
    client: Client, made: Plan, model: Model, observers: tuple[Observer, ...] = ()
) -> tuple[Plan, Model, Norms | None]:
    """The plan and the model to run, and what was frozen; as they are where nothing is asked.

    Raises:
        TilewiseError: nothing can be frozen, or the statistics that were given are none of this model.
    """
    asked = made.asked.graph.freeze_norms
    if asked == "none":
        return made, model, None
    out = made.outputs[0].path
    stamp = None if made.behaviour.overwrite else read_stamp(out)
    known = _find_known(asked, made.model.sha256, out if stamp is not None else None)
    frozen = freeze(client, made, model, known=known, observers=observers)
    spec = frozen.model.spec
    tell(observers, Noted(f"frozen: {', '.join(frozen.sites)}; the network is now {spec.verdict} ({spec.reason})"))
    cut = recorded_cut(made.asked.cut, stamp.record if stamp is not None else None, spec)
    again = decide(made.image, spec, replace(made.asked, cut=cut), model.contract)
    return complete(again, out), frozen.model, frozen.norms


def _find_known(asked: str, sha256: str, out: str | None) -> Norms | None:
    """Statistics from a file, or those that a run which is to be resumed has kept."""
    if asked not in {"exact", "sample"}:
        return read_norms(asked, sha256)
    found = read_json(folder_of(out), KEPT) if out is not None else None
    if found is None:
        return None
    kept = Norms.from_json(found)
    return kept if (kept.model, kept.source) == (sha256, asked) else None
