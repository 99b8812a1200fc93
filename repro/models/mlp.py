"""The perceptrons of Zhang et al. 2017: one or three hidden layers of 512 ReLU units."""

import keras
from keras import layers

from repro.models.layers import logits


def mlp_1x512(input_shape, num_classes, **options) -> keras.Model:
    """2352-512-10 on 28x28x3: 1,209,866 parameters."""
    return _mlp("mlp_1x512", input_shape, num_classes, hidden_layers=1, **options)


def mlp_3x512(input_shape, num_classes, **options) -> keras.Model:
    """2352-512-512-512-10 on 28x28x3: 1,735,178 parameters."""
    return _mlp("mlp_3x512", input_shape, num_classes, hidden_layers=3, **options)


def _mlp(
    name: str,
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    hidden_layers: int,
    dropout_rate: float = 0.0,
    initializer: str = "glorot_uniform",
) -> keras.Model:
    inputs = keras.Input(input_shape, name="images")
    x = layers.Flatten(name="flatten")(inputs)
    for number in range(1, hidden_layers + 1):
        x = layers.Dense(
            512, activation="relu", kernel_initializer=initializer, name=f"dense_{number}"
        )(x)
        if dropout_rate:
            x = layers.Dropout(dropout_rate, name=f"dropout_{number}")(x)
    return keras.Model(inputs, logits(x, num_classes, initializer), name=name)
