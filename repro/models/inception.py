"""The small Inception of Zhang et al. 2017 (Figure 3): 1,649,402 parameters on 28x28x3.

The published count leaves one parameter per convolution channel: with batch norm its beta (no gamma
and no bias), without batch norm the bias. SAME padding throughout, as the 28 -> 14 -> 7 maps need.
"""

import keras
from keras import layers

from repro.models.layers import batch_norm, logits

# (1x1 channels, 3x3 channels) of an inception module; an int is a downsample module's channels.
MODULES = (
    (32, 32),
    (32, 48),
    80,
    (112, 48),
    (96, 64),
    (80, 80),
    (48, 96),
    96,
    (176, 160),
    (176, 160),
)


def inception(input_shape, num_classes, **options) -> keras.Model:
    """Batch norm after every convolution."""
    return _small_inception("inception", input_shape, num_classes, "all", **options)


def inception_no_bn(input_shape, num_classes, **options) -> keras.Model:
    """Biases instead of batch norm; the same number of parameters."""
    return _small_inception("inception_no_bn", input_shape, num_classes, "none", **options)


def inception_bn_downsample_only(input_shape, num_classes, **options) -> keras.Model:
    """Batch norm only in the two downsample modules: the EPFL student rerun's guess at `w/o BN`."""
    name = "inception_bn_downsample_only"
    return _small_inception(name, input_shape, num_classes, "downsample", **options)


def _small_inception(
    name: str,
    input_shape: tuple[int, int, int],
    num_classes: int,
    batch_norm_in: str,
    *,
    dropout_rate: float = 0.0,
    initializer: str = "glorot_uniform",
) -> keras.Model:
    """Build Figure 3's network.

    Args:
      name: of the model.
      input_shape: (H, W, C), sides divisible by 4.
      num_classes: k.
      batch_norm_in: modules with batch norm: `all`, `none` or `downsample`.
      dropout_rate: before the last layer, as in Inception V3.
      initializer: of all kernels; the paper names none.
    """

    def conv_module(x, channels, size, strides, name, in_downsample=False):
        normalised = batch_norm_in == "all" or (batch_norm_in == "downsample" and in_downsample)
        x = layers.Conv2D(
            channels,
            size,
            strides,
            padding="same",
            use_bias=not normalised,
            kernel_initializer=initializer,
            name=f"{name}_conv",
        )(x)
        if normalised:
            x = batch_norm(f"{name}_bn", scale=False)(x)
        return layers.ReLU(name=f"{name}_relu")(x)

    def inception_module(x, ones, threes, name):
        one = conv_module(x, ones, 1, 1, f"{name}_1x1")
        three = conv_module(x, threes, 3, 1, f"{name}_3x3")
        return layers.Concatenate(name=name)([one, three])

    def downsample_module(x, channels, name):
        conv = conv_module(x, channels, 3, 2, f"{name}_3x3", in_downsample=True)
        pool = layers.MaxPooling2D(3, 2, padding="same", name=f"{name}_pool")(x)
        return layers.Concatenate(name=name)([conv, pool])

    inputs = keras.Input(input_shape, name="images")
    x = conv_module(inputs, 96, 3, 1, "stem")
    for number, module in enumerate(MODULES, start=1):
        if isinstance(module, tuple):
            x = inception_module(x, *module, name=f"inception_{number}")
        else:
            x = downsample_module(x, module, name=f"downsample_{number}")
    x = layers.GlobalAveragePooling2D(name="mean_pool")(x)
    if dropout_rate:
        x = layers.Dropout(dropout_rate, name="dropout")(x)
    return keras.Model(inputs, logits(x, num_classes, initializer), name=name)
