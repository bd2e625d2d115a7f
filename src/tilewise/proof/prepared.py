"""Writing the prepared graph where workers find it."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from tilewise.proof.runner import serialized

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto


def keep(model: ModelProto, path: Path) -> str:
    """Write it, whole or not at all.

    Returns:
        Its sha256.
    """
    content = serialized(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)
    return hashlib.sha256(content).hexdigest()
