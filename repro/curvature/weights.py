"""A model's loss as a function of its weights, and weights as one flat float64 vector."""

import contextlib
import dataclasses
import fnmatch
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Point:
    """The weights at which curvature is looked at, and the model as a function of them."""

    outputs: Callable  # (weights, inputs) -> outputs, of the weights below, the others fixed
    weights: tuple[tf.Tensor, ...]
    names: tuple[str, ...]  # of the weights, such as `dense_1/kernel`

    @property
    def size(self) -> int:
        """Number of weights, the length of vectors."""
        return sum(w.shape.num_elements() for w in self.weights)


def point(
    model: keras.Model,
    *,
    at: Sequence[np.ndarray] | None = None,
    variables: Sequence[str] | None = None,
    training: bool = False,
) -> Point:
    """Return a point of a model's weight space.

    Args:
      model: any built Keras model. Its own weights are read here and never written.
      at: values for all of `model.trainable_variables`; None: the present ones.
      variables: glob patterns of `variable.path`, such as `*/kernel`; the others stay fixed and are
        no part of the vectors. None: all trainable ones.
      training: False: batch norm uses its moving statistics. True: those of each batch, through
        which the second derivative then goes (tensorflow_notes: exact only with `exact_moments`);
        moving statistics and the states of dropout are left as they are.

    Raises:
      ValueError: no weights, or `at` does not fit.
    """
    trainable = model.trainable_variables
    values = [tf.convert_to_tensor(v.value) for v in trainable]
    if at is not None:
        if [np.shape(a) for a in at] != [tuple(v.shape) for v in values]:
            raise ValueError(f"`at` must hold {len(values)} arrays shaped as the model's weights")
        values = [tf.cast(a, v.dtype) for a, v in zip(at, values)]
    patterns = ["*"] if variables is None else variables
    chosen = [
        number for number, variable in enumerate(trainable)
        if any(fnmatch.fnmatchcase(variable.path, pattern) for pattern in patterns)
    ]  # fmt: skip
    if not chosen:
        paths = ", ".join(v.path for v in trainable) or "none"
        raise ValueError(f"no trainable weights to differentiate; {model.name} has {paths}")
    state = [tf.convert_to_tensor(v.value) for v in model.non_trainable_variables]

    def outputs(weights, inputs):
        everything = list(values)
        for number, weight in zip(chosen, weights):
            everything[number] = weight
        with exact_moments():
            return model.stateless_call(everything, state, inputs, training=training)[0]

    names = tuple(trainable[number].path for number in chosen)
    return Point(outputs, tuple(values[number] for number in chosen), names)


@contextlib.contextmanager
def exact_moments() -> Iterator[None]:
    """Make the second derivatives of batch, layer and group norm right while a graph is traced.

    `tf.nn.moments` takes the variance around stop_gradient(mean). That leaves the gradient as it
    is, but the Hessian loses a term: up to 67 % off, silently. Keras's norms all call it.
    """
    original = tf.nn.moments

    def moments(x, axes, shift=None, keepdims=False, name=None):
        exact = tf.cast(x, tf.float32) if x.dtype in (tf.float16, tf.bfloat16) else x
        mean = tf.reduce_mean(exact, axes, keepdims=True)
        variance = tf.reduce_mean(tf.square(exact - mean), axes, keepdims=keepdims)
        if not keepdims:
            mean = tf.squeeze(mean, axes)
        return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)

    tf.nn.moments = moments
    try:
        yield
    finally:
        tf.nn.moments = original


def split(vector: tf.Tensor, weights: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Cut a flat vector [size] into tensors shaped and typed as the weights."""
    parts = tf.split(vector, [w.shape.num_elements() for w in weights])
    return [tf.cast(tf.reshape(p, w.shape), w.dtype) for p, w in zip(parts, weights)]


def join(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Join tensors into one flat float64 vector."""
    return tf.concat([tf.cast(tf.reshape(t, [-1]), tf.float64) for t in tensors], axis=0)
