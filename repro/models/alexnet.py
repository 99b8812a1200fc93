"""The small AlexNet of Zhang et al. 2017 (appendix A): 1,387,786 parameters on 28x28x3.

Two times (conv 5x5, max-pool 3x3, local response norm), then dense 384, 192, k. The paper gives no
widths, strides or padding: 64 channels, stride-2 pools and SAME padding meet its count exactly;
they are those of TensorFlow's CIFAR-10 tutorial net.
"""

import keras
from keras import layers

from repro.models.layers import LocalResponseNorm, accumulation_dtype, logits


def alexnet(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    dropout_rate: float = 0.0,
    initializer: str = "glorot_uniform",
) -> keras.Model:
    """Build the network; dropout acts after each hidden dense layer."""
    inputs = x = keras.Input(input_shape, name="images")
    for number in (1, 2):
        x = layers.Conv2D(
            64,
            5,
            padding="same",
            activation="relu",
            kernel_initializer=initializer,
            name=f"conv_{number}",
        )(x)
        x = layers.MaxPooling2D(3, 2, padding="same", name=f"pool_{number}")(x)
        x = LocalResponseNorm(dtype=accumulation_dtype(), name=f"norm_{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    for width in (384, 192):
        x = layers.Dense(
            width, activation="relu", kernel_initializer=initializer, name=f"dense_{width}"
        )(x)
        if dropout_rate:
            x = layers.Dropout(dropout_rate, name=f"dropout_{width}")(x)
    return keras.Model(inputs, logits(x, num_classes, initializer), name="alexnet")
