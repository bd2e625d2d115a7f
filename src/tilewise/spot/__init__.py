"""What a halo smaller than the model's reach costs, measured on the image itself."""

from __future__ import annotations

from tilewise.spot.core import choose_spots, measure_spot, widen
from tilewise.spot.settle import measure_halos_of, settle_halo
from tilewise.spot.trials import Trial, try_halos

__all__ = ["Trial", "choose_spots", "measure_halos_of", "measure_spot", "settle_halo", "try_halos", "widen"]
