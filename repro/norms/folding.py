"""Batch norm folded into the weights: the same network in inference mode, without statistics.

In inference mode batch norm is x -> s x + t with s = gamma / sqrt(var + eps) and t = beta - s mean.
Behind a convolution or dense layer that nothing else reads, W <- s W and b <- t + s b. Elsewhere
(pre-activation networks, DenseNets) it becomes a ChannelScale of weights s and t. The folded
network computes in float64, so that products of its weights do not overflow.
"""

from collections import Counter

import keras
import numpy as np
import tensorflow as tf

from repro.norms.frobenius import float64_values

DTYPE = "float64"


@keras.saving.register_keras_serializable("repro")
class ChannelScale(keras.layers.Layer):
    """x * kernel + bias with one number each per channel, the last axis."""

    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer="ones")
        self.bias = self.add_weight(name="bias", shape=shape, initializer="zeros")

    def call(self, inputs: tf.Tensor, mask=None) -> tf.Tensor:  # cloning passes on a mask
        return inputs * self.kernel + self.bias


@keras.saving.register_keras_serializable("repro")
class FoldedAway(keras.layers.Layer):
    """The identity, in the place of a batch norm that the layer before has taken in."""

    def call(self, inputs: tf.Tensor, mask=None) -> tf.Tensor:
        return inputs


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """Return a network of the same outputs in inference mode that has no batch norm.

    Args:
      model: a functional or sequential network; each layer is used once. Its weights are copied:
        after more training, `refold` brings the copy up to date.

    Returns:
      a network in float64. Kernels that took in a batch norm have a bias, whether or not they had
      one before.
    """
    preceding = foldable(model)
    followed = {layer: norm for norm, layer in preceding.items()}

    def fold(layer):
        config = {**layer.get_config(), "dtype": DTYPE}
        if layer.name in followed:
            config["use_bias"] = True
        if not isinstance(layer, keras.layers.BatchNormalization):
            return type(layer).from_config(config)
        kind = FoldedAway if layer.name in preceding else ChannelScale
        return kind(name=layer.name, dtype=DTYPE)

    folded = keras.models.clone_model(model, clone_function=fold)
    refold(model, folded)
    return folded


def at_dtype(model: keras.Model, dtype: str) -> keras.Model:
    """Return a copy of a network, on one device, that computes in another precision.

    Args:
      model: as for `fold_batch_norm`.
      dtype: of its weights and layers, such as float64.
    """

    def convert(layer):
        return type(layer).from_config({**layer.get_config(), "dtype": dtype})

    copy = keras.models.clone_model(model, clone_function=convert)
    copy.set_weights(model.get_weights())
    return copy


def refold(model: keras.Model, folded: keras.Model) -> None:
    """Give a network of `fold_batch_norm(model)` the present weights of `model`."""
    followed = {layer: norm for norm, layer in foldable(model).items()}
    for layer in model.layers:
        if not layer.weights:
            continue
        twin = folded.get_layer(layer.name)
        if isinstance(layer, keras.layers.BatchNormalization):
            if isinstance(twin, ChannelScale):
                twin.set_weights(_scale_and_shift(layer))
        elif layer.name in followed:
            scale, shift = _scale_and_shift(model.get_layer(followed[layer.name]))
            kernel = float64_values(layer.kernel)  # outputs are the last axis
            bias = float64_values(layer.bias) if layer.use_bias else 0.0
            twin.set_weights([kernel * scale, shift + scale * bias])
        else:
            twin.set_weights([float64_values(v) for v in layer.weights])


def foldable(model: keras.Model) -> dict[str, str]:
    """Return batch norm -> the layer it can be folded into, by name, where there is one.

    That is the convolution or dense layer before it, if nothing else reads what that puts out.
    """
    producer = {id(layer.output): layer for layer in model.layers}
    read = [*model.outputs, *(t for layer in model.layers for t in keras.tree.flatten(layer.input))]
    readers = Counter(map(id, read))
    found = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            before = producer.get(id(layer.input))
            linear = isinstance(before, keras.layers.Conv2D | keras.layers.Dense)
            if linear and readers[id(layer.input)] == 1 and _is_linear(before):
                found[layer.name] = before.name
    return found


def _is_linear(layer: keras.layers.Layer) -> bool:
    return layer.activation is keras.activations.linear


def _scale_and_shift(norm: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    mean, variance = float64_values(norm.moving_mean), float64_values(norm.moving_variance)
    gamma = float64_values(norm.gamma) if norm.scale else np.ones_like(mean)
    beta = float64_values(norm.beta) if norm.center else np.zeros_like(mean)
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return scale, beta - scale * mean
