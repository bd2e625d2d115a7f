"""What a network takes from the whole image, gathered in passes over it and put into the network as constants."""

from __future__ import annotations

from tilewise.freezing.rewrite import Frozen, freeze
from tilewise.freezing.settle import KEPT, settle_norms

__all__ = ["KEPT", "Frozen", "freeze", "settle_norms"]
