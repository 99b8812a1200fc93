"""The losses of examples computed in float64, which networks that fit their data need.

Cross entropy's second derivatives hold 1 - p, p being the probability of the true class. From
float32 outputs a tenth of that difference is rounding where an example's loss is 1e-7, and all of
it below 1e-8: a linear classifier, whose loss is convex, then seems to have negative curvature.
The outputs themselves are as exact as ever, and few: the loss alone is computed in float64. (Of
probabilities as outputs 1 - p is lost before: a model has to return logits.)
"""

import copy
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

SMALL = 1e-5  # a loss of cross entropy of which float32 leaves a hundredth to rounding


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
    if losses.dtype != tf.float64 and np.max(expected) < SMALL:
        raise ValueError(
            f"`loss` is below {SMALL:g}, where its second derivatives are lost to rounding, and "
            f"cannot be computed in float64 ({problem}): let it cast what it multiplies with, as "
            "in tf.cast(class_weights, outputs.dtype)"
        )
    return loss


def _wide(x):
    return tf.cast(x, tf.float64) if x.dtype.is_floating else x
