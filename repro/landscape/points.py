"""Points of weight space: lists of arrays, one a trainable variable, combined and measured."""

from collections.abc import Sequence

import keras
import numpy as np

Point = Sequence[np.ndarray]


def get(model: keras.Model) -> list[np.ndarray]:
    """Return a copy of a network's trainable weights.

    Raises:
      ValueError: the network has none: it is not built, or `model.trainable` is False.
    """
    found = [np.array(v.value) for v in model.trainable_variables]
    if not found:
        raise ValueError(f"model {model.name} has no trainable weights")
    return found


def put(model: keras.Model, point: Point) -> None:
    """Write a point into a network.

    Raises:
      ValueError: the point is another network's.
    """
    shapes = [tuple(v.shape) for v in model.trainable_variables]
    check_shapes([np.shape(array) for array in point], shapes)
    for variable, array in zip(model.trainable_variables, point):
        variable.assign(array)


def check_shapes(shapes: Sequence[tuple], others: Sequence[tuple]) -> None:
    """Raise ValueError where two points cannot belong to the same network."""
    if list(map(tuple, shapes)) != list(map(tuple, others)):
        raise ValueError("the points belong to different networks: their weights differ in shape")


def check_same(a: Point, b: Point) -> None:
    """Raise ValueError likewise, of points: NumPy would stretch a bias [n] to a kernel [m, n]."""
    check_shapes([np.shape(array) for array in a], [np.shape(array) for array in b])


def combine(coefficients: Sequence[float], points: Sequence[Point]) -> list[np.ndarray]:
    """Return sum of coefficients[k] * points[k]; a coefficient of 1 alone is exact.

    Sums are float64 and rounded once, to the weights' own precision. Points whose coefficient is 0
    are left out, so that an end of a curve is the network it was made of, bit for bit.

    Raises:
      ValueError: the points belong to different networks.
    """
    for other in points[1:]:
        check_same(points[0], other)
    chosen = [(c, point) for c, point in zip(coefficients, points) if c != 0]
    first = points[0]
    if not chosen:
        return [np.zeros_like(array) for array in first]
    return [
        sum(np.float64(c) * point[place] for c, point in chosen).astype(first[place].dtype)
        for place in range(len(first))
    ]


def subtract(a: Point, b: Point) -> list[np.ndarray]:
    """Return a - b in float64; ValueError where they belong to different networks."""
    check_same(a, b)
    return [np.subtract(x, y, dtype=np.float64) for x, y in zip(a, b)]


def dot(a: Point, b: Point) -> float:
    """Return the inner product of two points, summed in float64; ValueError as `subtract`."""
    check_same(a, b)
    return float(
        sum(
            np.dot(np.ravel(x).astype(np.float64), np.ravel(y).astype(np.float64))
            for x, y in zip(a, b)
        )
    )


def norm(a: Point) -> float:
    """Return the Euclidean length of a point."""
    return dot(a, a) ** 0.5


def distance(a: Point, b: Point) -> float:
    """Return the Euclidean distance of two points."""
    return norm(subtract(a, b))


def flatten(point: Point) -> np.ndarray:
    """Return a point as one vector, float64 [D]."""
    return np.concatenate([np.ravel(array).astype(np.float64) for array in point])


def unflatten(vector: np.ndarray, like: Point) -> list[np.ndarray]:
    """Return a vector [D] as a point with the shapes and precision of `like`."""
    ends = np.cumsum([array.size for array in like])
    parts = np.split(vector, ends[:-1])
    return [part.reshape(a.shape).astype(a.dtype) for part, a in zip(parts, like)]
