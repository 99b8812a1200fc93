"""Minimum-norm interpolation by kernels (Zhang et al. 2017, section 5): K alpha = y, in float64.

Everything works in square blocks inside one n x n array: 3.2 GB at n = 20,000 and 29 GB at 60,000.
The kernel matrix K stands above its diagonal of blocks; the same array takes the Cholesky factor L
below and on it, and what stood on it is kept aside. So K is there after it has been factored, and a
solution is checked against K itself and not against its factor. No single step takes longer than a
few seconds at any size, and none counts entries in 32 bits, as many a LAPACK does.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

BLOCK = 1000  # rows and columns of a block
LANCZOS_TOLERANCE = 1e-6  # relative error of the extreme eigenvalues, as Lanczos estimates it

# Products of pairs, squared lengths of either, gamma -> kernel; the first array may be overwritten.
KERNELS: dict[str, Callable] = {
    "linear": lambda products, left, right, gamma: products,
    "gaussian": lambda products, left, right, gamma: np.exp(
        -gamma * _squared_distances(products, left, right)
    ),
    "laplace": lambda products, left, right, gamma: np.exp(
        -gamma * np.sqrt(_squared_distances(products, left, right))
    ),
    "quartic": lambda products, left, right, gamma: products**4,
}


def _squared_distances(products: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.maximum(left[:, None] + right[None] - 2 * products, 0)  # rounding may go below 0


def _finite(part: np.ndarray) -> np.ndarray:
    if not np.isfinite(part).all():
        raise ValueError(
            "a kernel is not finite: features in `chunks` are no numbers, or too large"
        )
    return part


def blocks(size: int, block: int = BLOCK) -> list[slice]:
    """Return slices of `block` rows that make up `size` rows, the last one as long as is left."""
    return [slice(start, min(start + block, size)) for start in range(0, size, block)]


def kernel_matrices(
    chunks: Iterable[tuple[np.ndarray, np.ndarray]],
    kernel: str,
    gamma: float | None,
    block: int = BLOCK,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel of all pairs of n training points, and of m test with training points.

    Every kernel here is a function of inner products and lengths, so that features may come in
    chunks and need never be in memory together.

    Args:
      chunks: the features, a part of them after the other: training [n, c] and test [m, c].
      kernel: a key of KERNELS.
      gamma: of the Gaussian exp(-gamma |x - x'|^2) and of Laplace's exp(-gamma |x - x'|).
      block: see the module.

    Returns:
      K, float64 [n, n], symmetric; and float64 [m, n].

    Raises:
      ValueError: there are no features, or a kernel of theirs is not finite.
    """
    function, square = KERNELS[kernel], None
    for train, test in chunks:
        train, test = np.asarray(train, np.float64), np.asarray(test, np.float64)
        if square is None:
            square = np.zeros((len(train), len(train)))
            cross = np.zeros((len(test), len(train)))
            train_lengths, test_lengths = np.zeros(len(train)), np.zeros(len(test))
        train_lengths += np.einsum("nc,nc->n", train, train)
        test_lengths += np.einsum("nc,nc->n", test, test)
        parts = blocks(len(train), block)
        for number, rows in enumerate(parts):
            for columns in parts[number:]:
                square[rows, columns] += train[rows] @ train[columns].T
        for rows in blocks(len(test), block):
            for columns in parts:
                cross[rows, columns] += test[rows] @ train[columns].T
    if square is None:
        raise ValueError("there are no features")
    for number, rows in enumerate(parts):
        for columns in parts[number:]:
            pair = square[rows, columns]
            if rows == columns:  # x x is rounded as the squared length is, so |x - x| is 0
                np.fill_diagonal(pair, train_lengths[rows])
            pair = function(pair, train_lengths[rows], train_lengths[columns], gamma)
            if rows == columns:
                pair = (pair + pair.T) / 2
            square[rows, columns] = _finite(pair)
            square[columns, rows] = pair.T
    for rows in blocks(len(cross), block):
        cross[rows] = _finite(function(cross[rows], test_lengths[rows], train_lengths, gamma))
    return square, cross


