"""VGG16 with batch norm and a single dense layer, as Liu et al. 2020 took it from pytorch-cifar."""

import keras
from keras import layers

from repro.models.layers import (
    accumulation_dtype,
    batch_norm,
    padded_conv,
    torch_dense,
    torch_uniform,
)

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
            fan_in = 9 * x.shape[-1]
            x = padded_conv(
                x,
                max(1, round(width * channels)),
                3,
                1,
                name,
                initializer=initializer or torch_uniform(fan_in),
                use_bias=True,
                bias_initializer=torch_uniform(fan_in),
            )
            x = batch_norm(f"{name}_bn", epsilon=1e-5)(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        # "same" differs at odd sizes only, which 32x32 never meets
        x = layers.MaxPooling2D(2, padding="same", name=f"block_{block}_pool")(x)
    x = layers.GlobalAveragePooling2D(name="mean_pool")(x)
    if dropout_rate:
        x = layers.Dropout(dropout_rate, name="dropout")(x)
    x = torch_dense(
        x, num_classes, initializer=initializer, dtype=accumulation_dtype(), name="logits"
    )
    return keras.Model(inputs, x, name="vgg16_gap")
