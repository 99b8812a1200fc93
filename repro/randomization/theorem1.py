"""Theorem 1 of Zhang et al. 2017: 2n + d weights fit any n labels in d dimensions.

The network is c(x) = sum_j w_j max(<a, x> - b_j, 0). A random direction a gives the points
different projections z_1 < ... < z_n, and thresholds b_1 < z_1 < b_2 < z_2 < ... < b_n < z_n make
the matrix of max(z_i - b_j, 0) lower triangular with a positive diagonal (Lemma 1), so w can be
solved for.
Between two thresholds c is a line whose slope is the sum of the w_j so far; the slopes follow one
from another, in n steps.

The paper leaves open where a threshold lies. In the middle between two projections an error of one
slope would go on to all later ones undiminished; at a quarter of the way it shrinks threefold.
"""

import dataclasses
import itertools

import numpy as np

from repro.data import datasets
from repro.randomization.depth import deepen
from repro.randomization.settings import Theorem1
from repro.training.runs import Job

SHARE = 0.25  # of the way from one projection to the next, where the threshold between them lies
ROWS = 200  # points evaluated at once


@dataclasses.dataclass(frozen=True)
class Network:
    """The weights of Theorem 1; `order` is that of the points along the direction."""

    direction: np.ndarray  # a, [d]
    thresholds: np.ndarray  # b, [n]
    weights: np.ndarray  # w, [n]
    order: np.ndarray  # positions of the points by rising projection, [n]
    smallest_gap: float  # between two projections
    smallest_eigenvalue: float  # min_i z_i - b_i, of the triangular matrix

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return c(x) for points [m, d]: every unit is evaluated, none is known to be off."""
        outputs = [
            np.maximum((part @ self.direction)[:, None] - self.thresholds, 0) @ self.weights
            for part in np.array_split(points, -(-len(points) // ROWS))
        ]
        return np.concatenate(outputs)

    def count(self) -> int:
        """Return the number of weights."""
        return self.direction.size + self.thresholds.size + self.weights.size


def direction(points: np.ndarray, seed: int) -> np.ndarray:
    """Return a random direction for points [n, d], scaled so that projections are near 1."""
    found = np.random.default_rng([seed, 31]).normal(size=points.shape[1])
    return found / np.linalg.norm(found) / max(np.abs(points).max(), 1.0)


def refuse_equal(points: np.ndarray) -> None:
    """Raise ValueError, naming two of them, where points [n, d] are equal."""
    seen: dict[bytes, int] = {}
    for position, point in enumerate(points + 0.0):  # -0.0 and 0.0 are one number
        before = seen.setdefault(point.tobytes(), position)
        if before != position:
            raise ValueError(
                f"points {before} and {position} are equal, and no function gives them two labels: "
                "Theorem 1 is about distinct points"
            )


def construct(points: np.ndarray, targets: np.ndarray, seed: int = 0) -> Network:
    """Return the network that maps points [n, d] to targets [n], in float64.

    Raises:
      ValueError: two points are equal, or so close that float64 cannot tell their projections.
    """
    refuse_equal(points)
    a = direction(points, seed)
    z = points @ a
    order = np.argsort(z, kind="stable")
    z, y = z[order], targets[order]
    gaps = np.diff(z)
    smallest = float(gaps.min()) if len(gaps) else float("inf")
    first = z[0] - _first_gap(z)
    b = np.concatenate([[first], z[:-1] + SHARE * gaps])
    if not (np.all(b < z) and np.all(z[:-1] < b[1:])):
        raise ValueError(
            f"float64 cannot tell the projections of two points (smallest gap {smallest:.1e}): use "
            "--arithmetic=balls or another --seed"
        )
    return Network(a, b, np.array(_weights(z, b, y)), order, smallest, float((z - b).min()))


def _first_gap(z) -> float:
    """Return how far below the first projection the first threshold lies: their mean distance."""
    return float(z[-1] - z[0]) / (len(z) - 1) if len(z) > 1 else 1.0


def _weights(z, b, y) -> list:
    """Return w from projections, thresholds and targets, all in order; floats or balls."""
    slope = y[0] / (z[0] - b[0])
    weights = [slope]
    for j in range(1, len(z)):
        value_at_threshold = y[j - 1] + slope * (b[j] - z[j - 1])
        following = (y[j] - value_at_threshold) / (z[j] - b[j])
        weights.append(following - slope)
        slope = following
    return weights


# --- proved ---------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What ball arithmetic proves of a network whose b and w have `bits` bits and a has 53."""

    largest_error: float  # an upper bound
    smallest_gap: float  # a lower bound
    smallest_eigenvalue: float  # a lower bound
    weights: int


