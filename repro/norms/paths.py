"""Path norms: sums over all paths through a network of the product of |weight|^p along each.

Every weight is replaced by |w|^p, batch norm having been folded, ones go in, and logits are summed
(Neyshabur's code). Biases start paths of their own. Max-pooling takes the largest of its inputs,
average pooling their mean, as in that code: its 1 / size is no weight, and is not raised to p.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from repro.models import graph as graphs
from repro.norms.copies import check_kernels
from repro.norms.folding import DTYPE, ChannelScale, FoldedAway, fold_batch_norm, has_batch_norm

# What keeps a network of positive weights a sum over paths. A subclass may compute anything.
ALLOWED = (
    ChannelScale,
    FoldedAway,
    layers.Activation,
    layers.Add,
    layers.AveragePooling1D,
    layers.AveragePooling2D,
    layers.BatchNormalization,
    layers.Concatenate,
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.Dense,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.Dropout,
    layers.Flatten,
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.Identity,
    layers.MaxPooling1D,
    layers.MaxPooling2D,
    layers.ReLU,
    layers.Reshape,
    layers.SeparableConv1D,
    layers.SeparableConv2D,
    layers.ZeroPadding1D,
    layers.ZeroPadding2D,
)
# Of operations that are no layers, by the name Keras gives their class: `a + b`, keras.ops.relu(a).
ALLOWED_OPERATIONS = ("Add", "Relu")
ACTIVATIONS = (keras.activations.linear, keras.activations.relu)


def path_norm(model: keras.Model, p: float) -> float:
    """Return (sum over paths of prod |w|^p)^(1/p), batch norm folded first.

    Infinite where the sum or what it passes on the way is beyond 1e308.

    Raises:
      ValueError: a layer is not positively linear.
    """
    log10 = log10_path_norm(model, p)
    return float("inf") if log10 > 308 else 10**log10


def log10_path_norm(model: keras.Model, p: float) -> float:
    """Return log10 of `path_norm`; -inf where all paths are cut, or their sum is below 1e-308.

    Args:
      model: as for `fold_batch_norm`, or what that returned.
      p: above 0; 1 or 2 in the papers.

    Raises:
      ValueError: p is not such a number, or a layer is not positively linear.
    """
    if not 0 < p < float("inf"):
        raise ValueError(f"p={p} of a path norm must be a number above 0")
    graph = check_paths(model)
    exact = all(layer.compute_dtype == DTYPE for layer in graph.layers().values())
    if has_batch_norm(graph) or not exact:
        model = fold_batch_norm(model)
    return _log10_sum(model, p)


def check_paths(model: keras.Model) -> graphs.Graph:
    """Return the graph of a network whose path norm exists.

    Raises:
      ValueError: a layer that weights above 0 do not make linear, batch norm aside, a subclass of
        such a layer, whose call may be its own, or no graph at all; see also check_kernels.
    """
    graph = graphs.trace(model)
    check_kernels(model)
    for call in graph.calls:
        layer = call.operation
        activation = getattr(layer, "activation", keras.activations.linear)
        clipped = type(layer) is layers.ReLU and (layer.max_value or layer.threshold)
        positive = graphs.kind(layer) in ALLOWED or (
            type(layer).__name__ in ALLOWED_OPERATIONS
            and not isinstance(layer, layers.Layer)
            and len(call.args) == len(call.inputs)  # no constants beside tensors
        )
        if clipped or not positive or activation not in ACTIVATIONS:
            raise ValueError(f"no path norm through {call.name} ({type(layer).__name__})")
    return graph


def log10_around_batch_norm(model: keras.Model, p: float) -> float:
    """Return log10 of the JAX rerun's quantity, no path norm: batch norm keeps its statistics.

    Weights, gammas and betas are raised to |w|^p, but running mean and variance stay as they were,
    so the mean of the original network is still subtracted. NaN where the sum is negative, -inf
    where it is 0.
    """
    return _log10_sum(model, p)


def _log10_sum(model: keras.Model, p: float) -> float:
    """Return log10 of (sum of logits)^(1/p) with weights |w|^p on an input of ones."""
    # All weights, frozen ones too, but no statistics and no states of dropout.
    kept = {
        id(v)
        for layer in graphs.all_layers(model)
        if isinstance(layer, layers.BatchNormalization)
        for v in (layer.moving_mean, layer.moving_variance)
    }
    raised = {id(v) for v in model.weights} - kept
    trainable, fixed = (
        [tf.abs(v.value) ** p if id(v) in raised else v.value for v in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )
    ones = keras.tree.map_structure(_ones, graphs.trace(model).inputs)
    logits, _ = model.stateless_call(trainable, fixed, ones, training=False)
    total = sum(float(tf.reduce_sum(tf.cast(x, tf.float64))) for x in keras.tree.flatten(logits))
    if total <= 0:
        return float("-inf") if total == 0 else float("nan")
    return float(np.log10(total)) / p


def _ones(tensor: graphs.Tensor) -> tf.Tensor:
    if None in tensor.shape[1:]:
        raise ValueError(
            f"no path norm: the input {tensor.name} has open sizes {list(tensor.shape[1:])}; build "
            "the network for images of one size"
        )
    return tf.ones((1, *tensor.shape[1:]), tensor.dtype)
