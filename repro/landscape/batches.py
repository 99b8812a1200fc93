"""Batches of whatever a model is fed: arrays alone, pairs with labels, or pairs with weights."""

from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf

MOST_BATCHES = 1_000_000  # what gives more is taken for endless


def inputs_of(model: keras.Model, dataset: Iterable) -> Iterator:
    """Yield the inputs of the model, batch by batch.

    Args:
      model: any built Keras model.
      dataset: an iterable of batches, such as a tf.data.Dataset. A batch is what the model takes:
        an array [b, ...], or for a model of several inputs their list, tuple or dictionary; or, as
        Keras's `fit` has it, a tuple (inputs, labels) or (inputs, labels, weights). Examples whose
        weight is 0 are padding and are left out.

    Raises:
      ValueError: there are no batches, they never end (which of a generator or behind a filter is
        only found after MOST_BATCHES), they are single examples, or their weights differ otherwise.
    """
    if isinstance(dataset, tf.data.Dataset) and int(dataset.cardinality()) == -1:
        raise ValueError("dataset never ends: leave out repeat(), or add take(number of batches)")
    if isinstance(dataset, np.ndarray | tf.Tensor):
        raise ValueError("dataset must be batches: give one array as [array], or cut it into some")
    empty = True
    for number, batch in enumerate(dataset):
        if number == MOST_BATCHES:
            raise ValueError(f"dataset never ends, or has over {MOST_BATCHES} batches: add take(n)")
        inputs, weights = _split(model, batch)
        if weights is not None:
            inputs = _unpadded(inputs, np.asarray(weights))
        ranks = [len(x.shape) for x in getattr(model, "inputs", None) or ()]
        parts = keras.tree.flatten(inputs)
        if ranks and [len(_array(x).shape) for x in parts] != ranks:
            raise ValueError(
                f"dataset must give batches: the model takes {_shapes(model.inputs)}, found "
                f"{_shapes(parts)}; use dataset.batch(...) where these are single examples"
            )
        if len(parts[0]):
            empty = False
            yield inputs
    if empty:
        raise ValueError("dataset has no batches (a generator can be read only once)")


def _split(model: keras.Model, batch) -> tuple:
    """Return the inputs and weights (or None) of what a dataset gives."""
    several = len(getattr(model, "inputs", None) or ()) > 1
    if not isinstance(batch, tuple | list) or (several and isinstance(batch, list)):
        return batch, None
    # For several inputs, (a, b) alone can only be these inputs; ((a, b), labels) has labels too.
    if several and not isinstance(batch[0], tuple | list | dict):
        return batch, None
    return batch[0], batch[2] if len(batch) > 2 else None


def _unpadded(inputs, weights: np.ndarray):
    kept = np.flatnonzero(weights)
    if len(kept) and np.ptp(weights[kept]):
        raise ValueError("the weights of a dataset's examples must be equal, or 0 for padding")
    if len(kept) == len(weights):
        return inputs
    return keras.tree.map_structure(lambda x: tf.gather(x, kept), inputs)


def _shapes(tensors) -> str:
    """Return the shapes of tensors in words; an open size is written `b`."""
    shapes = [["b" if n is None else n for n in x.shape] for x in map(_array, tensors)]
    return ", ".join("[" + ", ".join(map(str, shape)) + "]" for shape in shapes)


def _array(x):
    return x if hasattr(x, "shape") else np.asarray(x)
