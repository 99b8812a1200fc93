"""Inception V3, the paper's network for ImageNet (Figure 2a, Table 2)."""

import keras
from keras import layers

from repro.models.layers import logits


def inception_v3(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    dropout_rate: float = 0.0,
    initializer: str = "glorot_uniform",
) -> keras.Model:
    """Keras's Inception V3 without its top, then dropout and the last layer.

    Its batch norm is Keras's own, whose second derivatives in training mode are not exact.
    """
    trunk = keras.applications.InceptionV3(
        include_top=False, weights=None, input_shape=input_shape, pooling="avg"
    )
    x = trunk.output
    if dropout_rate:
        x = layers.Dropout(dropout_rate, name="dropout")(x)
    return keras.Model(trunk.input, logits(x, num_classes, initializer), name="inception_v3")
