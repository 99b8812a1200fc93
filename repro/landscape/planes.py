"""The plane through three points of weight space, and where others fall on it."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from repro.landscape import points

COLLINEAR = 1e-6  # of the third point's distance: what is left beside the line is rounding


@dataclasses.dataclass(frozen=True)
class Plane:
    """origin + alpha * first + beta * second, `first` and `second` orthogonal.

    The first point is (0, 0), the second (1, 0); the third has beta = 1.
    """

    origin: points.Point
    first: points.Point  # from the first point to the second
    second: points.Point  # what is orthogonal to `first` of the way to the third point

    def at(self, alpha: float, beta: float) -> list[np.ndarray]:
        """Return the point with these coordinates, in the precision of the weights."""
        return [
            (o + alpha * u + beta * v).astype(o.dtype)
            for o, u, v in zip(self.origin, self.first, self.second)
        ]

    def scales(self) -> tuple[float, float]:
        """Return the lengths of the two axes: a unit of alpha and of beta."""
        return points.norm(self.first), points.norm(self.second)


@dataclasses.dataclass(frozen=True)
class Projection:
    """The point of a plane that stands for another, and how far away that is."""

    coordinates: tuple[float, float]  # alpha, beta
    residual: float  # distance from the point to what stands for it
    cosines: tuple[float, float]  # of the residual with the two axes: 0 where it is orthogonal


def through(a: points.Point, b: points.Point, c: points.Point) -> Plane:
    """Return the plane of three points, its axes made orthogonal by Gram-Schmidt from `a`.

    Raises:
      ValueError: they are the same or lie on one line, or belong to different networks.
    """
    first, way = points.subtract(b, a), points.subtract(c, a)
    squared = points.dot(first, first)
    if not squared:
        raise ValueError("the first two points of the plane are the same")
    share = points.dot(way, first) / squared
    second = [w - share * u for w, u in zip(way, first)]
    if points.norm(second) <= COLLINEAR * points.norm(way):
        raise ValueError("the three points lie on one line and span no plane")
    return Plane([np.asarray(array) for array in a], first, second)


def axis(count: int, margin: float = 0.2) -> np.ndarray:
    """Return `count` coordinates from -margin to 1 + margin, for either axis.

    Raises:
      ValueError: fewer than two.
    """
    if count < 2:
        raise ValueError(f"a grid needs two points or more along a side, not {count}")
    return np.linspace(-margin, 1 + margin, count)


def project(plane: Plane, point: points.Point) -> Projection:
    """Return the nearest point of the plane: affine least squares.

    Gotmare et al., appendix A.2, with the constraint its text names and its formula leaves out:
    that the coefficients of the three points sum to 1.
    """
    way = points.subtract(point, plane.origin)
    axes = (plane.first, plane.second)
    alpha, beta = (points.dot(way, u) / points.dot(u, u) for u in axes)
    left = [w - alpha * u - beta * v for w, u, v in zip(way, *axes)]
    residual = points.norm(left)
    lengths = [residual * points.norm(u) or 1.0 for u in axes]
    cosines = tuple(points.dot(left, u) / length for u, length in zip(axes, lengths))
    return Projection((alpha, beta), residual, cosines)


def project_linear(
    plane: Plane, anchors: Sequence[points.Point], point: points.Point
) -> Projection:
    """Return the projection by appendix A.2's formula taken literally.

    W = lambda^T anchors for the lambda in R^3 that minimises ||W - point||, without sum(lambda)
    = 1: W lies in the linear span of the three points, in general off the plane. The residual is
    ||point - W||. The coordinates are those of W's own projection onto the plane; as the span holds
    all directions of the plane, they are the same as `project`'s: the pictures do not differ.
    """
    gram = np.array([[points.dot(a, b) for b in anchors] for a in anchors])
    weights, *_ = np.linalg.lstsq(gram, [points.dot(a, point) for a in anchors], rcond=None)
    stand_in = [
        sum(c * np.asarray(a[place], np.float64) for c, a in zip(weights, anchors))
        for place in range(len(point))
    ]
    on_plane = project(plane, stand_in)
    return dataclasses.replace(on_plane, residual=points.distance(point, stand_in))


def with_eigenvalues(measure: Callable, eigenvalues: Callable) -> Callable:
    """Return `measure` with the Hessian's extreme eigenvalues and their ratio at each point.

    Args:
      measure: point -> numbers by name; it also puts the point into the network.
      eigenvalues: () -> the Hessian's (lambda_max, lambda_min) where the network is then.

    Returns:
      point -> those numbers, and `lambda_max`, `lambda_min`, `eigenvalue_ratio`: |lambda_min /
      lambda_max|, how far from convex the loss is there (Li et al. 2018, section 6). The ratio is 0
      where no eigenvalue is negative, infinite where one is and the largest is 0.
    """

    def both(point: points.Point) -> dict[str, float]:
        numbers = measure(point)
        largest, smallest = eigenvalues()
        if smallest >= 0:
            ratio = 0.0
        else:
            ratio = abs(smallest / largest) if largest else math.inf
        return {**numbers, "lambda_max": largest, "lambda_min": smallest, "eigenvalue_ratio": ratio}

    return both
