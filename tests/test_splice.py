"""Rewritten graphs give the numbers of the original."""

import numpy as np
import pytest
from onnx import helper

from networks import Net, classifier, one_layer, tiny_unet, wrap
from tilewise import splice
from tilewise.proof.runner import open_graph


def run(model, image, outputs=None, *, optimize=False):
    return open_graph(model, optimize=optimize).run({"image": image}, outputs)


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("kernel", [2, 3, (2, 3, 4)])
def test_a_transposed_convolution_unfolds_into_the_same_numbers(ndim, kernel):
    k = kernel[:ndim] if isinstance(kernel, tuple) else kernel
    net = Net(ndim)
    layout = "NCHW" if ndim == 2 else "NCDHW"
    model = wrap(net, lambda x: net.deconv(x, 5, k, stride=k), channels_in=3, layout=layout)
    image = pixels(2, 3, *range(4, 4 + ndim))
    before = run(model, image)[0]
    assert splice.unfold_transposed(model) == 1
    assert not any(node.op_type == "ConvTranspose" for node in model.graph.node)
    after = run(model, image)[0]
    assert after.shape == before.shape
    np.testing.assert_allclose(after, before, atol=1e-6)


@pytest.mark.parametrize("more", [{"pads": 1}, {"stride": 1}, {"output_padding": 1}])
def test_a_transposed_convolution_that_overlaps_is_left(more):
    net = Net()
    model = wrap(net, lambda x: net.deconv(x, 2, 2, **{"stride": 2, **more}))
    assert splice.unfold_transposed(model) == 0
    assert any(node.op_type == "ConvTranspose" for node in model.graph.node)


def test_an_unfolded_network_gives_the_same_bits_at_every_size():
    model = tiny_unet(up="deconv", width=16)
    assert splice.unfold_transposed(model) == 2
    session = open_graph(model)
    image = pixels(1, 1, 40, 264)
    whole = session.run({"image": image})[0]
    part = session.run({"image": image[..., :136]})[0]
    assert np.array_equal(part[..., :120], whole[..., :120])


def test_pruning_keeps_only_what_an_output_needs():
    net = Net()
    net.channels["image"] = 1
    a = net.conv("image", 2)
    b = net.conv(a, 3)
    model = net.model([("image", "float32", ["n", 1, "h", "w"]), ("spare", "float32", [1])], [a, b])
    splice.prune(model, [a])
    assert [v.name for v in model.graph.output] == [a]
    assert [v.name for v in model.graph.input] == ["image"]
    assert len(model.graph.node) == 1
    assert len(model.graph.initializer) == 2


def test_pruning_takes_initializers_off_the_inputs():
    model = one_layer()
    tensor = model.graph.initializer[0]
    model.graph.input.append(helper.make_tensor_value_info(tensor.name, 1, list(tensor.dims)))
    splice.prune(model, [model.graph.output[0].name])
    assert [v.name for v in model.graph.input] == ["image"]


def test_a_freed_graph_runs_at_another_size():
    model = tiny_unet(sizes=(16, 24), batch=1)
    with pytest.raises(Exception, match="invalid dimensions"):
        run(model, pixels(2, 1, 32, 40))
    splice.free(model, "image", [0, 2, 3])
    assert run(model, pixels(2, 1, 32, 40))[0].shape == (2, 1, 32, 40)


def test_a_baked_input_is_a_constant():
    net = Net()
    net.channels["image"] = 1
    y = net.add("image", "exposure")
    model = net.model([("image", "float32", ["n", 1, "h", "w"]), ("exposure", "float32", [1])], [y])
    splice.bake(model, {"exposure": np.array([0.5], np.float32)})
    image = pixels(1, 1, 4, 5)
    assert np.array_equal(run(model, image)[0], image + np.float32(0.5))


def test_a_trace_gives_shapes_of_pixels_and_values_of_the_rest():
    net = Net()
    model = wrap(net, lambda x: net.node("Reshape", [net.conv(x, 2), net.node("Shape", [x])]), channels_in=2)
    plan = splice.expose(model, "image")
    shape_of_x = next(name for name in plan.values)
    made = open_graph(plan.model, optimize=False).run(
        {"image": pixels(1, 2, 6, 7)}, [*plan.shapes.values(), *plan.values]
    )
    assert [list(m) for m in made[: len(plan.shapes)]] == [[1, 2, 6, 7], [1, 2, 6, 7]]
    assert shape_of_x.startswith("shape")
    assert list(made[-1]) == [1, 2, 6, 7]


