"""TorchScript files, scripted or traced."""

from __future__ import annotations

import io
from typing import Any

from tilewise.convert.original import Original, Request, unexported, unopened
from tilewise.convert.torch import find_shape, quiet, runner, torch_versions

OPSET = 17
"""What PyTorch's exporter of TorchScript is tested with most."""


def open_script(request: Request) -> Original:
    """Load the module, find an input that it takes, and export it."""
    import torch

    try:
        with quiet():
            module = torch.jit.load(str(request.path), map_location="cpu", _restore_shapes=True).eval()
    except Exception as error:
        raise unopened(
            request, f"TorchScript by PyTorch {torch.__version__}", error, "Save it again with this PyTorch."
        ) from error
    return export_script(request, module)


def export_script(request: Request, module: Any) -> Original:
    """The graph of a TorchScript module; every length but that of the channels is declared free."""
    import onnx
    import torch

    shape = request.shape or _traced(module) or find_shape(request, module, _weights(module))
    names = ["input"]
    stream = io.BytesIO()
    free = {axis: f"free_{axis}" for axis in range(len(shape)) if axis != 1}
    try:
        with quiet(), torch.no_grad():
            torch.onnx.export(
                module,
                (torch.zeros(shape),),
                stream,
                dynamo=False,
                opset_version=min(OPSET, request.opset),
                input_names=names,
                dynamic_axes={names[0]: free},
            )
    except Exception as error:
        raise unexported(request, f"PyTorch {torch.__version__}", error) from error
    model = onnx.load_from_string(stream.getvalue())
    by = f"PyTorch {torch.__version__}"
    return Original(model, runner(module), by, torch_versions(), shape=shape, pinned=True)


def _traced(module: Any) -> tuple[int, ...] | None:
    """Shape of the input that a traced module was made with, where the file keeps it."""
    try:
        kept = module._c._retrieve_traced_inputs()  # noqa: SLF001 the only way to it
        first = kept["forward"][0]
        return tuple(int(length) for length in first.shape)
    except (AttributeError, LookupError, TypeError, RuntimeError):
        return None


def _weights(module: Any) -> dict[str, Any]:
    return dict(module.state_dict())
