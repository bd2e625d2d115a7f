"""What is known of a model, as frozen records that travel as JSON."""

from __future__ import annotations

from tilewise.spec.known import ModelSpec
from tilewise.spec.part import Certificate, Port, Tensor, Verdict

__all__ = ["Certificate", "ModelSpec", "Port", "Tensor", "Verdict"]
