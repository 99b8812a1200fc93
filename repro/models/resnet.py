"""Residual networks: WRN-28-1 of Zhang's later demonstration; ResNet-18 and -50 of Liu et al. 2020.

Liu et al. took theirs from pytorch-cifar: a 3x3 stem, no max-pool, PyTorch's initial weights.
"""

import keras
from keras import layers

from repro.models.layers import (
    accumulation_dtype,
    batch_norm,
    logits,
    padded_conv,
    torch_dense,
    torch_uniform,
)

STAGES = (64, 128, 256, 512)  # channels of the four stages at width 1


def resnet18(input_shape, num_classes, **options) -> keras.Model:
    """Two blocks of two 3x3 convolutions a stage: 11,173,962 parameters at 10 classes."""
    return _resnet("resnet18", input_shape, num_classes, (2, 2, 2, 2), **options)


def resnet50(input_shape, num_classes, **options) -> keras.Model:
    """Bottleneck blocks, 3, 4, 6 and 3 a stage: 23,520,842 parameters at 10 classes."""
    return _resnet("resnet50", input_shape, num_classes, (3, 4, 6, 3), bottleneck=True, **options)


def _resnet(
    name: str,
    input_shape: tuple[int, int, int],
    num_classes: int,
    blocks: tuple[int, ...],
    *,
    bottleneck: bool = False,
    width: float = 1.0,
    dropout_rate: float = 0.0,
    initializer: str | None = None,
) -> keras.Model:
    """Build a ResNet whose channels are multiplied by `width`; stages 2 to 4 halve the image.

    `initializer` is of all kernels; None: PyTorch's default. Dropout acts before the last layer.
    """

    def conv_norm(x, channels, size, strides, name):
        kernel = initializer or torch_uniform(size**2 * x.shape[-1])
        x = padded_conv(x, channels, size, strides, name, initializer=kernel)
        return batch_norm(f"{name}_bn", epsilon=1e-5)(x)

    def relu(x, name):
        return layers.ReLU(name=f"{name}_relu")(x)

    def block(x, channels, strides, name):
        shortcut, outputs = x, 4 * channels if bottleneck else channels
        plan = ((1, 1), (3, strides), (1, 1)) if bottleneck else ((3, strides), (3, 1))
        for number, (size, stride) in enumerate(plan, start=1):
            last = number == len(plan)
            x = conv_norm(x, outputs if last else channels, size, stride, f"{name}_conv_{number}")
            if not last:
                x = relu(x, f"{name}_{number}")
        if shortcut.shape[1:] != x.shape[1:]:
            shortcut = conv_norm(shortcut, outputs, 1, strides, f"{name}_shortcut")
        return relu(layers.Add(name=name)([x, shortcut]), name)

    stages = [max(1, round(width * channels)) for channels in STAGES]
    inputs = keras.Input(input_shape, name="images")
    x = relu(conv_norm(inputs, stages[0], 3, 1, "stem"), "stem")
    for stage, (channels, count) in enumerate(zip(stages, blocks), start=1):
        for number in range(1, count + 1):
            strides = 2 if stage > 1 and number == 1 else 1
            x = block(x, channels, strides, f"stage_{stage}_block_{number}")
    x = layers.GlobalAveragePooling2D(name="mean_pool")(x)
    if dropout_rate:
        x = layers.Dropout(dropout_rate, name="dropout")(x)
    x = torch_dense(
        x, num_classes, initializer=initializer, dtype=accumulation_dtype(), name="logits"
    )
    return keras.Model(inputs, x, name=name)


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
        return padded_conv(x, channels, size, strides, name, initializer=initializer)

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
