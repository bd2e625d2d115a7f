"""U-Nets as people train them in Keras and PyTorch, with random weights; imported where the frameworks are."""

from __future__ import annotations

import numpy as np

SEED = 3


def keras_unet(ndim, *, up="transpose", channels=1, size=None):
    """Channels last, two poolings; ``up``: transpose, overlapping (kernel 3), nearest or bilinear."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(SEED)
    conv, pool = getattr(layers, f"Conv{ndim}D"), getattr(layers, f"MaxPooling{ndim}D")

    def block(x, filters):
        x = conv(filters, 3, padding="same", use_bias=False)(x)
        return layers.ReLU()(layers.BatchNormalization()(x))

    def enlarge(x, filters):
        if up in {"transpose", "overlapping"}:
            kernel = 2 if up == "transpose" else 3
            return getattr(layers, f"Conv{ndim}DTranspose")(filters, kernel, strides=2, padding="same")(x)
        more = {} if up == "nearest" else {"interpolation": up}
        return getattr(layers, f"UpSampling{ndim}D")(2, **more)(x)

    image = keras.Input(((size,) * ndim if size else (None,) * ndim) + (channels,))
    first = block(image, 4)
    second = block(pool(2)(first), 8)
    x = block(pool(2)(second), 8)
    x = block(layers.Concatenate()([enlarge(x, 8), second]), 8)
    x = block(layers.Concatenate()([enlarge(x, 4), first]), 4)
    model = keras.Model(image, conv(2, 1, activation="softmax")(x))
    rng = np.random.default_rng(SEED)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


def save_keras(model, folder, form):
    """In one of the three forms; gives the file that names it."""
    path = folder / {"keras": "model.keras", "hdf5": "model.h5", "json": "model.json"}[form]
    if form != "json":
        model.save(path)
        return path
    path.write_text(model.to_json())
    model.save_weights(folder / "model.weights.h5")
    return path


def torch_unet(ndim, *, up="transpose", channels=1):
    """Channels first, the same network."""
    import torch
    from torch import nn

    torch.manual_seed(SEED)
    conv, norm, pool = (getattr(nn, f"{name}{ndim}d") for name in ("Conv", "BatchNorm", "MaxPool"))
    transposed = getattr(nn, f"ConvTranspose{ndim}d")

    class Unet(nn.Module):
        def __init__(self):
            super().__init__()

            def block(before, after):
                made = norm(after)
                made.running_mean.uniform_(-0.5, 0.5)
                made.running_var.uniform_(0.5, 1.5)
                return nn.Sequential(conv(before, after, 3, padding=1, bias=False), made, nn.ReLU())

            def enlarge(before, after):
                if up == "transpose":
                    return transposed(before, after, 2, stride=2)
                return nn.Sequential(nn.Upsample(scale_factor=2, mode=up), conv(before, after, 1))

            self.first, self.second, self.third = block(channels, 4), block(4, 8), block(8, 8)
            self.pool, self.up_second, self.up_first = pool(2), enlarge(8, 8), enlarge(8, 4)
            self.fourth, self.fifth, self.last = block(16, 8), block(8, 4), conv(4, 2, 1)

        def forward(self, x):
            first = self.first(x)
            second = self.second(self.pool(first))
            x = self.third(self.pool(second))
            x = self.fourth(torch.cat([self.up_second(x), second], 1))
            x = self.fifth(torch.cat([self.up_first(x), first], 1))
            return torch.softmax(self.last(x), 1)

    return Unet().eval()


def save_torch(model, ndim, folder, form, *, dynamic=True, channels=1):
    """As exported program (.pt2) or TorchScript, scripted or traced."""
    import torch

    example = torch.zeros((2, channels, *(32,) * ndim))
    if form == "exported":
        auto = {axis: torch.export.Dim.AUTO for axis in range(ndim + 2) if axis != 1}
        shapes = (auto,) if dynamic else None
        path = folder / "model.pt2"
        torch.export.save(torch.export.export(model, (example,), dynamic_shapes=shapes), path)
        return path
    path = folder / "model.pt"
    torch.jit.save(torch.jit.script(model) if form == "scripted" else torch.jit.trace(model, example), path)
    return path
