"""What a network takes from the whole image, gathered in passes over it and put into the network as constants."""

from __future__ import annotations

from tilewise.freezing.rewrite import Frozen, freeze
from tilewise.freezing.settle import settle_norms

__all__ = ["Frozen", "freeze", "settle_norms"]
