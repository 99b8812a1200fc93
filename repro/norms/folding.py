"""Batch norm folded into the weights: the same network in inference mode, without statistics.

In inference mode batch norm is x -> s x + t with s = gamma / sqrt(var + eps) and t = beta - s mean.
Behind a convolution or dense layer that nothing else reads, W <- s W and b <- t + s b. Elsewhere
(pre-activation networks, DenseNets, an axis that is not the layer's neurons) it becomes a
ChannelScale of weights s and t. The folded network computes in float64, so that products of its
weights do not overflow, and is compared with the original before it is given out.
"""

import keras
import numpy as np
import tensorflow as tf

from repro.models import graph as graphs
from repro.norms.copies import at_dtype, check_copy, difference, remade
from repro.norms.frobenius import float64_values

DTYPE = "float64"
# Two sums of the same float64 numbers in another order, over a hundred layers, relative to outputs.
TOLERANCE = 1e-8
# A subclass may compute anything: only these layers themselves take in a batch norm.
TAKES_IN = (
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
)


@keras.saving.register_keras_serializable("repro")
class ChannelScale(keras.layers.Layer):
    """x * kernel + bias with one number each per entry of an axis, in general the channels."""

    def __init__(self, axis: int = -1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def build(self, input_shape):
        shape = (input_shape[self.axis],)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer="ones")
        self.bias = self.add_weight(name="bias", shape=shape, initializer="zeros")

    def call(self, inputs: tf.Tensor, mask=None) -> tf.Tensor:  # cloning passes on a mask
        behind = len(inputs.shape) - 1 - self.axis % len(inputs.shape)
        shape = (-1, *[1] * behind)
        kernel, bias = (keras.ops.reshape(v, shape) for v in (self.kernel, self.bias))
        return inputs * kernel + bias

    def get_config(self) -> dict:
        return {**super().get_config(), "axis": self.axis}


@keras.saving.register_keras_serializable("repro")
class FoldedAway(keras.layers.Layer):
    """The identity, in the place of a batch norm that the layer before has taken in."""

    def call(self, inputs: tf.Tensor, mask=None) -> tf.Tensor:
        return inputs


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """Return a network of the same outputs in inference mode that has no batch norm.

    Args:
      model: a functional or Sequential network; models inside it are opened. Its weights are
        copied: after more training, `refold` brings the copy up to date.

    Returns:
      a network in float64. Kernels that took in a batch norm have a bias, whether or not they had
      one before.

    Raises:
      ValueError: the network has no graph, a batch norm lies inside a layer with a call of its own
        or is itself a subclass, or the folded network does not compute the same.
    """
    graph = graphs.trace(model)
    _check_norms(graph)
    preceding = _pairs(graph)
    followed = {layer: norm for norm, layer in preceding.items()}

    def fold(call: graphs.Call) -> keras.Operation:
        if isinstance(call.operation, keras.layers.BatchNormalization):
            if call.name in preceding:
                return FoldedAway(name=call.name, dtype=DTYPE)
            return ChannelScale(call.operation.axis, name=call.name, dtype=DTYPE)
        return remade(call, DTYPE, **({"use_bias": True} if call.name in followed else {}))

    folded = graphs.rebuild(graph, fold)
    if has_batch_norm(graph):
        _check_outputs(model, folded)
    refold(model, folded)
    return folded


def has_batch_norm(graph: graphs.Graph) -> bool:
    """Return whether a batch norm is among the layers of a graph."""
    return any(isinstance(x, keras.layers.BatchNormalization) for x in graph.layers().values())