def certify(points: np.ndarray, targets: np.ndarray, seed: int = 0, bits: int = 256) -> Certificate:
    """Construct the network with weights of `bits` bits, and prove how near it comes to the labels.

    Points, targets and a are taken as the float64 numbers that they are. b and w are numbers of
    `bits` bits; what the network makes of a point is then computed with proved errors. As the
    triangular matrix has a positive diagonal, weights also exist that fit exactly.

    Raises:
      ValueError: two points are equal, or `bits` do not suffice to tell their projections.
    """
    from flint import arb, arb_mat

    from repro.critical import balls

    refuse_equal(points)
    a = direction(points, seed)
    with balls.precision(bits):
        column = arb_mat([[value] for value in a.tolist()])
        z = [
            row[0]
            for part in np.array_split(points, -(-len(points) // ROWS))
            for row in (arb_mat(part.astype(np.float64).tolist()) * column).tolist()
        ]
        order = sorted(range(len(z)), key=lambda i: z[i].mid())
        z, y = [z[i] for i in order], [arb(float(targets[i])) for i in order]
        b = [z[0] - arb(_first_gap([float(value.mid()) for value in z]))]
        b += [before + arb(SHARE) * (after - before) for before, after in itertools.pairwise(z)]
        b = [value.mid() for value in b]
        w = [value.mid() for value in _weights(z, b, y)]

        off, slope, shift = [], arb(0), arb(0)
        for j in range(len(z)):
            if not (z[j] > b[j] and (j + 1 == len(z) or z[j] < b[j + 1])):
                raise balls.NotCertified(
                    f"{bits} bits cannot tell the projections of two points: use more --bits"
                )
            # Units up to j are on and all others off, so c(x_j) = sum_{k <= j} w_k (z_j - b_k).
            slope, shift = slope + w[j], shift + w[j] * b[j]
            off.append(balls.above(abs(slope * z[j] - shift - y[j])))
        gaps = [balls.below(after - before) for before, after in itertools.pairwise(z)]
        return Certificate(
            largest_error=max(off),
            smallest_gap=min(gaps, default=float("inf")),
            smallest_eigenvalue=min(balls.below(z[j] - b[j]) for j in range(len(z))),
            weights=a.size + len(b) + len(w),
        )


# --- the run --------------------------------------------------------------------------------------


def run(settings: Theorem1, job: Job) -> dict:
    """Construct the network, measure or prove how well it fits, and return the run's result."""
    s = settings
    job.directory.begin(0)
    points = sample(s, job)
    targets = np.random.default_rng([s.seed, 32]).normal(size=len(points))
    if s.arithmetic == "balls":
        proved = certify(points, targets, s.seed, s.bits)
        found = {
            "max_error": proved.largest_error,
            "smallest_gap": proved.smallest_gap,
            "smallest_eigenvalue": proved.smallest_eigenvalue,
            "weights": proved.weights,
        }
    else:
        network = construct(points, targets, s.seed)
        deep = (
            deepen(network.direction, network.thresholds, network.weights, s.layers)
            if s.layers > 1
            else None
        )
        error = float(np.abs((deep or network)(points) - targets).max())
        found = {
            "max_error": error,
            "smallest_gap": network.smallest_gap,
            "smallest_eigenvalue": network.smallest_eigenvalue,
            "weights": network.count(),
            "largest_weight": float(np.abs(network.weights).max()),
        }
        if deep is not None:
            found |= {"width": deep.width(), "connections": deep.connections()}
    how = f"proved, {s.bits} bits" if s.arithmetic == "balls" else "measured in float64"
    return {
        "status": "complete",
        "summary": f"{found['weights']:,} weights fit {len(points):,} labels within "
        f"{found['max_error']:.1e} ({how}); smallest gap {found['smallest_gap']:.1e}",
        "protocol": f"Theorem 1 on {len(points):,} points of {s.dataset}, d = {points.shape[1]}, "
        f"{s.layers} layers, {s.arithmetic}, seed {s.seed}",
        "train_examples": len(points),
        "test_examples": 0,
        "dimension": points.shape[1],
        "certified": s.arithmetic == "balls",
        **found,
    }


def sample(s: Theorem1, job: Job) -> np.ndarray:
    """Return the points of a run, float64 [n, d]; those of images are whole numbers in 0..255."""
    if s.dataset == "gaussian":
        rng = np.random.default_rng([s.seed, 30])
        return rng.normal(size=(s.train_examples, s.dimension))
    train, _ = datasets.splits(
        s.dataset, job.data_dir, job.download, "train", "test", s.train_examples, s.seed
    )
    return train.images.reshape(len(train), -1).astype(np.float64)
