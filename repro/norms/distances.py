"""How far training moved the weights."""

from collections.abc import Sequence

import keras
import numpy as np

from repro.models import graph as graphs


def snapshot(model: keras.Model) -> list[np.ndarray]:
    """Return a copy of all trainable weights, in their order in the model, to measure from.

    Raises:
      ValueError: the model has no trainable weights.
    """
    weights = [keras.ops.convert_to_numpy(v.value) for v in model.trainable_variables]
    if not weights:
        raise ValueError(f"model {model.name} has no trainable weights")
    return weights


def distances(start: Sequence[np.ndarray], model: keras.Model) -> dict[str, float]:
    """Return Euclidean distances between `snapshot` and the present weights.

    Args:
      start: `snapshot` of the model, taken before.
      model: as it is now.

    Returns:
      all: over all trainable weights; without_bn: leaving out gammas and betas of batch norm,
      wherever in the model it is; relative, relative_without_bn: divided by the norm of the start's
      weights (NaN where that is 0 and nothing was left, inf where it is 0 and something moved).

    Raises:
      ValueError: the snapshot is another network's.
    """
    normalising = {
        id(v)
        for layer in graphs.all_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization)
        for v in layer.trainable_variables
    }
    now, start = snapshot(model), list(start)
    if [w.shape for w in now] != [np.shape(w) for w in start]:
        raise ValueError(
            f"the snapshot is not of {model.name}: it must hold {len(now)} arrays shaped as the "
            "model's trainable weights"
        )
    moved = [_squares(w, value) for w, value in zip(now, start)]
    size = [_squares(value, 0.0) for value in start]
    kept = [k for k, v in enumerate(model.trainable_variables) if id(v) not in normalising]
    everything, rest = _root(moved), _root(moved[k] for k in kept)
    return {
        "all": everything,
        "without_bn": rest,
        "relative": _ratio(everything, _root(size)),
        "relative_without_bn": _ratio(rest, _root(size[k] for k in kept)),
    }


def _ratio(moved: float, size: float) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.float64(moved) / size)


def _squares(one: np.ndarray, other: np.ndarray | float) -> float:
    return float(np.sum((one.astype(np.float64) - other) ** 2))


def _root(squares) -> float:
    return sum(squares) ** 0.5
