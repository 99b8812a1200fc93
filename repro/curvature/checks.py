"""A look at three examples before anything is differentiated: what would give a wrong number."""

import contextlib
import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from repro.curvature.data import shapes
from repro.curvature.exact_loss import check_probabilities, exact_if_same
from repro.curvature.full_float32 import full_float32
from repro.models import graph as graphs

ROUNDING = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


@dataclasses.dataclass(frozen=True)
class Look:
    """What three examples told."""

    agreement: float  # relative difference up to which two ways to one product agree
    loss: Callable = dataclasses.field(repr=False)  # that was given, in float64 where it can be


@full_float32()
def look(model: keras.Layer, here, loss, batch: tuple) -> Look:
    """Look at a model and a loss on up to three examples of a batch.

    Args:
      model: of which `here` is a point.
      here: a weights.Point.
      loss: targets, outputs -> losses [b].
      batch: inputs, targets and weights of `data.first`.

    Raises:
      ValueError: the model does not take the inputs; the loss does not take the targets, does not
        return one number for each example, mixes examples, or is lost to rounding, see exact_loss;
        TensorFlow has a TPU.
    """
    inputs, targets, _ = batch
    count = len(tf.nest.flatten(inputs)[0])
    rows = sorted({0, count // 2, count - 1})
    _inputs_fit(model, inputs)
    inputs, targets = (_rows(part, rows) for part in (inputs, targets))
    try:
        outputs = here.outputs(here.weights, inputs)
    except Exception as error:
        raise ValueError(
            f"{model.name} does not take the inputs of `dataset`, {shapes(inputs)} for "
            f"{len(rows)} examples: {_line(error)}"
        ) from error
    losses = _losses(loss, targets, outputs)
    if losses.shape != (len(rows),) or not losses.dtype.is_floating:
        raise ValueError(_shape_message(losses, len(rows), targets, outputs))
    _apart(loss, targets, outputs, losses)
    check_probabilities(loss, targets, outputs)
    rounding = max(ROUNDING.get(name, 0.0) for name in (*_precisions(model), losses.dtype.name))
    agreement = rounding**0.5
    return Look(agreement, exact_if_same(loss, targets, outputs, losses, agreement))


def _precisions(model: keras.Layer) -> set[str]:
    """Return in what layers compute, but for those that only hand on, made under any policy."""
    return {
        layer.compute_dtype
        for layer in model._flatten_layers()
        if not isinstance(layer, keras.layers.InputLayer) and graphs.graph_of(layer) is None
    }


def _inputs_fit(model: keras.Layer, inputs) -> None:
    """Refuse single examples and too many inputs, which Keras would broadcast or leave out."""
    wanted, given = getattr(model, "inputs", None) or [], tf.nest.flatten(inputs)
    if wanted and len(wanted) != len(given):
        raise ValueError(
            f"{model.name} does not take the inputs of `dataset`: it has {len(wanted)}, and these "
            f"are {len(given)}, {shapes(inputs)}"
        )
    for symbol, tensor in zip(wanted, given):
        one = tf.TensorShape(symbol.shape[1:])  # one example's
        if tensor.shape.is_compatible_with(one) and one != [1]:
            raise ValueError("`dataset` is not batched: pass dataset.batch(1000)")


def _losses(loss, targets, outputs) -> tf.Tensor:
    try:
        return tf.convert_to_tensor(loss(targets, outputs))
    except Exception as error:
        hints = []
        for t, o in zip(tf.nest.flatten(targets), tf.nest.flatten(outputs)):
            if t.shape.rank == 2 and t.shape[1] == 1:
                hints.append("a column of labels becomes a vector by labels[:, 0]")
            if t.dtype.is_floating and t.dtype != o.dtype:
                hints.append(f"targets are {t.dtype.name} and outputs {o.dtype.name}")
        raise ValueError(
            "; ".join(
                [
                    f"`loss` failed on targets {shapes(targets)} and outputs {shapes(outputs)}: "
                    f"{_line(error)}",
                    *dict.fromkeys(hints),
                ]
            )
        ) from error


def _shape_message(losses: tf.Tensor, count: int, targets, outputs) -> str:
    text = (
        f"`loss` must return one floating-point number for each example, shape [b]: ({count},) for "
        f"{count} examples; it returned {losses.dtype.name} of shape {tuple(losses.shape)} for "
        f"targets {shapes(targets)} and outputs {shapes(outputs)}"
    )
    if losses.shape.rank == 0:
        return (
            f"{text}. A mean over the batch counts small batches too much: a loss object of Keras "
            'wants reduction="none", a function of your own no mean over the first axis'
        )
    ranks = [x.shape.rank for x in tf.nest.flatten((targets, outputs))]
    if tuple(losses.shape) == (count, count) and sorted(ranks) == [1, 2]:
        return (
            f"{text}. Every target met every output: give both the same shape, by outputs[:, 0] "
            "or targets[:, None]"
        )
    if losses.shape.rank and losses.shape[0] == count:
        return (
            f"{text}. Of the losses of tokens, pixels or outputs return the sum, "
            'tf.reduce_sum(losses, axis=1) and so on (a loss object of Keras: reduction="none", '
            "then the sum)"
        )
    return f'{text}. Leave out means over the first axis (Keras: reduction="none")'


def _apart(loss, targets, outputs, losses) -> None:
    """Refuse a loss whose value for one example depends on the others' targets or outputs."""
    if len(losses) == 1:
        return
    alone = _losses(loss, _rows(targets, [0]), _rows(outputs, [0]))
    # Targets may be equal by chance, or sorted: move the others', where they are real numbers.
    others = tf.cast(tf.range(len(losses)) > 0, tf.float64)

    def moved(x):
        shift = tf.reshape(others, [-1] + [1] * (x.shape.rank - 1))
        return x + tf.cast(shift, x.dtype) if x.dtype.is_floating else x

    values = [losses[0]]
    with contextlib.suppress(ValueError):  # moved targets may be none that the loss can take
        values.append(_losses(loss, tf.nest.map_structure(moved, targets), outputs)[0])
    for value in values:
        gap = np.abs(np.float64(value) - np.float64(alone[0]))
        if gap > 1e-3 * max(abs(np.float64(alone[0])), 1e-6):
            raise ValueError(
                f"`loss` mixes examples: that of the first is {float(alone[0]):.6g} alone and "
                f"{float(value):.6g} among {len(losses)}, for targets {shapes(targets)} and "
                f"outputs {shapes(outputs)}; do their shapes broadcast against each other? Give "
                "both the same, by outputs[:, 0] or targets[:, None]"
            )


def _rows(structure, rows: list[int]):
    return tf.nest.map_structure(lambda x: tf.gather(x, rows), structure)


def _line(error: Exception) -> str:
    """Return what an error says, in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}"
