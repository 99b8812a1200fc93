"""A model's loss as a function of its weights, and weights as one flat float64 vector."""

import contextlib
import dataclasses
import fnmatch
import threading
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Point:
    """The weights at which curvature is looked at, and the model as a function of them."""

    call: Callable = dataclasses.field(repr=False)  # (all trainable weights, inputs) -> outputs
    values: tuple[tf.Tensor, ...] = dataclasses.field(repr=False)  # all trainable weights
    chosen: tuple[int, ...]  # the positions among them of those that are differentiated
    names: tuple[str, ...]  # of the chosen ones, such as `dense_1/kernel`

    @property
    def weights(self) -> tuple[tf.Tensor, ...]:
        """The weights that are differentiated."""
        return tuple(self.values[number] for number in self.chosen)

    @property
    def size(self) -> int:
        """Number of weights that are differentiated, the length of vectors."""
        return sum(w.shape.num_elements() for w in self.weights)

    def outputs(self, weights: Sequence[tf.Tensor], inputs):
        """Return the model's outputs at other values of the chosen weights, the others fixed."""
        everything = list(self.values)
        for number, weight in zip(self.chosen, weights):
            everything[number] = weight
        return self.call(everything, inputs)

    def moved(self, at: Sequence) -> "Point":
        """Return the point where all trainable weights have other values.

        Raises:
          ValueError: `at` holds other shapes than the weights.
        """
        if [tuple(np.shape(a)) for a in at] != [tuple(v.shape) for v in self.values]:
            raise ValueError(
                f"`at` must hold {len(self.values)} arrays shaped as the model's trainable weights"
            )
        values = tuple(tf.cast(a, v.dtype) for a, v in zip(at, self.values))
        return dataclasses.replace(self, values=values)


def point(
    model: keras.Layer,
    *,
    at: Sequence[np.ndarray] | None = None,
    variables: str | Sequence[str] | None = None,
    training: bool = False,
) -> Point:
    """Return a point of a model's weight space.

    Args:
      model: any built Keras model. Its own weights are read here and never written.
      at: values for all of `model.trainable_variables`; None: the present ones.
      variables: glob patterns of `variable.path`, such as `*/kernel`, or one of them; the weights
        that match none stay fixed and are no part of the vectors. None: all trainable ones.
      training: False: batch norm uses its moving statistics. True: those of each batch, through
        which the second derivative then goes (right only with `exact_moments`); moving statistics
        and the states of dropout are left as they are.

    Raises:
      ValueError: no Keras model, an unbuilt or quantised one, no weights, a pattern that matches
        none, or an `at` that does not fit.
    """
    if not isinstance(model, keras.Layer):
        raise ValueError(f"`model` must be a Keras model, not {type(model).__name__}")
    if not model.built:
        raise ValueError(
            f"`model` {model.name} is not built, so it has no weights yet: call it on a batch, "
            "model(inputs), and load or train its weights before"
        )
    quantised = [x.name for x in model._flatten_layers() if x.quantization_mode]
    if quantised:
        raise ValueError(
            f"`model` {model.name} is quantised ({', '.join(quantised)}), so its loss is a "
            "staircase without curvature: measure it before quantize()"
        )
    trainable, fixed = model.trainable_variables, model.non_trainable_variables
    chosen = _chosen([v.path for v in trainable], variables, model.name)
    values = tuple(tf.convert_to_tensor(v.value) for v in trainable)
    state = [tf.convert_to_tensor(v.value) for v in fixed]

    def call(everything, inputs):
        mapping = [*zip(trainable, everything), *zip(fixed, state)]
        with exact_moments(), keras.StatelessScope(state_mapping=mapping):
            return model(inputs, training=training)

    names = tuple(trainable[number].path for number in chosen)
    here = Point(call, values, chosen, names)
    return here if at is None else here.moved(at)


def _chosen(paths: list[str], patterns: str | Sequence[str] | None, name: str) -> tuple[int, ...]:
    """Return the positions of the paths that match one of the patterns."""
    if patterns is None:
        patterns = ["*"]
    elif isinstance(patterns, str):
        patterns = [patterns]
    matches = [[n for n, p in enumerate(paths) if fnmatch.fnmatchcase(p, q)] for q in patterns]
    for pattern, numbers in zip(patterns, matches):
        if not numbers:
            which = "to differentiate" if pattern == "*" else f"match `variables` {pattern!r}"
            known = ", ".join(paths) or "none"
            raise ValueError(f"no trainable weights {which}; {name} has {known}")
    if not patterns:
        raise ValueError("`variables` holds no pattern; None stands for all trainable weights")
    return tuple(sorted({number for numbers in matches for number in numbers}))


_LOCK = threading.Lock()
_USERS = 0  # of the exact moments, over all threads
_ORIGINAL = tf.nn.moments


@contextlib.contextmanager
def exact_moments() -> Iterator[None]:
    """Make the second derivatives of batch, layer and group norm right while a graph is traced.

    `tf.nn.moments` takes the variance around stop_gradient(mean). That leaves the gradient as it
    is, but the Hessian loses a term: up to 67 % off, silently. Keras's norms all call it. Replicas
    are traced in threads that take turns: the last one to leave puts TensorFlow's own back.
    """
    global _USERS, _ORIGINAL
    with _LOCK:
        if _USERS == 0:
            _ORIGINAL, tf.nn.moments = tf.nn.moments, _moments
        _USERS += 1
    try:
        yield
    finally:
        with _LOCK:
            _USERS -= 1
            if _USERS == 0:
                tf.nn.moments = _ORIGINAL


def _moments(x, axes, shift=None, keepdims=False, name=None):
    exact = tf.cast(x, tf.float32) if x.dtype in (tf.float16, tf.bfloat16) else x
    mean = tf.reduce_mean(exact, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(exact - mean), axes, keepdims=keepdims)
    if not keepdims:
        mean = tf.squeeze(mean, axes)
    return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)


def split(vector: tf.Tensor, weights: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Cut a flat vector [size] into tensors shaped and typed as the weights."""
    parts = tf.split(vector, [w.shape.num_elements() for w in weights])
    return [tf.cast(tf.reshape(p, w.shape), w.dtype) for p, w in zip(parts, weights)]


def join(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Join tensors into one flat float64 vector."""
    return tf.concat([tf.cast(tf.reshape(t, [-1]), tf.float64) for t in tensors], axis=0)
