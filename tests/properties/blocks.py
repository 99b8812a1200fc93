"""Pieces of random models, each from a tensor [b, ..., n] to another."""

import dataclasses

import keras
from keras import layers

SMOOTH = ("tanh", "softplus", "gelu", "sigmoid", None)  # an activation of None is linear
ACTIVATIONS = (*SMOOTH, "relu", "softmax")

ANYWHERE = ("dense", "batch norm", "layer norm", "residual", "shared", "nested", "gate", "dropout")
OF_IMAGES = ("conv", "depthwise", "grouped", "separable", "transposed", "pooling")
OF_SEQUENCES = ("lstm", "gru", "simple_rnn", "attention", "conv1d")
SOURCES = {
    **dict.fromkeys(OF_IMAGES, "images"),
    **dict.fromkeys(OF_SEQUENCES, "sequences"),
    "embedding": "words",
}
BLOCKS = {
    "vectors": ANYWHERE,
    "images": (*ANYWHERE, *OF_IMAGES),
    "sequences": (*ANYWHERE, *OF_SEQUENCES),
    "words": (*ANYWHERE, *OF_SEQUENCES),
}


@dataclasses.dataclass(frozen=True)
class Block:
    """A piece of a model, from a tensor to a tensor."""

    kind: str
    units: int
    activation: str | None
    bias: bool


def put(block: Block, x):
    """Return what a block makes of a tensor [b, ..., n]."""
    rank, width = len(x.shape), x.shape[-1]
    units, options = block.units, {"activation": block.activation, "use_bias": block.bias}
    make = {
        "dense": lambda: layers.Dense(units, **options)(x),
        "batch norm": lambda: layers.BatchNormalization(
            axis=-1 if block.bias else 1, scale=units > 1
        )(layers.Dense(units, use_bias=block.bias)(x)),
        "layer norm": lambda: layers.LayerNormalization(center=block.bias)(x),
        "residual": lambda: x + layers.Dense(width, **options)(layers.Dense(units, "tanh")(x)),
        "shared": lambda: _twice(layers.Dense(width, **options), x),
        "nested": lambda: _twice(_inner(x, options), x),
        "gate": lambda: layers.Multiply()([x, layers.Dense(width, "sigmoid")(x)]),
        "dropout": lambda: layers.Dropout(0.5)(x),
        "conv": lambda: layers.Conv2D(units, 2, padding="same", **options)(x),
        "depthwise": lambda: layers.DepthwiseConv2D(
            2, depth_multiplier=min(units, 2), padding="same", **options
        )(x),
        "grouped": lambda: layers.Conv2D(2 * units, 2, groups=2, padding="same", **options)(
            layers.Conv2D(4, 1)(x)
        ),
        "separable": lambda: layers.SeparableConv2D(units, 2, padding="same", **options)(x),
        "transposed": lambda: layers.Conv2DTranspose(units, 2, padding="same", **options)(x),
        "pooling": lambda: (layers.MaxPooling2D if block.bias else layers.AveragePooling2D)(
            2, padding="same"
        )(x),
        "lstm": lambda: layers.LSTM(units, return_sequences=True)(x),
        "gru": lambda: layers.GRU(units, return_sequences=True)(x),
        "simple_rnn": lambda: layers.SimpleRNN(units, return_sequences=True)(x),
        "attention": lambda: layers.MultiHeadAttention(2, units)(x, x),
        "conv1d": lambda: layers.Conv1D(units, 2, padding="causal", **options)(x),
    }
    assert rank > 2 or block.kind in ANYWHERE
    return make[block.kind]()


def _twice(layer, x):
    return layer(layer(x))


def _inner(x, options) -> keras.Model:
    """Return a model inside the model, which goes through a batch norm of its own."""
    inputs = keras.Input(x.shape[1:], dtype=x.dtype)
    hidden = layers.BatchNormalization()(layers.Dense(2, **options)(inputs))
    return keras.Model(inputs, layers.Dense(x.shape[-1])(hidden))
