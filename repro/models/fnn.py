"""The fully connected network of Wu, Ma, E 2018: 784-500-500-500-10, ReLU, 898,510 parameters."""

import keras
from keras import layers

from repro.models.layers import accumulation_dtype, torch_dense


def fnn(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    gain: float = 1.0,
    dropout_rate: float = 0.0,
    initializer: str | None = None,
    name: str = "fnn",
    units: int = 500,
) -> keras.Model:
    """Build the network, with PyTorch's initial weights.

    Args:
      input_shape: (28, 28, 1) has the paper's number of parameters.
      num_classes: 10.
      gain: of the initial kernels; the paper's sharpness-non-uniformity diagram has 0.5, 1 and 1.5.
      dropout_rate: after each hidden layer; the paper has none.
      initializer: Keras initializer of kernels in place of PyTorch's; `gain` then has no part.
      name: of the network.
      units: of each of the three hidden layers; the paper has 500.
    """
    start = {"gain": gain, "initializer": initializer}
    inputs = keras.Input(input_shape, name="images", dtype=accumulation_dtype())
    x = layers.Flatten(name="flatten")(inputs)
    for number in (1, 2, 3):
        x = torch_dense(x, units, activation="relu", name=f"dense_{number}", **start)
        if dropout_rate:
            x = layers.Dropout(dropout_rate, name=f"dropout_{number}")(x)
    x = torch_dense(x, num_classes, name="logits", dtype=accumulation_dtype(), **start)
    return keras.Model(inputs, x, name=name)


def fnn_tenth(input_shape, num_classes, **options) -> keras.Model:
    """A tenth of fnn's units, for trying out how a run goes."""
    return fnn(input_shape, num_classes, name="fnn_tenth", units=50, **options)
