"""Which tiles are worth computing: arithmetic on masks, no files. ``masking`` reads what it works on."""

from __future__ import annotations

from tilewise.mask.tiles import Fit, Idle, Picture, TileMask, fit_axis, pack_tiles, touch
from tilewise.mask.tissue import Overview, find_signal, overview_of

__all__ = [
    "Fit",
    "Idle",
    "Overview",
    "Picture",
    "TileMask",
    "find_signal",
    "fit_axis",
    "overview_of",
    "pack_tiles",
    "touch",
]
