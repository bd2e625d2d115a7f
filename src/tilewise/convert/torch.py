"""What the three forms of PyTorch share: finding an example input, freeing lengths, running and exporting."""

from __future__ import annotations

import importlib.metadata
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tilewise.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    from onnx import ModelProto

    from tilewise.convert.original import Request

OPSETS = (18, 20)
"""Least and most that PyTorch's exporter of exported programs writes well."""
SIDES = {1: (64, 256, 224), 2: (64, 96, 128, 224, 256, 512, 572), 3: (32, 64, 48, 96, 128)}
"""Lengths of example inputs that are tried, by how many there are."""


def torch_versions() -> dict[str, str]:
    """Of what takes part."""
    return {name: importlib.metadata.version(name) for name in ("torch", "onnxscript")}


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' warnings: what matters is refused or compared."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def runner(module: Any) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
    """A module as a function of arrays; nested results are told in order."""
    import torch
    from torch.utils import _pytree as tree

    def run(values: Sequence[np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            made = module(*(torch.from_numpy(value) for value in values))
        return [leaf.detach().numpy() for leaf in tree.tree_leaves(made) if isinstance(leaf, torch.Tensor)]

    return run


def find_shape(request: Request, module: Any, weights: Mapping[str, Any]) -> tuple[int, ...]:
    """Shape of an input that a module takes, guessed from its first convolution and tried.

    Raises:
        ModelError: no guess runs.
    """
    import torch

    run, cause = runner(module), "its first weights tell no shape"
    for shape in [request.shape] if request.shape else _guesses(weights):
        try:
            run([torch.zeros(shape).numpy()])
        except Exception as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            cause = lines[-1][:200] if lines else type(error).__name__
            continue
        return tuple(shape)
    raise ModelError(
        f"{request.path} takes no input that was tried ({cause})",
        "the shape of an input, which the file does not tell",
        "Give it: --shape 1,3,256,256 (batch, channels, space).",
    )


def _guesses(weights: Mapping[str, Any]) -> Iterator[tuple[int, ...]]:
    kernel = next((tuple(value.shape) for value in weights.values() if value.ndim in {3, 4, 5}), None)
    if kernel is None:
        return
    axes = len(kernel) - 2
    # the second length is that of a group; transposed convolutions have inputs first
    for channels in dict.fromkeys((kernel[1], 3, 1, kernel[0])):
        for side in SIDES[axes]:
            yield (1, channels, *(side,) * axes)


def free_program(module: Any, shape: tuple[int, ...]) -> Any | None:
    """Export a module anew with batch and space free; None if its operations fix them."""
    import torch

    free = {axis: torch.export.Dim.AUTO for axis in range(len(shape)) if axis != 1}
    # a length of 1 would be taken for fixed
    example = torch.zeros(max(shape[0], 2), *shape[1:])
    try:
        with quiet(), torch.no_grad():
            made = torch.export.export(module, (example,), dynamic_shapes=({**free, 1: None},))
    except Exception:
        return None
    return made if _all_free(made) else None


def _all_free(program: Any) -> bool:
    """True if every free length of the input is felt by an output: else a size is baked in."""
    shapes = {
        node.name: node.meta["val"].shape for node in program.graph.nodes if hasattr(node.meta.get("val"), "shape")
    }
    signature = program.graph_signature
    inputs = {str(n) for name in signature.user_inputs for n in shapes.get(name, ()) if not isinstance(n, int)}
    outputs = " ".join(str(n) for name in signature.user_outputs for n in shapes.get(name, ()))
    return bool(inputs) and all(name in outputs for name in inputs)


def export_program(request: Request, program: Any) -> ModelProto:
    """The graph of an exported program."""
    import torch

    with quiet():
        made = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            opset_version=max(OPSETS[0], min(OPSETS[1], request.opset)),
        )
    if made is None:
        raise RuntimeError("the exporter gave nothing")
    return made.model_proto


def loosened(program: Any) -> Any:
    """The module of an exported program of one input, without the checks of its input's lengths."""
    import torch

    values = {**program.constants, **program.state_dict}
    signature = program.graph_signature
    lifted = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    order = [node.name for node in program.graph.nodes if node.op == "placeholder"]
    changed = len(program.graph.output_node().args[0]) - len(signature.user_outputs)

    class Loose(torch.nn.Module):  # type: ignore[misc] # PyTorch has no types here
        def __init__(self) -> None:
            super().__init__()
            self.inner = program.graph_module
            for index, name in enumerate(order):
                if name in lifted:
                    self.register_buffer(f"value_{index}", values[lifted[name]].detach())

        def forward(self, image: Any) -> Any:
            known = [getattr(self, f"value_{i}") if name in lifted else image for i, name in enumerate(order)]
            # what the program changes of its own state comes before its outputs
            return tuple(self.inner(*known)[changed:])

    return Loose()