def refold(model: keras.Model, folded: keras.Model) -> None:
    """Give a network of `fold_batch_norm(model)` the present weights of `model`."""
    graph = graphs.trace(model)
    layers = graph.layers()
    followed = {layer: norm for norm, layer in _pairs(graph).items()}
    for name, layer in layers.items():
        if not layer.weights:
            continue
        twin = folded.get_layer(name)
        if isinstance(layer, keras.layers.BatchNormalization):
            if isinstance(twin, ChannelScale):
                twin.set_weights(_scale_and_shift(layer))
        elif name in followed:
            scale, shift = _scale_and_shift(layers[followed[name]])
            kernel = float64_values(layer.kernel)  # outputs are the last axis
            bias = float64_values(layer.bias) if layer.use_bias else 0.0
            twin.set_weights([kernel * scale, shift + scale * bias])
        else:
            twin.set_weights([float64_values(v) for v in layer.weights])


def foldable(model: keras.Model) -> dict[str, str]:
    """Return batch norm -> the layer it can be folded into, by name, where there is one.

    That is the convolution or dense layer before it, if nothing else reads what that puts out, both
    are used once, and the norm's axis counts the layer's neurons. Names are those of the graph (see
    models/graph.py): of a layer inside a model `inner` it is `inner_` and its own.
    """
    return _pairs(graphs.trace(model))


def _pairs(graph: graphs.Graph) -> dict[str, str]:
    producer = {t.number: call for call in graph.calls for t in call.outputs}
    readers, times = graph.uses(), {}
    for call in graph.calls:
        times[call.name] = times.get(call.name, 0) + 1
    found = {}
    for call in graph.calls:
        if not isinstance(call.operation, keras.layers.BatchNormalization):
            continue
        before = producer.get(call.inputs[0].number)
        if (
            before is not None
            and graphs.kind(before.operation) in TAKES_IN
            and readers[call.inputs[0].number] == 1
            and times[call.name] == times[before.name] == 1
            and before.operation.activation is keras.activations.linear
            and call.operation.axis % len(call.inputs[0].shape) == _neurons(before)
        ):
            found[call.name] = before.name
    return found


def _neurons(call: graphs.Call) -> int:
    """Return the axis of a layer's output that counts its neurons."""
    first = getattr(call.operation, "data_format", None) == "channels_first"
    return 1 if first else len(call.outputs[0].shape) - 1


def _scale_and_shift(norm: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    mean, variance = float64_values(norm.moving_mean), float64_values(norm.moving_variance)
    gamma = float64_values(norm.gamma) if norm.scale else np.ones_like(mean)
    beta = float64_values(norm.beta) if norm.center else np.zeros_like(mean)
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return scale, beta - scale * mean


def _check_norms(graph: graphs.Graph) -> None:
    """Raise ValueError where a batch norm is hidden, or may compute something of its own."""
    norm = keras.layers.BatchNormalization
    for name, layer in graph.layers().items():
        if isinstance(layer, norm) and graphs.kind(layer) is not norm:
            raise ValueError(
                f"cannot fold {name} ({type(layer).__name__}): it is a subclass of "
                "BatchNormalization and may compute something else"
            )
        for inner in layer._flatten_layers(include_self=False):
            if isinstance(inner, norm):
                raise ValueError(
                    f"cannot fold the batch norm {inner.name} inside {name} "
                    f"({type(layer).__name__}), whose call is its own"
                )


def _check_outputs(model: keras.Model, folded: keras.Model) -> None:
    """Raise ValueError unless folding leaves the outputs, at statistics that it cannot overlook."""
    exact, rng = at_dtype(model, DTYPE), np.random.default_rng(0)
    inputs = graphs.random_inputs(graphs.trace(exact))
    check_copy(model, exact, inputs)
    for layer in exact.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for variable in layer.weights:
                signs = rng.choice([-1, 1], variable.shape)
                signs = 1 if variable is layer.moving_variance else signs
                variable.assign(rng.uniform(0.5, 1.5, variable.shape) * signs)
    refold(exact, folded)
    pairs = zip(*(keras.tree.flatten(net(inputs, training=False)) for net in (exact, folded)))
    for expected, found in pairs:
        error, scale = difference(expected, found)
        if error > TOLERANCE * max(scale, 1.0):
            raise ValueError(
                f"folding batch norm would change the outputs of {model.name} by {error:.2g} "
                f"(largest output: {scale:.2g})"
            )
