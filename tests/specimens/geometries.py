"""Sizes, multiples, scales: how an output lies in the image."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from networks import Net
from specimens.entry import Specimen, assemble


def simple(body, ndim=2, **more):
    """A model from a function of net and tensor; integer weights, so that sums are exact."""

    def build(seed):
        net = Net(ndim, seed, integers=True)
        return assemble(net, lambda x: body(net, x), **more)

    return build


def unet(depth=2, factor=2, up="nearest"):
    """Poolings by any factor and skips, small as can be."""

    def body(net, x):
        skips = []
        for _ in range(depth):
            x = net.relu(net.conv(x, 2))
            skips.append(x)
            x = net.pool(x, factor, stride=factor)
        for skip in reversed(skips):
            x = net.deconv(x, 2, factor, stride=factor) if up == "deconv" else net.resize(x, float(factor))
            x = net.relu(net.conv(net.concat(skip, x), 2))
        return net.conv(x, 1, 1)

    return body


def down_up(factor):
    return lambda net, x: net.resize(net.pool(net.conv(x, 2), factor, stride=factor), float(factor))


def patches(net, x):
    """Non-overlapping patches of 14, as vision transformers cut them, and back."""
    y = net.relu(net.conv(x, 4, 14, stride=14, pads=0))
    return net.deconv(y, 1, 14, stride=14)


def anisotropic(net, x):
    """Pools y by four and x by two."""
    y = net.pool(net.conv(x, 2), (4, 2), stride=(4, 2))
    scales = net.constant(np.array([1, 1, 4, 2], np.float32))
    return net.node("Resize", [y, "", scales], channels=2, mode="nearest", nearest_mode="floor",
                    coordinate_transformation_mode="asymmetric")  # fmt: skip


def flat_planes(net, x):
    """Pools y and x only, of three axes."""
    y = net.pool(net.conv(x, 2, (1, 3, 3)), (1, 2, 2), stride=(1, 2, 2))
    return net.deconv(y, 1, (1, 2, 2), stride=(1, 2, 2))


def rounding_up(net, x):
    """127 becomes 128 and back in silence: pooling rounds up, the result is cropped to the image's own size."""
    y = net.node("MaxPool", [net.conv(x, 2)], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    y = net.resize(y, 2.0)
    shape = net.node("Shape", [x], start=2, end=4)
    zero, axes = net.constant(np.array([0, 0])), net.constant(np.array([2, 3]))
    return net.node("Slice", [y, zero, shape, axes])


def same_upper(net, x):
    """TensorFlow's padding: two strided convolutions whose grid depends on the size's remainder."""
    for _ in range(2):
        x = net.relu(net.conv(x, 2, stride=2, auto_pad="SAME_UPPER"))
    return net.resize(net.resize(net.conv(x, 1, 1)))


def valid(net, x):
    return net.conv(net.relu(net.conv(x, 2, pads=0)), 1, 5, pads=0)


def valid_unet(net, x):
    skip = net.relu(net.conv(x, 2, pads=0))
    y = net.relu(net.conv(net.pool(skip), 2, pads=0))
    return net.conv(net.concat(net.crop(skip, 2, -2), net.deconv(y, 2)), 1, 1)


def shuffle(factor):
    return lambda net, x: net.node(
        "DepthToSpace", [net.conv(x, factor * factor)], channels=1, blocksize=factor, mode="CRD"
    )


def deconv_by_4(net, x):
    return net.deconv(net.conv(x, 2), 1, 8, stride=4, pads=2)


def strided(factor):
    return lambda net, x: net.conv(x, 2, factor, stride=factor, pads=0)


def pyramid(net, x):
    """Deep supervision: the same map at three resolutions."""
    one = net.conv(x, 2)
    two = net.conv(net.pool(one), 2)
    four = net.conv(net.pool(two), 2)
    return one, two, four


def pooled(net, x):
    return net.node("GlobalAveragePool", [net.relu(net.conv(x, 3, stride=2))])


def classified(net, x):
    y = net.node("Flatten", [pooled(net, x)])
    return net.node("Gemm", [y, net.constant(net.weights(3, 5))])


def dense(net, x):
    y = net.reshape(net.pool(net.relu(net.conv(x, 2)), 4, stride=4), [-1, 2 * 7 * 8])
    return net.node("Gemm", [y, net.constant(net.weights(112, 5))])


def as_image(net, x):
    """A fully convolutional classifier, exported at the size at which it gives one position."""
    return net.conv(net.relu(net.conv(x, 2, 4, stride=4, pads=0)), 3, 8, pads=0)


HALF = Fraction(1, 2)
SPECIMENS = (
    Specimen("any size", simple(lambda net, x: net.conv(x, 1, 5)), radius=2),
    Specimen("declared size not needed", simple(unet(1), sizes=(96, 64), batch=1), multiple=2, radius=3),
    Specimen("declared odd size not needed", simple(lambda net, x: net.conv(x, 1), sizes=(97, 61)), radius=1),
    Specimen("U-Net, multiple 4", simple(unet(2)), multiple=4, radius=7),
    Specimen("U-Net, transposed", simple(unet(2, up="deconv")), multiple=4, radius=7),
    Specimen("U-Net, multiple 3", simple(unet(1, 3)), multiple=3, radius=4),
    Specimen("U-Net, multiple 9", simple(unet(2, 3)), multiple=9, radius=13),
    Specimen("multiple 5", simple(down_up(5)), multiple=5, radius=5),
    Specimen("multiple 12", simple(lambda net, x: down_up(4)(net, down_up(3)(net, x))), multiple=12, radius=4),
    Specimen("patches of 14", simple(patches), multiple=14, radius=0),
    Specimen("multiple 4 by 2", simple(anisotropic), multiple=(4, 2), radius=(4, 2)),
    Specimen("planes pooled, volume", simple(flat_planes, 3, layout="NCDHW"), "NCDHW", multiple=(1, 2, 2),
             radius=(0, 2, 2)),
    Specimen("volume, U-Net", simple(unet(1), 3, layout="NCDHW"), "NCDHW", multiple=2, radius=3),
    Specimen("rounded up in silence", simple(rounding_up), multiple=2, radius=2),
    Specimen("SAME_UPPER", simple(same_upper), multiple=4, radius=4),
    Specimen("valid convolutions", simple(valid), radius=3, lead=3, trail=3),
    Specimen("valid U-Net", simple(valid_unet), multiple=2, radius=3, lead=3, trail=3),
    Specimen("super-resolution x2", simple(shuffle(2)), scale=2, radius=1),
    Specimen("super-resolution x3, declared size", simple(shuffle(3), sizes=(4, 4), batch=1), scale=3, radius=1),
    Specimen("super-resolution x4, transposed", simple(deconv_by_4),
             scale=4, radius=2),
    Specimen("resize x2", simple(lambda net, x: net.resize(net.conv(x, 1))), scale=2, radius=1),
    Specimen("resize x3, linear", simple(lambda net, x: net.resize(net.conv(x, 1), 3.0, mode="linear",
             coordinates="half_pixel")), scale=3, radius=3, verdict="exact to rounding", word="Resize"),
    Specimen("stride 2", simple(strided(2)), multiple=2, scale=HALF, radius=0),
    Specimen("stride 4", simple(strided(4)), multiple=4, scale=Fraction(1, 4), radius=0),
    Specimen("stride 8 of a volume", simple(strided(8), 3, layout="NCDHW"), "NCDHW", multiple=8,
             scale=Fraction(1, 8), radius=0),
    Specimen("stride 3 after x2", simple(lambda net, x: net.conv(net.resize(x), 1, 3, stride=3, pads=0)), multiple=3,
             scale=Fraction(2, 3), radius=0),
    Specimen("three resolutions", simple(pyramid), multiple=4, radius=8, ports=("NCHW",) * 3,
             scales=(Fraction(1), HALF, Fraction(1, 4))),
    Specimen("embedding", simple(pooled, output_layout="NCHW"), output_layout="NC", radius=0),
    Specimen("classifier", simple(classified, output_layout=""), output_layout="NC", radius=0),
    Specimen("classifier of one size", simple(dense, output_layout="", sizes=(28, 32)), output_layout="NC",
             fixed=(28, 32), radius=0),
    Specimen("classifier as an image", simple(as_image, sizes=(32, 32)), output_layout="NC", fixed=(32, 32), radius=0),
)  # fmt: skip
