"""The door to onnxruntime: one wheel, the device asked for, the same bits from every thread, an end in time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from networks import one_layer, tiny_unet
from tilewise.errors import ModelError, RuntimeMissingError
from tilewise.session import SessionOptions, cached_session, check_device, check_runtime, open_session, runtime_version


def pretend(monkeypatch, *wheels):
    """As if these were installed."""

    def version(name):
        if name in wheels:
            return "1.0"
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)


def endless() -> bytes:
    """A loop that counts for hours."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still"]),
            helper.make_node("Sin", ["x"], ["y"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("k", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1000]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [1000]),
        ],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["times", "yes", "image"], ["out"], body=body)],
        "endless",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1000])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1000])],
        [
            helper.make_tensor("times", TensorProto.INT64, [], [10**12]),
            helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def test_one_wheel_is_right(monkeypatch):
    pretend(monkeypatch, "onnxruntime")
    check_runtime()


def test_without_a_wheel_the_command_is_said(monkeypatch):
    pretend(monkeypatch)
    with pytest.raises(RuntimeMissingError, match=r"no onnxruntime is installed.*pip install 'tilewise\[cpu\]'"):
        check_runtime()


def test_with_both_wheels_the_command_is_said(monkeypatch):
    pretend(monkeypatch, "onnxruntime", "onnxruntime-gpu")
    with pytest.raises(RuntimeMissingError, match=r"are both installed.*pip uninstall -y onnxruntime onnxruntime-gpu"):
        check_runtime()


def test_the_provider_that_runs_is_said():
    assert open_session(one_layer().SerializeToString(), SessionOptions()).provider == "CPU"
    assert runtime_version()


@pytest.mark.skipif("CUDAExecutionProvider" in __import__("onnxruntime").get_available_providers(), reason="has CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_refused(device):
    with pytest.raises(RuntimeMissingError, match="no session starts on cuda"):
        check_device(device)
    with pytest.raises(RuntimeMissingError, match="no session starts on cuda"):
        open_session(one_layer().SerializeToString(), SessionOptions(device=device))


@pytest.mark.gpu
@pytest.mark.skipif(
    "CUDAExecutionProvider" not in __import__("onnxruntime").get_available_providers(), reason="no CUDA"
)
def test_a_gpu_that_is_there_runs():
    model = tiny_unet().SerializeToString()
    image = np.random.default_rng(0).random((1, 1, 64, 64)).astype(np.float32)
    there, here = (open_session(model, SessionOptions(device=d)) for d in ("cuda", "cpu"))
    assert there.provider == "CUDA"
    np.testing.assert_allclose(there.run({"image": image})[0], here.run({"image": image})[0], atol=1e-4)


def test_every_thread_gets_the_same_bits():
    session = open_session(tiny_unet().SerializeToString(), SessionOptions())
    image = np.random.default_rng(0).random((1, 1, 96, 96)).astype(np.float32)
    expected = session.run({"image": image})[0]
    with ThreadPoolExecutor(4) as pool:
        for made in pool.map(lambda _: session.run({"image": image})[0], range(40)):
            np.testing.assert_array_equal(made, expected)


def test_a_model_that_never_ends_is_ended():
    session = open_session(endless(), SessionOptions())
    with pytest.raises(TimeoutError, match=r"did not end within 0\.3 s"):
        session.run({"image": np.zeros(1000, np.float32)}, seconds=0.3)


def test_a_session_is_opened_once_a_process():
    loads = []

    def load():
        loads.append(1)
        return one_layer().SerializeToString()

    first, again = (cached_session("a test's own key", load, SessionOptions()) for _ in range(2))
    assert first is again
    assert loads == [1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ir_version": 99}, "IR"),
        ({"opset": 99}, "opset"),
    ],
)
def test_what_is_too_new_comes_with_the_cure(change, words):
    model = one_layer()
    if "ir_version" in change:
        model.ir_version = change["ir_version"]
    else:
        model.opset_import[0].version = change["opset"]
    with pytest.raises(ModelError, match=words) as refusal:
        open_session(model.SerializeToString(), SessionOptions())
    assert "tilewise convert MODEL OUT.onnx" in refusal.value.do


def test_custom_operators_are_refused():
    model = one_layer()
    model.graph.node[0].domain = "my.company"
    model.opset_import.append(onnx.helper.make_opsetid("my.company", 1))
    with pytest.raises(ModelError, match="custom operators"):
        open_session(model.SerializeToString(), SessionOptions())


def test_garbage_is_no_model():
    with pytest.raises(ModelError):
        open_session(b"garbage", SessionOptions())
