"""Pickled PyTorch modules: opening one runs what it holds, so only with trust; bare weights are told without."""

from __future__ import annotations

import pickletools
import zipfile
from typing import TYPE_CHECKING

from tilewise.convert.original import Original, Request, unexported, unopened
from tilewise.convert.script import export_script
from tilewise.convert.torch import export_program, find_shape, free_program, quiet, runner, torch_versions
from tilewise.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 1 << 26
"""Bytes of a pickle's structure that are looked through."""
HARMLESS = {"collections", "torch", "torch._utils", "torch.storage", "torch._tensor", "torch.serialization", "numpy"}
"""Modules whose names stand in a pickle of tensors and containers alone."""


def check_pickle(path: Path, *, trust: bool) -> None:
    """Refuse bare weights always, and everything else without trust; nothing of it is run."""
    if _bare(path):
        raise ModelError(
            f"{path} holds weights alone (a state dict), not the network that they belong to",
            "a model with its network",
            "In the program that defines it: load them, then torch.export.save(torch.export.export(model, (x,)), "
            "'model.pt2').",
        )
    if not trust:
        raise ModelError(
            f"{path} is a Python pickle, which runs whatever code it holds when it is opened",
            "an exported program (.pt2) or TorchScript",
            "Save it with torch.export.save or torch.jit.save, or give --trust if you know who made it.",
        )


def _bare(path: Path) -> bool:
    """True if a pickle names nothing but tensors and containers."""
    try:
        modules = {name.split(" ")[0] for name in _globals(_structure(path))}
    except (ValueError, OSError, KeyError, StopIteration, zipfile.BadZipFile):
        return False
    return bool(modules) and modules <= HARMLESS


def _structure(path: Path) -> bytes:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as stream:
            return stream.read(LARGEST)
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        with archive.open(name) as stream:
            return stream.read(LARGEST)


def _globals(content: bytes) -> set[str]:
    """Names of classes and functions that a pickle would call, as "module name"."""
    found: set[str] = set()
    texts: list[str] = []
    start = 0
    # the old form is several pickles, one after the other
    while start < len(content):
        position = start
        for operation, argument, at in pickletools.genops(content[start:]):
            position = start + (at or 0)
            if operation.name == "GLOBAL":
                found.add(str(argument))
            elif operation.name == "STACK_GLOBAL":
                found.add(" ".join(texts[-2:]))
            elif isinstance(argument, str):
                texts.append(argument)
        start = position + 1
        if content[start : start + 1] != b"\x80":
            break
    return found


def open_pickle(request: Request) -> Original:
    """Load a whole module, trusted, and export it: as a program, or else traced."""
    import torch

    try:
        with quiet():
            module = torch.load(str(request.path), map_location="cpu", weights_only=False)
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{request.path} needs the module '{error.name}' that defines its network",
            "that module on the path",
            "Set PYTHONPATH to the folder of its program.",
        ) from error
    except Exception as error:
        raise unopened(
            request, f"a pickle by PyTorch {torch.__version__}", error, "Save it as .pt2 where it was made."
        ) from error
    if not isinstance(module, torch.nn.Module):
        raise ModelError(
            f"{request.path} holds a {type(module).__name__}, not a network",
            "a torch.nn.Module",
            "In the program that defines it: build the network, load the weights, and torch.export.save it.",
        )
    module = module.eval()
    if isinstance(module, torch.jit.ScriptModule):
        return export_script(request, module)
    shape = request.shape or find_shape(request, module, dict(module.state_dict()))
    program = free_program(module, shape)
    try:
        with quiet(), torch.no_grad():
            if program is None:
                return export_script(request, torch.jit.trace(module, torch.zeros(shape)))
            model = export_program(request, program)
    except ModelError:
        raise
    except Exception as error:
        raise unexported(request, f"PyTorch {torch.__version__}", error) from error
    by = f"PyTorch {torch.__version__}"
    return Original(model, runner(module), by, torch_versions(), shape=shape, pinned=True)
