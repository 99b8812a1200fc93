"""VGG16 with batch norm and a single dense layer, as Liu et al. 2020 took it from pytorch-cifar."""

import keras
from keras import layers

from repro.models.layers import batch_norm, logits, padded_conv, torch_initializers

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions


def vgg16_gap(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    width: float = 1.0,
    dropout_rate: float = 0.0,
    initializer: str | None = None,
) -> keras.Model:
    """Thirteen 3x3 convolutions, five max-pools, one dense layer: 14,728,266 parameters.

    Convolutions keep their biases beside batch norm, as the authors' code has it. At 32x32 one
    pixel is left after the pools; at other sizes the mean over pixels goes to the dense layer.

    Args:
      input_shape, num_classes: as for models.build.
      width: multiplies all channels.
      dropout_rate: before the dense layer.
      initializer: of all kernels; None: PyTorch's default.
    """
    inputs = x = keras.Input(input_shape, name="images")
    for block, (channels, convolutions) in enumerate(BLOCKS, start=1):
        for number in range(1, convolutions + 1):
            name = f"block_{block}_conv_{number}"
            kernel, bias = torch_initializers(9 * x.shape[-1], initializer)
            x = padded_conv(
                x, max(1, round(width * channels)), 3, 1, name,
                initializer=kernel, use_bias=True, bias_initializer=bias,
            )  # fmt: skip
            x = batch_norm(f"{name}_bn", epsilon=1e-5)(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        # "same" differs at odd sizes only, which 32x32 never meets
        x = layers.MaxPooling2D(2, padding="same", name=f"block_{block}_pool")(x)
    x = layers.GlobalAveragePooling2D(name="mean_pool")(x)
    if dropout_rate:
        x = layers.Dropout(dropout_rate, name="dropout")(x)
    kernel, bias = torch_initializers(x.shape[-1], initializer)
    outputs = logits(x, num_classes, kernel, bias_initializer=bias)
    return keras.Model(inputs, outputs, name="vgg16_gap")
