"""Path norms: sums over all paths through a network of the product of |weight|^p along each.

Every weight is replaced by |w|^p, batch norm having been folded, ones go in, and logits are summed
(Neyshabur's code). Biases start paths of their own. Max-pooling takes the largest of its inputs.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from repro.norms.folding import DTYPE, ChannelScale, FoldedAway, fold_batch_norm

# What keeps a network of positive weights a sum over paths.
ALLOWED = (
    ChannelScale, FoldedAway, layers.Add, layers.AveragePooling2D, layers.Concatenate,
    layers.Conv2D, layers.Dense, layers.Dropout, layers.Flatten, layers.GlobalAveragePooling2D,
    layers.InputLayer, layers.MaxPooling2D, layers.ReLU, layers.ZeroPadding2D, layers.Activation,
)  # fmt: skip
ACTIVATIONS = (keras.activations.linear, keras.activations.relu)


def path_norm(model: keras.Model, p: float) -> float:
    """Return (sum over paths of prod |w|^p)^(1/p), batch norm folded first; inf beyond 1e308.

    Raises:
      ValueError: a layer is not positively linear.
    """
    log10 = log10_path_norm(model, p)
    return float("inf") if log10 > 308 else 10**log10


def log10_path_norm(model: keras.Model, p: float) -> float:
    """Return log10 of `path_norm`; -inf where all paths are cut.

    Args:
      model: as for `fold_batch_norm`, or what that returned.
      p: 1 or 2 in the papers.

    Raises:
      ValueError: a layer is not positively linear.
    """
    check_paths(model)
    folded = any(isinstance(layer, layers.BatchNormalization) for layer in model.layers)
    if folded or model.layers[-1].compute_dtype != DTYPE:
        model = fold_batch_norm(model)
    return _log10_sum(model, p)


def check_paths(model: keras.Model) -> None:
    """Raise ValueError for a network whose path norm does not exist.

    That is one with a layer that weights above 0 do not make linear, batch norm aside.
    """
    for layer in model.layers:
        activation = getattr(layer, "activation", keras.activations.linear)
        clipped = isinstance(layer, layers.ReLU) and (layer.max_value or layer.threshold)
        positive = isinstance(layer, (*ALLOWED, layers.BatchNormalization))
        if clipped or not positive or activation not in ACTIVATIONS:
            raise ValueError(f"no path norm through {layer.name} ({type(layer).__name__})")


def log10_around_batch_norm(model: keras.Model, p: float) -> float:
    """Return log10 of seed 000's quantity, which is no path norm: batch norm keeps its statistics.

    Weights, gammas and betas are raised to |w|^p, but running mean and variance stay as they were,
    so the mean of the original network is still subtracted. NaN where the sum is negative, -inf
    where it is 0.
    """
    return _log10_sum(model, p)


def _log10_sum(model: keras.Model, p: float) -> float:
    """Return log10 of (sum of logits)^(1/p) with weights |w|^p on an input of ones."""
    powered = [tf.abs(v.value) ** p for v in model.trainable_variables]
    dtype = model.layers[-1].compute_dtype
    ones = tf.ones((1, *model.input_shape[1:]), dtype)
    logits, _ = model.stateless_call(powered, model.non_trainable_variables, ones, training=False)
    total = float(tf.reduce_sum(tf.cast(logits, tf.float64)))
    if total <= 0:
        return float("-inf") if total == 0 else float("nan")
    return float(np.log10(total)) / p
