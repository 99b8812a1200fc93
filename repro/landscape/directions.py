"""Random directions and slices of the loss along them (Li et al. 2018), and PCA of a trajectory.

A direction is a point. Its entries are independent standard normal numbers, brought to the scale of
the weights so that slices of different networks can be compared.
"""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from repro.landscape import points
from repro.landscape.kernels import neuron_axes

NORMALISATIONS = ("filter", "layer", "weight")
SMALLEST = 1e-10  # added to a norm that is divided by


def random(
    model: keras.Model,
    weights: points.Point,
    seed: int | Sequence[int],
    normalisation: str = "filter",
    *,
    vectors: str = "zero",
) -> list[np.ndarray]:
    """Return a normalised random direction at some weights, float64.

    filter: each neuron's part d_f of a kernel becomes d_f ||w_f|| / ||d_f||. layer: each kernel's
    as a whole. weight: every entry times its weight.

    Args:
      model: the network whose weights these are, any built one; its layers say which axes of a
        kernel count neurons, see `kernels.neuron_axes`. Its own weights do not matter.
      weights: the point the slice goes through.
      seed: of the draw.
      normalisation: one of NORMALISATIONS.
      vectors: what biases and batch norm's parameters get: `zero`, as Li et al.'s `biasbn` does, or
        `random`, their own norm as a layer. (Their code without that option takes the weights
        themselves for the direction.)

    Raises:
      ValueError: unknown normalisation or treatment of vectors; weights of another network; a layer
        of the model of which it is not known what counts its neurons.
    """
    if normalisation not in NORMALISATIONS:
        choices = ", ".join(NORMALISATIONS)
        raise ValueError(f"unknown normalisation {normalisation!r}; choose from {choices}")
    if vectors not in ("zero", "random"):
        raise ValueError(f"unknown vectors {vectors!r}; choose from zero, random")
    shapes = [tuple(v.shape) for v in model.trainable_variables]
    points.check_shapes([w.shape for w in weights], shapes)
    rng, found = np.random.default_rng(seed), []
    for w, neurons in zip(weights, neuron_axes(model), strict=True):
        d = rng.standard_normal(w.shape)
        if neurons is None:
            found.append(_scaled(d, w, None) if vectors == "random" else np.zeros(w.shape))
        elif normalisation == "weight":
            found.append(d * w)
        else:
            axes = tuple(k for k in range(w.ndim) if k not in neurons)
            found.append(_scaled(d, w, axes if normalisation == "filter" else None))
    return found


def _scaled(d: np.ndarray, w: np.ndarray, axes) -> np.ndarray:
    """Return d with the norm of w over some axes, those that are left counting neurons."""
    norms = [
        np.sqrt(np.sum(np.square(x, dtype=np.float64), axis=axes, keepdims=True)) for x in (w, d)
    ]
    return d * (norms[0] / (norms[1] + SMALLEST))


def orthogonal(direction: points.Point, other: points.Point) -> list[np.ndarray]:
    """Return `direction` without its part along `other`, for a plane with orthogonal axes."""
    share = points.dot(direction, other) / points.dot(other, other)
    return [d - share * o for d, o in zip(direction, other)]


def coordinates(count: int, reach: float = 1.0) -> np.ndarray:
    """Return `count` equally spaced coordinates from -reach to reach, both ends among them.

    Raises:
      ValueError: fewer than two.
    """
    if count < 2:
        raise ValueError(f"a slice needs two points or more, not {count}")
    return np.linspace(-reach, reach, count)


def along(
    weights: points.Point, directions: Sequence[points.Point], steps: Sequence[float]
) -> list[np.ndarray]:
    """Return weights + sum_i steps[i] * directions[i], for slices of any dimension.

    Raises:
      ValueError: not as many steps as directions, or directions of another network.
    """
    if len(directions) != len(steps):
        raise ValueError(f"{len(steps)} steps do not fit {len(directions)} directions")
    for direction in directions:
        points.check_same(weights, direction)
    return [
        (w + sum(s * d[place] for s, d in zip(steps, directions))).astype(w.dtype)
        for place, w in enumerate(weights)
    ]


@dataclasses.dataclass(frozen=True)
class PrincipalComponents:
    """The main directions of a trajectory about its last point."""

    components: list[list[np.ndarray]]  # orthonormal directions, the main one first
    explained: np.ndarray  # share of the squared distances from the last point along each, [k]
    explained_centred: np.ndarray  # share of the variance in the k main directions about the mean
    coordinates: np.ndarray  # of the points along the components, [n, k]


def principal_components(trajectory: Sequence[points.Point], count: int = 2) -> PrincipalComponents:
    """Return the principal components of w_i - w_last (Li et al. 2018, section 7).

    Not centred: the last point is the origin, so that it lies at (0, 0) of the slice drawn. (Li et
    al.'s code centres, but draws about the last point.) Computed from inner products of the n
    points, so the number of weights does not matter.

    Raises:
      ValueError: fewer points than components, or no distance between them.
    """
    ways = [points.subtract(point, trajectory[-1]) for point in trajectory[:-1]]
    if not 1 <= count <= len(ways):
        raise ValueError(f"{len(trajectory)} points have no {count} components about the last")
    gram = np.array([[points.dot(a, b) for b in ways] for a in ways])
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1], vectors[:, ::-1]  # largest first
    if not values[count - 1] > 1e-12 * max(values[0], 0.0):
        raise ValueError(f"the trajectory has fewer than {count} dimensions")
    components = [
        [
            sum(c * way[place] for c, way in zip(vectors[:, k], ways)) / np.sqrt(values[k])
            for place in range(len(ways[0]))
        ]
        for k in range(count)
    ]
    coordinates = vectors[:, :count] * np.sqrt(values[:count])
    whole = np.pad(gram, (0, 1))  # the last point too, at the origin
    centred = whole - whole.mean(0) - whole.mean(1)[:, None] + whole.mean()
    variances = np.linalg.eigvalsh(centred)[::-1]
    return PrincipalComponents(
        components,
        values[:count] / values.sum(),
        variances[:count] / variances.sum(),
        np.vstack([coordinates, np.zeros(count)]),
    )
