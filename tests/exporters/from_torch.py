"""Tiny networks as PyTorch's two exporters write them; run by hand in an environment with torch and onnxscript.

    python tests/exporters/from_torch.py

It writes the .onnx files beside itself, a few kB each; the last were made with torch 2.15.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

HERE = Path(__file__).parent


class UNet(nn.Module):
    """One level; upsampling by size, as most people write it."""

    def __init__(self, norm=nn.BatchNorm2d):
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), norm(4), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), norm(4), nn.ReLU())
        self.last = nn.Conv2d(8, 2, 3, padding=1)

    def forward(self, x):
        skip = self.one(x)
        low = self.two(functional.max_pool2d(skip, 2))
        up = functional.interpolate(low, size=skip.shape[2:], mode="nearest")
        return self.last(torch.cat([skip, up], 1))


class Deconv(nn.Module):
    """A volume, strided and transposed, LeakyReLU."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv3d(1, 4, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose3d(4, 1, 2, stride=2)

    def forward(self, x):
        return self.up(functional.leaky_relu(self.down(x)))


class Shuffle(nn.Module):
    """Super-resolution by pixel shuffle."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x):
        return self.shuffle(self.conv(x))


class Classifier(nn.Module):
    """Strided convolutions, a global mean, a dense layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2)
        self.dense = nn.Linear(8, 4)

    def forward(self, x):
        return self.dense(functional.adaptive_avg_pool2d(functional.gelu(self.conv(x)), 1).flatten(1))


class Excite(nn.Module):
    """Squeeze and excitation, hard swish."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.gate = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        y = functional.hardswish(self.conv(x))
        return y * torch.sigmoid(self.gate(functional.adaptive_avg_pool2d(y, 1)))


class Windows(nn.Module):
    """A transformer on windows of 4 x 4, layer norm over channels."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)

    def forward(self, x):
        y = self.embed(x)
        n, c, h, w = y.shape
        t = y.view(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(-1, 16, c)
        q, k, v = self.qkv(self.norm(t)).chunk(3, -1)
        t = t + torch.softmax(q @ k.transpose(1, 2) / 8**0.5, -1) @ v
        t = t.view(n, h // 4, w // 4, 4, 4, c).permute(0, 5, 1, 3, 2, 4)
        return t.reshape(n, c, h, w)


MODELS = {
    "unet": (UNet, (2, 1, 32, 48)),
    "unet_groups": (lambda: UNet(lambda n: nn.GroupNorm(2, n)), (2, 1, 32, 48)),
    "unet_instance": (lambda: UNet(nn.InstanceNorm2d), (2, 1, 32, 48)),
    "deconv": (Deconv, (2, 1, 16, 16, 16)),
    "shuffle": (Shuffle, (2, 3, 16, 24)),
    "classifier": (Classifier, (2, 3, 32, 32)),
    "excite": (Excite, (2, 1, 24, 24)),
    "windows": (Windows, (2, 1, 16, 24)),
}


def export(name, model, x, *, dynamo, dynamic):
    """One file."""
    path = HERE / f"{'dynamo' if dynamo else 'legacy'}_{name}{'' if dynamic else '_fixed'}.onnx"
    if dynamo:
        dims = dict.fromkeys([0, *range(2, x.ndim)], torch.export.Dim.DYNAMIC)
        if name == "windows":
            dims = {0: torch.export.Dim.DYNAMIC}
        shapes = (dims,) if dynamic else None
        torch.onnx.export(model, (x,), path, dynamo=True, dynamic_shapes=shapes, external_data=False)
    else:
        axes = {"image": {i: f"axis{i}" for i in (0, *range(2, x.ndim))}} if dynamic else None
        torch.onnx.export(model, x, path, dynamo=False, input_names=["image"], dynamic_axes=axes, opset_version=17)
    strip(path)


def strip(path):
    """Without the names of our own files, which exporters put beside every operator."""
    import onnx

    model = onnx.load(path)
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    del model.graph.metadata_props[:], model.metadata_props[:]
    onnx.save(model, path)


def main():
    warnings.filterwarnings("ignore")
    for name, (make, shape) in MODELS.items():
        torch.manual_seed(0)
        model = make().eval()
        x = torch.randn(shape)
        export(name, model, x, dynamo=False, dynamic=True)
        export(name, model, x, dynamo=True, dynamic=True)
    torch.manual_seed(0)
    export("unet", UNet().eval(), torch.randn(1, 1, 32, 48), dynamo=False, dynamic=False)
    export("unet", UNet().eval(), torch.randn(1, 1, 32, 48), dynamo=True, dynamic=False)


if __name__ == "__main__":
    main()
