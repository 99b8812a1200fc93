"""The small VGG of Wu, Ma, E 2018, called VGG11 there: 71,410 parameters on 32x32x3, 2 classes.

Five 3x3 convolutions of 16, 16, 32, 64 and 64 channels, ReLU, a 2x2 max-pool after each, then dense
128 and k. No batch norm, no dropout.
"""

import keras
from keras import layers

from repro.models.layers import accumulation_dtype, torch_dense

WIDTHS = (16, 16, 32, 64, 64)


def vgg_small(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    gain: float = 1.0,
    dropout_rate: float = 0.0,
    initializer: str | None = None,
) -> keras.Model:
    """Build the network with the released code's initial weights.

    Kernels of convolutions are N(0, 2 / (9 * channels out)) with zero biases, dense layers start as
    PyTorch's.

    Args:
      input_shape: (32, 32, 3) has the paper's number of parameters; at least 32 on a side.
      num_classes: 2.
      gain: of the dense layers' initial kernels.
      dropout_rate: after the hidden dense layer; the paper has none.
      initializer: Keras initializer of all kernels, in place of these.
    """
    start = {"gain": gain, "initializer": initializer}
    inputs = x = keras.Input(input_shape, name="images", dtype=accumulation_dtype())
    for number, width in enumerate(WIDTHS, start=1):
        fan_out_normal = keras.initializers.RandomNormal(0.0, (2 / (9 * width)) ** 0.5)
        x = layers.Conv2D(
            width,
            3,
            padding="same",
            activation="relu",
            kernel_initializer=initializer or fan_out_normal,
            name=f"conv_{number}",
        )(x)
        x = layers.MaxPooling2D(2, name=f"pool_{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = torch_dense(x, 128, activation="relu", name="dense", **start)
    if dropout_rate:
        x = layers.Dropout(dropout_rate, name="dropout")(x)
    x = torch_dense(x, num_classes, name="logits", dtype=accumulation_dtype(), **start)
    return keras.Model(inputs, x, name="vgg_small")
