"""The graph as plain records, and what is taken from it: outputs, sizes, constants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilewise.operators import Op

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

STANDARD = {"", "ai.onnx"}
"""Domains of the standard operators."""


def operators(model: ModelProto) -> list[Op]:
    """The operators in order, without constants."""
    return [_operator(node) for node in model.graph.node if node.op_type != "Constant"]


def _operator(node: NodeProto) -> Op:
    kind = node.op_type if node.domain in STANDARD else f"{node.domain}::{node.op_type}"
    inputs = (*node.input, *sorted(captured(node)))
    name = node.name or next((name for name in node.output if name), node.op_type)
    return Op(kind, name, inputs, tuple(node.output), {a.name: _attribute(a) for a in node.attribute})


def _attribute(attribute: Any) -> Any:
    from onnx import AttributeProto, helper

    if attribute.type in {AttributeProto.GRAPH, AttributeProto.GRAPHS, AttributeProto.TENSOR}:
        return None
    value = helper.get_attribute_value(attribute)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def captured(node: NodeProto) -> set[str]:
    """Names that the subgraphs of a node take from outside."""
    names: set[str] = set()
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            inner = {name for child in graph.node for name in child.output} | {v.name for v in graph.input}
            used = {name for child in graph.node for name in (*child.input, *captured(child))}
            used |= {value.name for value in graph.output}
            names |= used - inner - {tensor.name for tensor in graph.initializer} - {""}
    return names


def numbers(model: ModelProto) -> dict[str, np.ndarray]:
    """Initializers and Constant nodes by name."""
    from onnx import numpy_helper

    return {name: numpy_helper.to_array(tensor) for name, tensor in constant_tensors(model.graph)}


def constant_tensors(graph: GraphProto) -> Iterator[tuple[str, TensorProto]]:
    """Initializers, and Constant nodes with any of their attributes, as (name, tensor)."""
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for node in graph.node:
        if node.op_type == "Constant" and node.domain in STANDARD:
            tensor = _constant(node)
            if tensor is not None:
                yield node.output[0], tensor


def _constant(node: NodeProto) -> TensorProto | None:
    import numpy as np
    from onnx import numpy_helper

    for attribute in node.attribute:
        if attribute.name == "value":
            return attribute.t
        if attribute.name in {"value_float", "value_floats"}:
            value = attribute.f if attribute.name == "value_float" else list(attribute.floats)
            return numpy_helper.from_array(np.array(value, np.float32), node.output[0])
        if attribute.name in {"value_int", "value_ints"}:
            value = attribute.i if attribute.name == "value_int" else list(attribute.ints)
            return numpy_helper.from_array(np.array(value, np.int64), node.output[0])
    return None


def image_names(ops: Sequence[Op], image: str) -> set[str]:
    """Tensors that depend on the image's pixels, and not only on its size."""
    names = {image}
    for op in ops:
        if op.kind not in {"Shape", "Size"} and names.intersection(op.inputs):
            names.update(name for name in op.outputs if name)
    return names


def arrange_nodes(model: ModelProto) -> None:
    """Bring the nodes into an order in which each follows what it takes: some tools append a cast of the input."""
    nodes = model.graph.node
    producers = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    needs = [[producers[n] for n in (*node.input, *captured(node)) if n in producers] for node in nodes]
    order: dict[int, None] = {}
    begun: set[int] = set()
    for root in range(len(nodes)):
        stack = [root]
        while stack:
            i = stack[-1]
            # one that was begun already is not waited for again: a circle is left to the runtime to refuse
            missing = [] if i in begun else [k for k in needs[i] if k not in order]
            begun.add(i)
            stack += missing
            if not missing:
                order.setdefault(stack.pop())
    if list(order) != list(range(len(nodes))):
        _replace(nodes, [nodes[i] for i in order], moved=True)


def prune(model: ModelProto, outputs: Sequence[str]) -> None:
    """Keep only what these outputs need; inputs that nothing needs any more go too."""
    graph = model.graph
    wanted, kept = set(outputs), []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input, captured(node))
    _replace(graph.node, kept[::-1])
    _replace(graph.output, [value for value in graph.output if value.name in set(outputs)])
    _replace(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in wanted])
    constants = {tensor.name for tensor in graph.initializer}
    # before IR 4 initializers were listed as inputs: a default that nobody overrides
    _replace(graph.input, [v for v in graph.input if v.name in wanted and v.name not in constants])


def _replace(field: Any, items: Sequence[Any], *, moved: bool = False) -> None:
    if len(items) == len(field) and not moved:
        return
    kept = [type(item)() for item in items]
    for copy, item in zip(kept, items, strict=True):
        copy.CopyFrom(item)
    del field[:]
    field.extend(kept)


def bake(model: ModelProto, constants: Mapping[str, np.ndarray]) -> None:
    """Turn inputs into constants of the graph."""
    from onnx import numpy_helper

    if not constants:
        return
    graph = model.graph
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(value, name))
    _replace(graph.input, [v for v in graph.input if v.name not in constants])


def free(model: ModelProto, image: str, axes: Sequence[int]) -> None:
    """Make these axes of the input symbolic and forget all declared shapes that may follow from them."""
    graph = model.graph
    for value in graph.input:
        if value.name == image:
            for axis in axes:
                value.type.tensor_type.shape.dim[axis].dim_param = f"free_{axis}"
    declare_outputs(model)


def declare_outputs(model: ModelProto) -> None:
    """Forget declared shapes of outputs and of everything between."""
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")


def declare_rank(model: ModelProto) -> None:
    """Give an only input without any shape as many axes as the graph's convolutions and poolings take."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1 or inputs[0].type.tensor_type.HasField("shape"):
        return
    for axis in range(slides_over(model) + 2):
        inputs[0].type.tensor_type.shape.dim.add().dim_param = f"axis_{axis}"


def slides_over(model: ModelProto) -> int:
    """Spatial axes of the graph's convolutions and poolings; 0 if there are none."""
    ranks = {tensor.name: len(tensor.dims) - 2 for tensor in model.graph.initializer}
    ranks |= {name: len(tensor.dims) - 2 for name, tensor in constant_tensors(model.graph)}
    for node in model.graph.node:
        if node.op_type in {"Conv", "ConvTranspose", "ConvInteger"} and node.input[1] in ranks:
            return ranks[node.input[1]]
        kernel = next((a.ints for a in node.attribute if a.name == "kernel_shape"), ())
        if kernel:
            return len(kernel)
    return 0
