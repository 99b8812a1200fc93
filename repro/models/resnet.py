"""Residual networks. WRN-28-1 is the network of the first author's later demonstration."""

import keras
from keras import layers

from repro.models.layers import batch_norm, logits


def wrn_28_1(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    dropout_rate: float = 0.0,
    initializer: str = "he_normal",
) -> keras.Model:
    """Pre-activation wide ResNet of depth 28 and width 1: 369,498 parameters at 10 classes.

    Follows fitting-random-labels (pluskid, 2018) with PyTorch's padding and batch-norm epsilon.
    Works at any image size; the demonstration used 32x32.
    """

    def norm_relu(x, name):
        x = batch_norm(f"{name}_bn", epsilon=1e-5)(x)
        return layers.ReLU(name=f"{name}_relu")(x)

    def conv(x, channels, size, strides, name):
        padding = "same"
        if size == 3 and strides == 2:  # PyTorch pads symmetrically, TensorFlow's SAME does not
            x, padding = layers.ZeroPadding2D(1, name=f"{name}_pad")(x), "valid"
        return layers.Conv2D(
            channels, size, strides, padding, use_bias=False, kernel_initializer=initializer,
            name=name,
        )(x)  # fmt: skip

    def block(x, channels, strides, name):
        activated = norm_relu(x, f"{name}_1")
        shortcut = x
        if x.shape[-1] != channels:
            shortcut = conv(activated, channels, 1, strides, f"{name}_shortcut")
        x = conv(activated, channels, 3, strides, f"{name}_conv_1")
        x = norm_relu(x, f"{name}_2")
        if dropout_rate:
            x = layers.Dropout(dropout_rate, name=f"{name}_dropout")(x)
        x = conv(x, channels, 3, 1, f"{name}_conv_2")
        return layers.Add(name=name)([x, shortcut])

    inputs = keras.Input(input_shape, name="images")
    x = conv(inputs, 16, 3, 1, "stem")
    for group, channels in enumerate((16, 32, 64), start=1):
        for number in range(1, 5):
            strides = 2 if group > 1 and number == 1 else 1
            x = block(x, channels, strides, f"group_{group}_block_{number}")
    x = norm_relu(x, "final")
    x = layers.GlobalAveragePooling2D(name="mean_pool")(x)
    return keras.Model(inputs, logits(x, num_classes, initializer), name="wrn_28_1")