def test_a_linear_copy_lets_nan_through_and_makes_none():
    net = Net()

    def make(x):
        x = net.pool(net.relu(net.conv(x, 4)))
        x = net.node("Log", [net.node("Sub", [x, net.constant(np.float32(9))])])
        return net.conv(net.node("Clip", [x, net.constant(np.float32(0)), net.constant(np.float32(6))]), 1)

    model = wrap(net, make)
    image = np.abs(pixels(1, 1, 16, 16))
    linear = splice.linearise(model)
    assert np.isfinite(run(linear, image)[0]).all()
    image[..., 8, 8] = np.nan
    felt = np.isnan(run(linear, image)[0][0, 0])
    assert felt.any(axis=1).nonzero()[0].tolist() == [2, 3, 4, 5]
    assert not felt.all()
    # the model itself makes NaN of clean pixels, which would tell nothing
    assert np.isnan(run(model, pixels(1, 1, 16, 16))[0]).all()


def test_a_linear_copy_computes_sizes_as_the_model_does():
    net = Net()

    def make(x):
        # up to minus one, told by negating a length: exporters write such things
        last = net.node(
            "Neg", [net.node("Div", [net.node("Shape", [x], start=2, end=3), net.node("Shape", [x], start=2, end=3)])]
        )
        ends = [net.constant(np.array([n], np.int64)) for n in (0, 2)]
        return net.node("Slice", [x, ends[0], last, ends[1]])

    model = wrap(net, make)
    image = np.abs(pixels(1, 1, 16, 16))
    assert run(splice.linearise(model), image)[0].shape == run(model, image)[0].shape == (1, 1, 15, 16)


def test_cropping_an_output_keeps_its_name():
    model = one_layer()
    name = model.graph.output[0].name
    image = pixels(1, 1, 9, 9)
    whole = run(model, image)[0]
    splice.crop_output(model, name, {2: 3, 3: 1})
    assert [v.name for v in model.graph.output] == [name]
    assert np.array_equal(run(model, image)[0], whole[:, :, 1:-2, :-1])


def test_operators_list_what_subgraphs_take_from_outside():
    inner = helper.make_graph(
        [helper.make_node("Add", ["outer", "local"], ["sum"])], "g", [],
        [helper.make_tensor_value_info("sum", 1, None)],
        [helper.make_tensor("local", 1, [1], [1.0])],
    )  # fmt: skip
    node = helper.make_node("If", ["flag"], ["y"], then_branch=inner, else_branch=inner)
    assert splice.graph.captured(node) == {"outer"}


def test_numbers_are_initializers_and_constants_alike():
    model = classifier()
    model.graph.node.insert(0, helper.make_node("Constant", [], ["k"], value_ints=[1, 2]))
    model.graph.node.insert(0, helper.make_node("Constant", [], ["f"], value_float=0.5))
    found = splice.numbers(model)
    assert found["k"].tolist() == [1, 2]
    assert found["f"] == np.float32(0.5)
    assert len(found) == len(model.graph.initializer) + 2


def test_nodes_are_brought_into_order():
    model = tiny_unet()
    wanted = [node.name for node in model.graph.node]
    splice.arrange_nodes(model)
    assert [node.name for node in model.graph.node] == wanted
    shuffled = list(model.graph.node)[::-1]
    copies = [type(node)() for node in shuffled]
    for copy, node in zip(copies, shuffled, strict=True):
        copy.CopyFrom(node)
    del model.graph.node[:]
    model.graph.node.extend(copies)
    splice.arrange_nodes(model)
    known = {"image", *(tensor.name for tensor in model.graph.initializer)}
    for node in model.graph.node:
        assert set(node.input) - {""} <= known
        known.update(node.output)


def test_a_circle_of_nodes_ends():
    model = tiny_unet()
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]
    splice.arrange_nodes(model)
    assert len({node.name for node in model.graph.node}) == len(model.graph.node)
