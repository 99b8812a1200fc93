"""Batch norm's statistics at a point of weight space, where no training has averaged any.

Without them a network between two others is evaluated with statistics that belong to neither.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf

from repro.landscape import batches
from repro.models import graph as graphs

VARIANTS = ("pooled", "reference")


def layers(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Return a network's batch-norm layers, those inside models and other layers too."""
    return [x for x in graphs.all_layers(model) if isinstance(x, keras.layers.BatchNormalization)]


def make_reestimate(
    model: keras.Model, variant: str = "pooled", *, frozen: bool = True
) -> Callable[[Iterable], None]:
    """Return `reestimate(dataset)`: set the moving statistics for the model's present weights.

    The network runs in training mode over the batches, each layer normalising by its batch, as in
    Garipov et al.'s `update_bn`. Batches count by the entries they have of a channel, which is by
    their examples; a layer that is used twice has the statistics of both uses together.

    * pooled: mean and variance over all examples: var = E[batch var + batch mean^2] - mean^2.
    * reference: theirs, the mean of the batches' unbiased variances, which leaves out how the
      means of batches differ.

    A network without batch norm is left as it is, at no cost. Dropout acts, as it does theirs.
    `dataset` holds batches of images [b, ...] or of pairs (images, labels), see batches.py.

    Args:
      model: any built network; a layer of it that is never called keeps its statistics.
      variant: one of VARIANTS.
      frozen: whether layers with `trainable=False` are re-estimated too. If not, they normalise by
        the statistics they have, as Keras does in training.

    Raises:
      ValueError: unknown variant; from `reestimate` also: no batches, endless ones, single
        examples, under `reference` a batch with a single entry of a channel, or statistics that are
        not finite, of which none is set.
    """
    if variant not in VARIANTS:
        raise ValueError(f"unknown variant {variant!r}; choose from {', '.join(VARIANTS)}")
    norms = [layer for layer in layers(model) if frozen or layer.trainable]
    if not norms:
        return lambda dataset: None

    @tf.function(autograph=False, reduce_retracing=True)
    def batch_statistics(images, state):
        # Not model.stateless_call: it fails for a subclass whose call takes no `training`.
        pairs = list(zip(model.non_trainable_variables, state))
        with _recorded(norms) as found, keras.StatelessScope(pairs) as scope:
            model(images, training=True)
            return found, [scope.get_current_value(v) for v in model.non_trainable_variables]

    def reestimate(dataset: Iterable) -> None:
        sums = {}  # number of a layer -> entries, and sums over them of mean and second moment
        moving = {id(v) for layer in norms for v in (layer.moving_mean, layer.moving_variance)}
        state = [
            # Times the momentum 0 they would be no numbers still.
            tf.where(tf.math.is_finite(v.value), v.value, 0) if id(v) in moving else v.value
            for v in model.non_trainable_variables
        ]
        for images in batches.inputs_of(model, dataset):
            found, state = batch_statistics(images, state)  # dropout's draws go on
            for k, uses in enumerate(found):
                for entries, mean, variance in uses:
                    entries = float(entries)
                    mean, variance = (np.asarray(s, np.float64) for s in (mean, variance))
                    if variant == "pooled":
                        second = variance + mean**2
                    else:
                        second = variance * _unbiased(entries, norms[k].name)
                    new = np.array([entries, entries * mean, entries * second], object)
                    sums[k] = sums.get(k, 0) + new
        statistics = {}
        for k, (entries, mean, second) in sums.items():
            mean, second = mean / entries, second / entries
            variance = np.maximum(second - mean**2, 0) if variant == "pooled" else second
            if not np.isfinite([mean, variance]).all():
                raise ValueError(
                    f"the statistics of {norms[k].name} are not finite: is there a NaN in "
                    "`dataset`, or a number too large to be squared, or have the weights diverged?"
                )
            statistics[k] = mean, variance
        for k, (mean, variance) in statistics.items():
            norms[k].moving_mean.assign(mean)
            norms[k].moving_variance.assign(variance)

    return reestimate


@contextlib.contextmanager
def _recorded(norms: list[keras.layers.BatchNormalization]) -> Iterator[list[list]]:
    """Record what each layer normalises by, while a model is traced in training mode.

    Yields:
      for each layer, for each of its calls: entries of a channel, mean [n], variance [n].
    """
    found, before = [[] for _ in norms], [(layer.momentum, layer._trainable) for layer in norms]

    def make_call(layer, call, uses):
        def recording(inputs, training=None, mask=None):
            outputs = call(inputs, training=True, mask=mask)
            entries = tf.size(inputs) // inputs.shape[layer.axis]
            if mask is not None:
                shares = tf.reduce_mean(tf.cast(mask, tf.float32))
                entries = tf.cast(entries, tf.float32) * shares
            uses.append(
                (entries, tf.identity(layer.moving_mean), tf.identity(layer.moving_variance))
            )
            return outputs

        return recording

    try:
        for layer, uses in zip(norms, found):
            # moving <- momentum * moving + (1 - momentum) * batch: at 0 it tells the batch's.
            layer.momentum = 0.0
            layer._trainable = True  # of this layer alone, and of no variable
            object.__setattr__(layer, "call", make_call(layer, layer.call, uses))
        yield found
    finally:
        for layer, (momentum, trainable) in zip(norms, before):
            object.__delattr__(layer, "call")
            layer.momentum, layer._trainable = momentum, trainable


def _unbiased(entries: float, name: str) -> float:
    """Return m / (m - 1) for the m entries of a channel in a batch."""
    if entries < 2:
        raise ValueError(
            f"a batch gives {name} a single entry of a channel, which has no unbiased variance: "
            "leave out the last, short batch or use the variant pooled"
        )
    return entries / (entries - 1)
