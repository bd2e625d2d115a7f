"""The work of the child: open, carry to the opset, write, compare."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from tilewise.convert.comparison import compare
from tilewise.convert.limits import find_limits
from tilewise.convert.opset import STANDARD, carry, fitting_ir, nodes, opset_of
from tilewise.convert.records import Compared, Port
from tilewise.convert.table import TABLE
from tilewise.errors import ModelError, SettingError
from tilewise.proof.signature import ports
from tilewise.session import SessionOptions, open_session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from onnx import ModelProto

    from tilewise.convert.original import Original, Request

NAME = "model.onnx"
"""Of the result in the scratch folder."""
INLINE = 1 << 30
"""Bytes of weights above which they get a file of their own: the file of the graph stays below protobuf's limit."""


def work(request: Request, *, wanted_ir: int | None, tolerance: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Convert one source; the result is left in the scratch folder.

    Raises:
        ModelError: it cannot be opened or expressed, or the result differs.
    """
    limits = find_limits()
    _check_asked("--opset", request.opset, limits.opset)
    _check_asked("--ir", wanted_ir or 0, limits.ir)
    opset = request.opset or limits.opset
    say(f"opening {request.path.name}")
    original = TABLE[request.kind].open(replace(request, opset=opset))
    say("to ONNX")
    # without a wish an older opset is left as it is: it is no worse, and every step may lose something
    target = opset if request.opset else min(opset, opset_of(original.model))
    model = carry(original.model, target)
    model.ir_version = wanted_ir or fitting_ir(model, limits.ir if target == opset_of(original.model) else 4)
    _check_operators(model)
    say("comparing with the original")
    model, compared = _compared(original, model, tolerance)
    _write(model, request.scratch / NAME, data=request.data, external=original.external)
    inputs, outputs = ports(model)
    return {
        "opset": opset_of(model),
        "ir": int(model.ir_version),
        "inputs": [asdict(_port(port)) for port in inputs],
        "outputs": [asdict(_port(port)) for port in outputs],
        "compared": asdict(compared),
        "versions": dict(original.versions),
    }


def _check_asked(flag: str, asked: int, most: int) -> None:
    if asked > most:
        raise SettingError(f"{flag} {asked}", f"at most {most}, what this onnxruntime takes", f"Leave {flag} away.")


def _port(port: Any) -> Port:
    return Port(port.name, port.dtype, tuple(length or "?" for length in port.dims))


def _check_operators(model: ModelProto) -> None:
    """Name operators that exporters left as their own framework's."""
    from onnx import defs

    version = opset_of(model)
    for node in nodes(model.graph):
        if not defs.has(node.op_type, version, ""):
            raise ModelError(
                f"operator {node.op_type} of node '{node.name}' has no counterpart in ONNX",
                f"operators of opset {version}",
                "Replace that operation in the network, or ask for a newer --opset.",
            )
    strange = next((node for node in model.graph.node if node.domain not in {*STANDARD, "com.microsoft"}), None)
    if strange is not None:
        raise ModelError(
            f"operator {strange.domain}::{strange.op_type} of node '{strange.name}' is a custom one",
            "standard ONNX operators",
            "Replace that operation in the network.",
        )


def _compared(original: Original, model: ModelProto, tolerance: float) -> tuple[ModelProto, Compared]:
    try:
        found = _compare(original, model)
        # lengths that only one size has been tried for are not free, whatever the exporter declares
        if found.difference <= tolerance and not (original.pinned and any(_free(model)) and len(found.shapes) < 2):
            return model, found
    except ModelError:
        if not original.pinned:
            raise
    if original.pinned and original.shape is not None and any(_free(model)):
        # lengths that were declared free are none: the exporter has baked the example's into the graph
        pinned = _pin(model, original.shape)
        found = _compare(replace(original, pinned=False), pinned)
        if found.difference <= tolerance:
            return pinned, found
    raise ModelError(
        f"the converted model differs from the original by {found.difference:.2g} of the range of its output",
        f"at most {tolerance:g}",
        "Allow more with --tolerance if you can stand it, or try another --opset.",
    )


def _compare(original: Original, model: ModelProto) -> Compared:
    session = open_session(_bytes(model), SessionOptions())
    names = [name for name, _, _ in session.inputs]
    return compare(original, model, lambda values: session.run(dict(zip(names, values, strict=True))))


def _bytes(model: ModelProto) -> bytes:
    try:
        return bytes(model.SerializeToString())
    except ValueError as error:
        raise ModelError(
            f"the converted model is too large ({error})", "a model of less than 2 GiB", "Use half precision."
        ) from error


def _free(model: ModelProto) -> list[bool]:
    return [not dim.HasField("dim_value") for dim in model.graph.input[0].type.tensor_type.shape.dim]


def _pin(model: ModelProto, shape: tuple[int, ...]) -> ModelProto:
    """The same graph, which takes one shape."""
    from onnx import ModelProto

    found = ModelProto()
    found.CopyFrom(model)
    for dim, length in zip(found.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        dim.dim_value = length
    for value in found.graph.output:
        value.type.tensor_type.ClearField("shape")
    del found.graph.value_info[:]
    return found


def _write(model: ModelProto, path: Path, *, data: str, external: bool) -> None:
    """Write the graph, and its weights beside it if they lay so before or are many."""
    import onnx

    apart = external or model.ByteSize() > INLINE
    if apart:
        onnx.save_model(model, str(path), save_as_external_data=True, location=data, size_threshold=1024)
    else:
        path.write_bytes(_bytes(model))
