"""PyTorch exported programs (.pt2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilewise.convert.original import Original, Request, unexported, unopened
from tilewise.convert.torch import export_program, free_program, loosened, runner, torch_versions

if TYPE_CHECKING:
    from onnx import ModelProto


def open_exported(request: Request) -> Original:
    """Load the program; the lengths of its example are freed where a second export shows that they may be."""
    import torch

    try:
        program = torch.export.load(str(request.path))
    except Exception as error:
        raise unopened(
            request, f"an exported program by PyTorch {torch.__version__}", error, "Save it again with this PyTorch."
        ) from error
    shape = request.shape or _example(program)
    model = _freed(request, program, shape)
    module = program.module() if model is None else loosened(program)
    try:
        model = model or export_program(request, program)
    except Exception as error:
        raise unexported(request, f"PyTorch {torch.__version__}", error) from error
    by = f"PyTorch {torch.__version__}"
    return Original(model, runner(module), by, torch_versions(), shape=shape, pinned=True)


def _freed(request: Request, program: Any, shape: tuple[int, ...] | None) -> ModelProto | None:
    """The graph with free lengths, of a program that was exported for one shape alone."""
    if program.range_constraints or shape is None or len(program.graph_signature.user_inputs) != 1:
        return None
    try:
        freed = free_program(loosened(program), shape)
        return None if freed is None else export_program(request, freed)
    except Exception:
        return None


def _example(program: Any) -> tuple[int, ...] | None:
    """Shape of the first input, free lengths at what the program was exported with."""
    inputs = program.graph_signature.user_inputs
    found = [node.meta["val"] for node in program.graph.nodes if inputs and node.name == inputs[0]]
    example = program.example_inputs[0] if program.example_inputs else ()
    if example and hasattr(example[0], "shape"):
        return tuple(int(length) for length in example[0].shape)
    lengths = tuple(found[0].shape) if found and hasattr(found[0], "shape") else ()
    return tuple(int(n) for n in lengths) if lengths and all(isinstance(n, int) for n in lengths) else None
