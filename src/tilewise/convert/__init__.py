"""Making an ONNX model from what training programs save, or from an ONNX file that is too new.

The face is here; a file of each family of formats opens it, in a child process that ends with the work.
"""

from __future__ import annotations

from tilewise.convert.conversion import convert
from tilewise.convert.records import Conversion, Wanted

__all__ = ["Conversion", "Wanted", "convert"]
