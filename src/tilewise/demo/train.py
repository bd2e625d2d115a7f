"""Train the demo's network: ``python -m tilewise.demo.train``. Needs torch and onnx; nothing else imports this file.

It learns from generated fields only, so it is for showing what tilewise does and not for real cells.
The same seed on the same machine and versions gives the same weights; elsewhere they differ by rounding.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional

from tilewise.demo.field import Field
from tilewise.geometry import Box

SEED = 2026
"""Of weights, order and flips."""
FIELDS = range(1000, 1024)
"""Seeds of the fields that are learned from; the demo's own is not among them."""
HELD_OUT = (0, 999)
"""Seeds of the fields that it is judged on; 0 is the demo's."""
PART = 1024
"""Pixels a side of what is taken from each field."""
CROP = 192
"""Pixels a side of what is learned from at once."""

# name, input channels, output channels; every one is 3x3, padded by 1, and followed by a ReLU
LAYERS = (
    ("down0", 1, 16),
    ("down1a", 16, 16),
    ("down1b", 16, 16),
    ("deep_a", 16, 32),
    ("deep_b", 32, 32),
    ("up1a", 32 + 16, 16),
    ("up1b", 16, 16),
    ("up0", 16 + 16, 16),
)
LAST = ("last", 16, 1)
"""1x1, to logits."""


