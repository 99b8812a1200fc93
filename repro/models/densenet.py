"""DenseNets of depth 40 and growth 12 for small images (Huang et al. 2017).

Liu et al. 2020 say DenseNet40; their code builds the bottleneck variant (BC), a sixth of the plain
network's size.
"""

import keras
from keras import layers

from repro.models.layers import batch_norm, logits, padded_conv, torch_uniform

GROWTH = 12  # channels a layer adds, at width 1
DEPTH = 40


def densenet40(input_shape, num_classes, **options) -> keras.Model:
    """DenseNet-BC: 1x1 bottlenecks, transitions that halve the channels: 176,122 parameters."""
    return _densenet("densenet40", input_shape, num_classes, bottleneck=True, **options)


def densenet40_plain(input_shape, num_classes, **options) -> keras.Model:
    """The plain network of Huang et al., Table 2: 1,019,722 parameters at 10 classes."""
    return _densenet("densenet40_plain", input_shape, num_classes, bottleneck=False, **options)


def _densenet(
    name: str,
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    bottleneck: bool,
    width: float = 1.0,
    dropout_rate: float = 0.0,
    initializer: str | None = None,
) -> keras.Model:
    """Build a DenseNet whose growth is multiplied by `width`; dropout follows every convolution.

    `initializer` is of all kernels; None: the codes' N(0, 2 / (k^2 outputs)), and PyTorch's default
    for the dense layer, whose bias starts at zero.
    """
    growth = max(1, round(width * GROWTH))

    def norm_relu_conv(x, channels, size, name):
        x = batch_norm(f"{name}_bn", epsilon=1e-5)(x)
        x = layers.ReLU(name=f"{name}_relu")(x)
        x = padded_conv(x, channels, size, 1, name, initializer=_kernel(initializer))
        return layers.Dropout(dropout_rate, name=f"{name}_dropout")(x) if dropout_rate else x

    per_block = (DEPTH - 4) // 3
    channels = 2 * growth if bottleneck else max(1, round(width * 16))
    inputs = keras.Input(input_shape, name="images")
    x = padded_conv(inputs, channels, 3, 1, "stem", initializer=_kernel(initializer))
    for block in (1, 2, 3):
        for number in range(1, (per_block // 2 if bottleneck else per_block) + 1):
            layer, new = f"block_{block}_layer_{number}", x
            if bottleneck:
                new = norm_relu_conv(new, 4 * growth, 1, f"{layer}_bottleneck")
            new = norm_relu_conv(new, growth, 3, f"{layer}_conv")
            x = layers.Concatenate(name=layer)([x, new])
        if block < 3:
            kept = x.shape[-1] // 2 if bottleneck else x.shape[-1]
            x = norm_relu_conv(x, kept, 1, f"transition_{block}")
            x = layers.AveragePooling2D(2, name=f"transition_{block}_pool")(x)
    x = batch_norm("final_bn", epsilon=1e-5)(x)
    x = layers.ReLU(name="final_relu")(x)
    x = layers.GlobalAveragePooling2D(name="mean_pool")(x)
    outputs = logits(x, num_classes, initializer or torch_uniform(x.shape[-1]))
    return keras.Model(inputs, outputs, name=name)


def _kernel(initializer: str | None) -> str | keras.initializers.Initializer:
    if initializer is not None:
        return initializer
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
