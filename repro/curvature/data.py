"""Data as batches (inputs, targets, weights) that can be read again and again, or a ValueError."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

# Arrays (inputs, targets) or (inputs, targets, weights) with examples along the first axis, each of
# them an array or tuples, lists and dicts of arrays; or a batched tf.data.Dataset of such tuples.
Data = Sequence | tf.data.Dataset

MOST_BATCHES = 1_000_000  # of one pass

WANTED = (
    "`dataset` must be arrays (inputs, targets) or (inputs, targets, weights), or a batched "
    "tf.data.Dataset of such tuples"
)

NEGATIVE = "weights of `dataset` must not be negative"


def batches(dataset: Data, batch_size: int) -> tf.data.Dataset:
    """Return data as a dataset of batches (inputs, targets, weights float64 [b]).

    Weights say how much the loss of an example counts; without any all are 1. What has a method
    `dataset()` and a number `steps`, as batches for an evaluation have it, is taken for so many
    batches of that dataset.

    Args:
      dataset: see `Data`.
      batch_size: examples of arrays in one batch; a dataset is left as it is cut.

    Raises:
      ValueError: the data is no such thing, endless, unbatched, empty, can be read only once, or
        its parts have different numbers of examples. That a generator has no end is only found
        after MOST_BATCHES batches, by `bounded`.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} must be at least 1")
    if hasattr(dataset, "steps") and callable(getattr(dataset, "dataset", None)):
        dataset = dataset.dataset().take(dataset.steps)
    if isinstance(dataset, tf.data.Dataset):
        return _checked(dataset).map(_with_weights)
    return _sliced(dataset, batch_size)


def first(stream: tf.data.Dataset) -> tuple:
    """Return the first batch of `batches`, its first axes looked at.

    Raises:
      ValueError: there is none, or inputs, targets and weights differ in length.
    """
    batch = next(iter(stream.take(1)), None)
    if batch is None or 0 in [np.shape(x)[0] for x in tf.nest.flatten(batch) if np.ndim(x)]:
        raise ValueError("`dataset` has no examples to take the mean over")
    inputs, targets, weights = batch
    lengths = {np.shape(x)[0] if np.ndim(x) else None for x in tf.nest.flatten((inputs, targets))}
    if len(lengths) != 1 or None in lengths:
        raise ValueError(
            f"inputs {shapes(inputs)} and targets {shapes(targets)} of `dataset` do not share a "
            "first axis, that of the examples; if it is not batched, pass dataset.batch(1000)"
        )
    if np.shape(weights) != (*lengths,):
        raise ValueError(
            f"weights of `dataset` must have the shape {(*lengths,)}, one for each example, not "
            f"{np.shape(weights)}"
        )
    check_weights(weights)
    return batch


def check_weights(weights: tf.Tensor) -> None:
    """Raise ValueError where the weights of a batch are negative."""
    if np.min(weights) < 0:
        raise ValueError(NEGATIVE)


def shapes(structure) -> str:
    """Return the shapes of an array, or of several, for an error message."""
    return ", ".join(str(tuple(np.shape(x))) for x in tf.nest.flatten(structure))