class Net(torch.nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """Two poolings, two enlargements by repeating pixels, each joined with what was there before the pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = torch.nn.ModuleDict({n: torch.nn.Conv2d(i, o, 3, padding=1, bias=False) for n, i, o in LAYERS})
        self.norms = torch.nn.ModuleDict({n: torch.nn.BatchNorm2d(o) for n, _, o in LAYERS})
        self.last = torch.nn.Conv2d(LAST[1], LAST[2], 1)

    def layer(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """Convolve, normalize, cut off below zero."""
        return functional.relu(self.norms[name](self.convs[name](x)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Standardized pixels to logits."""
        fine = self.layer("down0", x)
        half = self.layer("down1b", self.layer("down1a", functional.max_pool2d(fine, 2)))
        deep = self.layer("deep_b", self.layer("deep_a", functional.max_pool2d(half, 2)))
        joined = torch.cat([functional.interpolate(deep, scale_factor=2.0), half], 1)
        half = self.layer("up1b", self.layer("up1a", joined))
        joined = torch.cat([functional.interpolate(half, scale_factor=2.0), fine], 1)
        logits: torch.Tensor = self.last(self.layer("up0", joined))
        return logits


@dataclass(frozen=True, slots=True)
class Sample:
    """A part of a field, standardized, with its truth."""

    pixels: torch.Tensor
    """Height x width."""
    truth: torch.Tensor
    """Height x width, 0 or 1."""


def sample(seed: int, size: int = PART) -> Sample:
    """A part of a field of its own seed, far from the origin so that parts differ in their focus and light, too."""
    corner = (seed * 3 % 16 * 1024, seed * 7 % 16 * 1024)
    box = Box(corner, (corner[0] + size, corner[1] + size))
    pixels = Field(seed).pixels(box).astype(np.float32)
    pixels = (pixels - pixels.mean()) / pixels.std()
    return Sample(torch.from_numpy(pixels), torch.from_numpy(Field(seed).truth(box).astype(np.float32)))


def batch(samples: list[Sample], rng: np.random.Generator, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random crops, turned, mirrored, a little brighter or darker."""
    images, truths = [], []
    for _ in range(size):
        one = samples[rng.integers(len(samples))]
        y, x = rng.integers(PART - CROP, size=2)
        pixels, truth = (t[y : y + CROP, x : x + CROP] for t in (one.pixels, one.truth))
        turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        pixels, truth = (torch.rot90(t.flip(0) if mirror else t, turns) for t in (pixels, truth))
        images.append(pixels * float(rng.uniform(0.85, 1.2)) + float(rng.uniform(-0.1, 0.1)))
        truths.append(truth)
    return torch.stack(images)[:, None], torch.stack(truths)[:, None]


def loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Cross entropy plus one minus Dice."""
    score = torch.sigmoid(logits)
    dice = (2 * (score * truth).sum() + 1) / (score.sum() + truth.sum() + 1)
    return functional.binary_cross_entropy_with_logits(logits, truth) + 1 - dice


def learn(minutes: float, steps: int) -> Net:
    """Train for so many steps; a limit in minutes is a guard, and a run that meets it is not reproducible."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    samples = [sample(seed) for seed in FIELDS]
    net = Net()
    best = torch.optim.AdamW(net.parameters(), lr=6e-3, weight_decay=1e-4)
    pace = torch.optim.lr_scheduler.OneCycleLR(best, max_lr=6e-3, total_steps=steps)
    began = time.monotonic()
    for step in range(steps):
        error = loss(*_forward(net, batch(samples, rng, 8)))
        best.zero_grad()
        error.backward()
        best.step()
        pace.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step:5d}  loss {float(error.detach()):.4f}  {time.monotonic() - began:.0f} s", flush=True)
        if time.monotonic() - began > minutes * 60:
            print("time is up: these weights cannot be made again from the seed")
            break
    net.eval()
    return net


def _forward(net: Net, pair: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return net(pair[0]), pair[1]


def dice(net: Net, seed: int) -> float:
    """Agreement with the truth of a field that was not learned from."""
    one = sample(seed, 2 * PART)
    with torch.no_grad():
        found = net(one.pixels[None, None])[0, 0] >= 0
    truth = one.truth > 0
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def folded(net: Net, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias of a layer with its batch normalization multiplied in."""
    conv, norm = net.convs[name], net.norms[name]
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weight = conv.weight * factor[:, None, None, None]
    bias = norm.bias - norm.running_mean * factor
    return weight.detach().numpy(), bias.detach().numpy()


def graph(net: Net) -> onnx.ModelProto:
    """The network in plain operators: Conv, Relu, MaxPool, Resize, Concat."""
    nodes: list[onnx.NodeProto] = []
    tensors = [numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice")]

    def node(kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def conv(name: str, x: str) -> str:
        weight, bias = folded(net, name)
        tensors.extend([numpy_helper.from_array(weight, f"{name}.w"), numpy_helper.from_array(bias, f"{name}.b")])
        y = node("Conv", [x, f"{name}.w", f"{name}.b"], name, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        return node("Relu", [y], f"{name}.relu")

    def halve(x: str) -> str:
        return node("MaxPool", [x], f"{x}.pool", kernel_shape=[2, 2], strides=[2, 2])

    def double(x: str) -> str:
        modes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return node("Resize", [x, "", "twice"], f"{x}.twice", **modes)

    fine = conv("down0", "pixels")
    half = conv("down1b", conv("down1a", halve(fine)))
    deep = conv("deep_b", conv("deep_a", halve(half)))
    half = conv("up1b", conv("up1a", node("Concat", [double(deep), half], "join1", axis=1)))
    top = conv("up0", node("Concat", [double(half), fine], "join0", axis=1))
    tensors.append(numpy_helper.from_array(net.last.weight.detach().numpy(), "last.w"))
    tensors.append(numpy_helper.from_array(net.last.bias.detach().numpy(), "last.b"))
    node("Conv", [top, "last.w", "last.b"], "logits", kernel_shape=[1, 1])
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1, "height", "width"])
        for name in ("pixels", "logits")
    ]
    return _model(helper.make_graph(nodes, "cells", ports[:1], ports[1:], tensors))


def _model(inner: onnx.GraphProto) -> onnx.ModelProto:
    model = helper.make_model(
        inner, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="tilewise.demo.train"
    )
    model.doc_string = "A small U-Net that finds nuclei in tilewise's own generated fields. Not for real cells."
    facts = {
        "purpose": "demonstration of tilewise on generated images; not trained on, and not for, real cells",
        "input": "one channel, standardized over the whole image: (x - mean) / std",
        "output": "logits; sigmoid gives the score of a nucleus",
        "trained_by": "python -m tilewise.demo.train",
        "seed": str(SEED),
        "fields": f"{FIELDS.start} to {FIELDS.stop - 1}",
        "license": "BSD-3-Clause",
    }
    helper.set_model_props(model, facts)
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    """Train, judge, write."""
    parser = argparse.ArgumentParser(description="Train the demo's network.")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("cells.onnx"))
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    net = learn(asked.minutes, asked.steps)
    for seed in HELD_OUT:
        print(f"Dice on held-out field {seed}: {dice(net, seed):.4f}")
    asked.out.write_bytes(graph(net).SerializeToString())
    print(f"wrote {asked.out}: {asked.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
