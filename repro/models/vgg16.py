"""VGG16 for small images, as Garipov et al. (2018) and Gotmare et al. (2018) use it.

Thirteen 3x3 convolutions in five blocks, each ended by a 2x2 max-pool, then dropout, dense, ReLU,
dropout, dense, ReLU, logits: 15,245,130 parameters at 10 classes; the convolutions keep their
biases under batch norm, which makes 15,253,578. Images must be at least 32x32 for the five pools.
"""

import keras
from keras import layers

from repro.models.layers import Conv, batch_norm, logits, torch_uniform

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions
DENSE = 512  # units of the two hidden dense layers


def vgg16(input_shape, num_classes, **options) -> keras.Model:
    """Without batch norm: the network of both papers."""
    return _vgg("vgg16", input_shape, num_classes, **options)


def vgg16_bn(input_shape, num_classes, **options) -> keras.Model:
    """Batch norm after every convolution."""
    return _vgg("vgg16_bn", input_shape, num_classes, normalised=True, **options)


def vgg16_quarter(input_shape, num_classes, **options) -> keras.Model:
    """A quarter of vgg16's channels and units, for CPUs: a sixteenth of its work."""
    return _vgg("vgg16_quarter", input_shape, num_classes, divisor=4, **options)


def vgg16_quarter_bn(input_shape, num_classes, **options) -> keras.Model:
    """The narrow network with batch norm, which trains in the few steps of a small subset."""
    return _vgg("vgg16_quarter_bn", input_shape, num_classes, True, 4, **options)


def _vgg(
    name: str,
    input_shape: tuple[int, int, int],
    num_classes: int,
    normalised: bool = False,
    divisor: int = 1,
    *,
    dropout_rate: float = 0.5,
    initializer: str | keras.initializers.Initializer = "he_normal",
    torch_dense: bool = False,
) -> keras.Model:
    """Build a VGG16; `divisor` divides all widths, `initializer` makes all kernels.

    With `torch_dense` those of dense layers start as PyTorch's do, as in Garipov et al.'s code.
    """

    def dense_kernel(fan_in: int):
        return torch_uniform(fan_in) if torch_dense else initializer

    inputs = x = keras.Input(input_shape, name="images")
    for block, (channels, convolutions) in enumerate(BLOCKS, start=1):
        for number in range(1, convolutions + 1):
            place = f"block_{block}_{number}"
            x = Conv(
                channels // divisor,
                3,
                padding="same",
                kernel_initializer=initializer,
                name=f"{place}_conv",
            )(x)
            if normalised:
                x = batch_norm(f"{place}_bn", epsilon=1e-5)(x)
            x = layers.ReLU(name=f"{place}_relu")(x)
        x = layers.MaxPooling2D(2, name=f"block_{block}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    for number in (1, 2):
        if dropout_rate:
            x = layers.Dropout(dropout_rate, name=f"dropout_{number}")(x)
        x = layers.Dense(
            DENSE // divisor, kernel_initializer=dense_kernel(x.shape[-1]), name=f"dense_{number}"
        )(x)
        x = layers.ReLU(name=f"dense_{number}_relu")(x)
    return keras.Model(inputs, logits(x, num_classes, dense_kernel(x.shape[-1])), name=name)