@dataclasses.dataclass(frozen=True)
class Factored:
    """A kernel matrix K and the Cholesky factor L of K + ridge I, in one array; see the module."""

    array: np.ndarray  # [n, n]: L on and below the diagonal of blocks, K above it
    diagonal: list[np.ndarray]  # the blocks of K that L has taken the place of
    parts: list[slice]
    ridge: float

    def times(self, vectors: np.ndarray) -> np.ndarray:
        """Return K @ vectors, for [n] or [n, c]; K as it was, without the ridge."""
        product = np.zeros_like(vectors, dtype=np.float64)
        for rows, own in zip(self.parts, self.diagonal):
            right = self.array[rows, rows.stop :]
            product[rows] += own @ vectors[rows] + right @ vectors[rows.stop :]
            product[rows.stop :] += right.T @ vectors[rows]
        return product

    def solve(self, vectors: np.ndarray) -> np.ndarray:
        """Return (K + ridge I)^-1 @ vectors, for [n] or [n, c]."""
        solution = np.array(vectors, dtype=np.float64)
        for rows in self.parts:
            solution[rows] -= self.array[rows, : rows.start] @ solution[: rows.start]
            solution[rows] = self._triangular(rows, solution[rows], transposed=False)
        for rows in reversed(self.parts):
            solution[rows] -= self.array[rows.stop :, rows].T @ solution[rows.stop :]
            solution[rows] = self._triangular(rows, solution[rows], transposed=True)
        return solution

    def extreme_eigenvalues(self, seed: int = 0) -> tuple[float, float]:
        """Return the smallest and the largest eigenvalue of K + ridge I, by Lanczos.

        Raises:
          ValueError: Lanczos does not converge.
        """
        size = len(self.array)
        if size < 3:  # too few for Lanczos
            values = linalg.eigvalsh(self.times(np.eye(size))) + self.ridge
            return float(values[0]), float(values[-1])
        start = np.random.default_rng([seed, 20]).normal(size=size)
        found = []
        for apply in (self.solve, lambda v: self.times(v) + self.ridge * v):
            operator = LinearOperator((size, size), matvec=apply, dtype=np.float64)
            try:
                values = eigsh(
                    operator,
                    k=1,
                    which="LA",
                    v0=start,
                    tol=LANCZOS_TOLERANCE,
                    return_eigenvectors=False,
                )
            except ArpackError as error:
                raise ValueError(
                    f"Lanczos found no extreme eigenvalue of the kernel matrix of {size:,} points: "
                    "add a ridge (--weight_decay), or scale features whose kernel is nearly 0"
                ) from error
            found.append(float(values[0]))
        return 1 / found[0], found[1]

    def _triangular(self, rows: slice, vectors: np.ndarray, transposed: bool) -> np.ndarray:
        return linalg.solve_triangular(
            self.array[rows, rows], vectors, trans=int(transposed), lower=True, check_finite=False
        )


def factor(square: np.ndarray, ridge: float = 0.0, block: int = BLOCK) -> Factored:
    """Factor K + ridge I by Cholesky, in place: `square` holds no plain K afterwards.

    Args:
      square: K, float64 [n, n], symmetric; its array is taken over.
      ridge: what is added to the diagonal.
      block: see the module.

    Raises:
      ValueError: K is not positive definite, as far as float64 can tell.
    """
    parts = blocks(len(square), block)
    diagonal = [square[rows, rows].copy() for rows in parts]
    for number, columns in enumerate(parts):
        before = square[columns, : columns.start]
        own = diagonal[number] - before @ before.T
        own[np.diag_indices_from(own)] += ridge
        try:
            square[columns, columns] = linalg.cholesky(own, lower=True, check_finite=True)
        except (linalg.LinAlgError, ValueError) as error:
            raise ValueError(
                f"the kernel matrix of {len(square):,} points is singular to rounding: use fewer "
                "training examples, a narrower kernel (a larger --gamma) or --weight_decay"
            ) from error
        for rows in parts[number + 1 :]:
            left = square[rows, columns] - square[rows, : columns.start] @ before.T
            square[rows, columns] = linalg.solve_triangular(
                square[columns, columns], left.T, lower=True, check_finite=False
            ).T
    return Factored(square, diagonal, parts, ridge)


def rkhs_norm(factored: Factored, alpha: np.ndarray) -> float:
    """Return sqrt(sum_c alpha_c' K alpha_c): the norm of the functions sum_i alpha_ic k(x_i, .)."""
    return float(np.sqrt(max(np.sum(alpha * factored.times(alpha)), 0.0)))


def margins(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return by how much the output of the right class is above the largest other one, [n]."""
    rows = np.arange(len(labels))
    others = outputs.copy()
    others[rows, labels] = -np.inf
    return outputs[rows, labels] - others.max(1)


def descend(
    features: np.ndarray,
    targets: np.ndarray,
    start: np.ndarray,
    steps: int,
    smallest: float,
    largest: float,
) -> np.ndarray:
    """Return the weights after gradient descent with momentum on |X w - y|^2 / 2.

    Every gradient X'(X w - y) is a combination of the rows of X. So what `start` has outside of
    their span stays, and from zero only the minimum-norm solution can be reached (claim R22). Rate
    and momentum are the fastest ones for a quadratic with these extreme curvatures (Polyak 1964).

    Args:
      features: X, [n, d].
      targets: [n, c].
      start: [d, c].
      steps: how many.
      smallest, largest: the extreme eigenvalues of X X'.
    """
    low, high = np.sqrt(smallest), np.sqrt(largest)
    rate, momentum = 4 / (low + high) ** 2, ((high - low) / (high + low)) ** 2
    weights, before = start, start
    for _ in range(steps):
        gradient = features.T @ (features @ weights - targets)
        weights, before = weights - rate * gradient + momentum * (weights - before), weights
    return weights