def shares(stream: tf.data.Dataset, strategy: tf.distribute.Strategy) -> Iterable:
    """Return the batches cut into equal shares for the replicas of a strategy.

    Where a batch cannot be divided, copies of its first example fill it up, with the weight 0. So
    no replica is ever without an example, at which TensorFlow would abort the process.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return stream

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        here = replicas // context.num_input_pipelines
        begin = context.input_pipeline_id * here

        def cut(inputs, targets, weights):
            count = tf.shape(weights)[0]
            filled = -(-count // replicas) * replicas
            positions = tf.range(filled)
            weights = tf.concat([weights, tf.zeros(filled - count, weights.dtype)], 0)
            positions = tf.where(positions < count, positions, 0)

            def rows(x, whole=True):
                x = tf.gather(x, positions) if whole else x
                cells = tf.concat([[replicas, filled // replicas], tf.shape(x)[1:]], 0)
                x = tf.ensure_shape(tf.reshape(x, cells), [replicas, None, *x.shape[1:]])
                return x[begin : begin + here]

            inputs, targets = tf.nest.map_structure(rows, (inputs, targets))
            return tf.data.Dataset.from_tensor_slices((inputs, targets, rows(weights, False)))

        return stream.flat_map(cut)

    return strategy.distribute_datasets_from_function(of_worker)


def bounded(parts: Iterable) -> Iterator:
    """Yield batches up to MOST_BATCHES, as what a generator gives may have no end.

    Raises:
      ValueError: there are more.
    """
    for number, batch in enumerate(parts):
        if number == MOST_BATCHES:
            raise ValueError(
                f"`dataset` has more than {MOST_BATCHES} batches, or never ends: pass "
                "dataset.take(steps), or cut it into larger batches"
            )
        yield batch


def _checked(dataset: tf.data.Dataset) -> tf.data.Dataset:
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise ValueError(f"{WANTED}; its elements are {spec}")
    if _endless(dataset):
        raise ValueError(
            "`dataset` never ends (it was repeated): leave out repeat(), or pass "
            "dataset.take(steps)"
        )
    if not all(isinstance(s, tf.TensorSpec) for s in tf.nest.flatten(spec)):
        raise ValueError(
            "`dataset` holds sparse or ragged tensors: make them dense, by dataset.map with "
            f"tf.sparse.to_dense or x.to_tensor(); its elements are {spec}"
        )
    if any(s.shape.rank == 0 for s in tf.nest.flatten(spec) if hasattr(s, "shape")):
        raise ValueError("`dataset` is not batched: pass dataset.batch(1000)")
    return dataset


def _endless(dataset: tf.data.Dataset) -> bool:
    """Return whether a dataset is known to have no end, also where a filter hides it.

    What a generator gives may have an end or none: see `bounded`.
    """
    cardinality = int(dataset.cardinality())
    if cardinality != tf.data.UNKNOWN_CARDINALITY:
        return cardinality == tf.data.INFINITE_CARDINALITY
    if "TakeWhile" in type(dataset).__name__:
        return False
    before = dataset._inputs() if hasattr(dataset, "_inputs") else []
    return bool(before) and all(_endless(d) for d in before)


def _sliced(arrays, batch_size: int) -> tf.data.Dataset:
    """Return arrays cut into batches, in order: whole slices, not examples put together again."""
    if isinstance(arrays, list) and arrays and all(isinstance(a, tuple) for a in arrays):
        raise ValueError(f"{WANTED}; a list of batches must be joined, or made a dataset")
    if not isinstance(arrays, tuple | list) or len(arrays) not in (2, 3):
        way = ""
        if isinstance(arrays, Iterable) and not isinstance(arrays, tuple | list | dict):
            way = (
                "; what can only be iterated over becomes one by tf.data.Dataset.from_generator("
                "lambda: ..., output_signature=...)"
            )
        raise ValueError(f"{WANTED}, not {type(arrays).__name__}{way}")
    with tf.device("CPU"):
        tensors = tuple(_tensors(part) for part in arrays)
        for part in tf.nest.flatten(tensors):
            if part.shape.rank == 0:
                raise ValueError(f"{WANTED}; one of the arrays is a single number")
        inputs, targets = tensors[:2]
        if len({len(part) for part in tf.nest.flatten(tensors)}) != 1:
            weights = f" and weights {shapes(tensors[2])}" if len(tensors) == 3 else ""
            raise ValueError(
                f"inputs {shapes(inputs)}, targets {shapes(targets)}{weights} of `dataset` differ "
                "in their number of examples, the first axis"
            )
        tensors = _with_weights(*tensors)
        count = len(tensors[2])
        if count <= batch_size:  # starting a map for each pass takes longer than a small network
            return tf.data.Dataset.from_tensors(tensors)
        rows = tf.data.Dataset.range(0, count, batch_size)

    def cut(begin):
        return tf.nest.map_structure(lambda part: part[begin : begin + batch_size], tensors)

    return rows.map(tf.autograph.experimental.do_not_convert(cut))


def _tensors(part):
    """Return arrays as tensors; tf.data would stack the arrays of a list."""
    if isinstance(part, dict):
        return {name: _tensors(value) for name, value in part.items()}
    several = isinstance(part, tuple | list) and any(np.ndim(p) for p in part if _array(p))
    if several or (isinstance(part, tuple | list) and any(isinstance(p, dict) for p in part)):
        return tuple(_tensors(p) for p in part)
    try:
        return tf.convert_to_tensor(part)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{WANTED}; {type(part).__name__} is no array: {error}") from error


def _array(part) -> bool:
    return hasattr(part, "shape") and hasattr(part, "dtype")


@tf.autograph.experimental.do_not_convert
def _with_weights(inputs, targets, weights=None) -> tuple:
    if weights is None:
        count = tf.shape(tf.nest.flatten(inputs)[0])[:1]
        return inputs, targets, tf.ones(count, tf.float64)
    if tf.nest.is_nested(weights):
        raise ValueError("weights of `dataset` must be one array, a number for each example")
    return inputs, targets, tf.cast(weights, tf.float64)
