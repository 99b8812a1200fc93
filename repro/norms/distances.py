"""How far training moved the weights."""

import keras
import numpy as np


def snapshot(model: keras.Model) -> dict[str, np.ndarray]:
    """Return a copy of all trainable weights by path, to measure distances from."""
    return {v.path: keras.ops.convert_to_numpy(v.value) for v in model.trainable_variables}


def distances(start: dict[str, np.ndarray], model: keras.Model) -> dict[str, float]:
    """Return Euclidean distances between `snapshot` and the present weights.

    Args:
      start: `snapshot` of the model, taken before.
      model: as it is now.

    Returns:
      all: over all trainable weights; without_bn: leaving out gammas and betas of batch norm;
      relative, relative_without_bn: divided by the norm of the start's weights.
    """
    norms = {
        v.path for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)
        for v in layer.trainable_variables
    }  # fmt: skip
    now = snapshot(model)
    moved = {path: _squares(now[path], value) for path, value in start.items()}
    size = {path: _squares(value, 0.0) for path, value in start.items()}
    kept = [path for path in start if path not in norms]
    everything, rest = _root(moved.values()), _root(moved[path] for path in kept)
    return {
        "all": everything,
        "without_bn": rest,
        "relative": everything / _root(size.values()),
        "relative_without_bn": rest / _root(size[path] for path in kept),
    }


def _squares(one: np.ndarray, other: np.ndarray | float) -> float:
    return float(np.sum((one.astype(np.float64) - other) ** 2))


def _root(squares) -> float:
    return sum(squares) ** 0.5
