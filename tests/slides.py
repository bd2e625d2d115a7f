"""What is needed to judge a masked run over a stained slide: a model of nuclei, and what must not be lost."""

from __future__ import annotations

import numpy as np

from networks import Net, wrap

STAINS = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))
"""Optical densities of haematoxylin, eosin and a third stain (Ruifrok and Johnston, 2001)."""

NUCLEUS = 20
"""Pixels of 0.5 micrometres: anything smaller is no nucleus."""

THRESHOLD = 0.6
"""Of the density of haematoxylin, where a nucleus begins."""


def stain():
    """Density of haematoxylin in 8-bit colours by deconvolution, smoothed: local, and blue nuclei are above 0.6."""
    net = Net(2)

    def make(x):
        light = net.node(
            "Div", [net.node("Add", [net.relu(x), net.constant(np.float32(1))]), net.constant(np.float32(256))]
        )
        density = net.node("Neg", [net.node("Log", [light])], channels=3)
        unit = np.array(STAINS) / np.linalg.norm(STAINS, axis=1, keepdims=True)
        row = np.linalg.inv(unit)[:, 0].astype(np.float32).reshape(1, 3, 1, 1)
        blue = net.node("Conv", [density, net.constant(row)], channels=1)
        bell = np.exp(-0.5 * ((np.arange(9) - 4) / 2.0) ** 2)
        kernel = (np.outer(bell, bell) / bell.sum() ** 2).astype(np.float32)
        return net.node("Conv", [blue, net.constant(kernel[np.newaxis, np.newaxis])], channels=1, pads=[4] * 4)

    return wrap(net, make, channels_in=3)


def find_lost(whole, masked, least=NUCLEUS):
    """Sizes of connected things of the whole labels of which the masked ones have nothing."""
    rest = set(zip(*map(np.ndarray.tolist, np.nonzero((whole > 0) & (masked == 0))), strict=True))
    lost = []
    while rest:
        waiting = [rest.pop()]
        seen = set(waiting)
        while waiting:
            y, x = waiting.pop()
            around = ((y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
            for place in around:
                inside = 0 <= place[0] < whole.shape[0] and 0 <= place[1] < whole.shape[1]
                if inside and place not in seen and whole[place]:
                    seen.add(place)
                    waiting.append(place)
        rest -= seen
        if len(seen) >= least and not any(masked[place] for place in seen):
            lost.append(len(seen))
    return lost


def otsu(values):
    """Otsu's threshold by brute force over 256 bins."""
    counts, edges = np.histogram(values, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    best, found = -1.0, 0.0
    for k in range(1, 256):
        low, high = counts[:k].sum(), counts[k:].sum()
        if low and high:
            means = (counts[:k] * centres[:k]).sum() / low, (counts[k:] * centres[k:]).sum() / high
            spread = float(low) * float(high) * (means[0] - means[1]) ** 2
            if spread > best:
                best, found = spread, edges[k]
    return found


def saturation(pixels):
    """Of colours [3, y, x], as HSV has it."""
    top, bottom = pixels.max(axis=0).astype(float), pixels.min(axis=0).astype(float)
    return np.where(top > 0, (top - bottom) / np.maximum(top, 1), 0)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def enlarge(mask, shape):
    """Each pixel of a mask as the pixels of an image that it covers."""
    rows, columns = (np.arange(n) * m // n for n, m in zip(shape, mask.shape, strict=True))
    return mask[rows][:, columns]
