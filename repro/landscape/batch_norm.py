"""Batch norm's statistics at a point of weight space, where no training has averaged any.

Without them a network between two others is evaluated with statistics that belong to neither.
"""

from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

VARIANTS = ("pooled", "reference")


def layers(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Return a network's batch-norm layers."""
    return [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]


def make_reestimate(model: keras.Model, variant: str = "pooled") -> Callable:
    """Return `reestimate(batches)`: set the moving statistics for the model's present weights.

    The network runs in training mode over `batches`, each layer normalising by its batch, as in
    Garipov et al.'s `update_bn`. Batches count by their size.

    * pooled: mean and variance over all examples: var = E[batch var + batch mean^2] - mean^2.
    * reference: theirs, the mean of the batches' unbiased variances, which leaves out how the
      means of batches differ.

    A network without batch norm is left as it is, at no cost. Dropout acts, as it does theirs.

    Args:
      model: the network; `batches` are iterables of images [b, ...].
      variant: one of VARIANTS.

    Raises:
      ValueError: unknown variant.
    """
    if variant not in VARIANTS:
        raise ValueError(f"unknown variant {variant!r}; choose from {', '.join(VARIANTS)}")
    norms = layers(model)
    if not norms:
        return lambda batches: None
    moving = [v for layer in norms for v in (layer.moving_mean, layer.moving_variance)]
    places = {v.path: place for place, v in enumerate(model.non_trainable_variables)}
    ours = [places[v.path] for v in moving]
    # moving <- momentum * moving + (1 - momentum) * batch: started at 0 it tells the batch's.
    shares = [1 - layer.momentum for layer in norms for _ in range(2)]

    @tf.function(reduce_retracing=True)
    def batch_statistics(images):
        fixed = [v.value for v in model.non_trainable_variables]
        for place in ours:
            fixed[place] = tf.zeros_like(fixed[place])
        trainable = [v.value for v in model.trainable_variables]
        _, after = model.stateless_call(trainable, fixed, images, training=True)
        return [after[place] / share for place, share in zip(ours, shares)]

    def reestimate(batches: Iterable[tf.Tensor]) -> None:
        count, sums = 0, [0.0] * len(moving)
        for images in batches:
            size = len(images)
            found = [np.asarray(s, np.float64) for s in batch_statistics(images)]
            for k, layer in enumerate(norms):
                mean, variance = found[2 * k : 2 * k + 2]
                if variant == "pooled":
                    second = variance + mean**2
                else:
                    second = variance * _unbiased(size, layer)
                sums[2 * k] = sums[2 * k] + size * mean
                sums[2 * k + 1] = sums[2 * k + 1] + size * second
            count += size
        for k in range(len(norms)):
            mean, second = sums[2 * k] / count, sums[2 * k + 1] / count
            moving[2 * k].assign(mean)
            moving[2 * k + 1].assign(second - mean**2 if variant == "pooled" else second)

    return reestimate


def _unbiased(batch: int, layer: keras.layers.BatchNormalization) -> float:
    """Return m / (m - 1) for the m entries of a channel in a batch."""
    entries = batch * int(np.prod(layer.input.shape[1:-1]))
    return entries / (entries - 1)
