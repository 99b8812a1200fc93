"""The losses of examples computed in float64, which networks that fit their data need.

Cross entropy's second derivatives hold 1 - p, p being the probability of the true class. From
float32 outputs a tenth of that difference is rounding where an example's loss is 1e-7, and all of
it below 1e-8: a linear classifier, whose loss is convex, then seems to have negative curvature.
The outputs themselves are as exact as ever, and few: the loss alone is computed in float64. Where
they are probabilities 1 - p may be lost within the model, which then has to return logits.
"""

import copy
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

SMALL = 1e-5  # a loss of cross entropy of which float32 leaves a hundredth to rounding
STEEP = 0.1  # by which a loss changes with a probability; its slope is 1 or so


def in_float64(loss: Callable) -> Callable:
    """Return a loss that takes targets and outputs of any precision, and computes in float64.

    Args:
      loss: targets, outputs -> losses [b]. One of Keras's casts what it gets to a precision of its
        own, in place of which a copy of it has float64.
    """
    if isinstance(loss, keras.losses.Loss):
        loss = copy.copy(loss)
        loss._dtype_policy = keras.DTypePolicy("float64")
        loss._dtype = "float64"

    def exact(targets, outputs):
        return loss(*tf.nest.map_structure(_wide, (targets, outputs)))

    return exact


def exact_if_same(loss: Callable, targets, outputs, losses: tf.Tensor, agreement: float):
    """Return a loss in float64, or the loss itself where that fails or gives something else.

    Args:
      loss: targets, outputs -> losses [b]; one that mixes its outputs with float32 constants fails.
      targets, outputs: of some examples.
      losses: what the loss itself gives for them.
      agreement: difference up to which both agree, relative to losses or absolute.

    Raises:
      ValueError: the loss cannot be computed in float64, and is so small that it has to be.
    """
    exact, expected = in_float64(loss), np.asarray(tf.cast(losses, tf.float64))
    try:
        found = np.asarray(exact(targets, outputs), np.float64)
    except Exception as error:  # whatever a loss of the user's own raises
        problem = str(error).strip().partition("\n")[0][:200]
    else:
        close = {"rtol": agreement, "atol": agreement, "equal_nan": True}
        if found.shape == expected.shape and np.allclose(found, expected, **close):
            return exact
        problem = "it gives other losses then"
    if losses.dtype != tf.float64 and np.max(np.abs(expected)) < SMALL:
        raise ValueError(
            f"`loss` is below {SMALL:g}, where its second derivatives are lost to rounding, and "
            f"cannot be computed in float64 ({problem}): let it cast what it multiplies with, as "
            "in tf.cast(class_weights, outputs.dtype)"
        )
    return loss


def check_probabilities(loss: Callable, targets, outputs) -> None:
    """Raise ValueError where outputs are probabilities of whose 1 - p rounding leaves little.

    Such a loss falls by as much as a probability rises; one that is fitted to numbers, which may be
    a class's 0 and 1, is level where it is small.

    Args:
      loss, targets, outputs: of some examples; several outputs are not looked at.
    """
    if not tf.is_tensor(outputs) or outputs.dtype == tf.float64 or outputs.shape.rank != 2:
        return
    p = np.asarray(tf.cast(outputs, tf.float64))
    whole = p.shape[1] > 1 and (p >= 0).all() and np.allclose(p.sum(axis=1), 1, atol=1e-2)
    if not whole or (p.max(axis=1) < 1 - SMALL).any():
        return
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        losses = loss(targets, outputs)
    slope = tape.gradient(losses, outputs)
    if slope is not None and np.abs(np.asarray(tf.cast(slope, tf.float64))).max() > STEEP:
        raise ValueError(
            "`model` returns probabilities so near 1 that the rest is lost to rounding, and "
            "curvature with it: let it return logits (no softmax at its end), and `loss` take "
            "them (from_logits=True)"
        )


def _wide(x):
    return tf.cast(x, tf.float64) if x.dtype.is_floating else x
