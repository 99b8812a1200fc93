"""Neuron splitting: how critical points of narrow nets live on in wider ones.

Splitting neuron (w, a) of a critical point into (w, g_1 a), ..., (w, g_k a) with shares g_j that
sum to 1 leaves the function, and hence criticality, unchanged (Fukumizu and Amari 2000). Whether
the wider point is a minimum depends on a matrix M of the neuron, 2x2 or, with a bias, 3x3, and on
the signs of the shares.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from repro.critical.loss import Problem
from repro.critical.neurons import copies


def split(student: np.ndarray, neuron: int, shares: np.ndarray) -> np.ndarray:
    """Return a student [d + 1, m + k - 1] whose `neuron` is split by k shares; copies come last.

    Raises:
      ValueError: the shares do not sum to 1.
    """
    shares = np.asarray(shares, dtype=np.float64)
    if abs(shares.sum() - 1) > 1e-12:
        raise ValueError(f"shares of a split neuron must sum to 1, not {shares.sum()}")
    wide = np.repeat(student[:, neuron : neuron + 1], len(shares), axis=1)
    wide[-1] *= shares
    return np.concatenate([np.delete(student, neuron, axis=1), wide], axis=1)


def merge(student: np.ndarray, tolerance: float) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """Merge neurons with equal incoming weights.

    Args:
      student: [d + 1, m].
      tolerance: of incoming weights.

    Returns:
      the narrower student [d + 1, r], and for each neuron of it that was several: its place in the
      narrower student and the shares it had.
    """
    columns, merged = [], []
    for group in copies(student, tolerance):
        outgoing = student[-1, group]
        total = outgoing.sum()
        heaviest = student[:-1, group[int(np.abs(outgoing).argmax())]]
        if len(group) > 1:
            with np.errstate(divide="ignore"):
                merged.append((len(columns), outgoing / total))
        columns.append([*heaviest, total])
    return np.array(columns).T, merged


def sign_matrices(student: np.ndarray, given: Problem) -> np.ndarray:
    """Return M = mean over the grid of a r sigma''(w.x) x x^T for every neuron, [m, d, d].

    r is output minus target; if halved the constant part of it drops out, as sigma'' is odd.
    """
    half = np.tanh(given.points @ student[:-1] / 2).T  # [m, K]
    residual = student[-1] @ half / 2 - given.target
    if not given.halved:
        residual += student[-1].sum() / 2
    second = -half * (1 - half**2) / 4
    weights = given.weight * student[-1][:, None] * residual * second
    return np.einsum("mk,ki,kj->mij", weights, given.points, given.points)


@dataclasses.dataclass(frozen=True)
class SplitSpectrum:
    """Inertia that splitting adds to a critical point: negative, zero and positive eigenvalues."""

    negative: int
    zero: int
    positive: int


def split_spectrum(
    matrix: np.ndarray, shares: np.ndarray, tolerance: float
) -> SplitSpectrum | None:
    """Return what splitting a neuron with sign matrix [d, d] by shares [k] adds to the inertia.

    Copies displaced by d_j with sum g_j d_j = 0 change the loss by sum_j g_j d_j^T M d_j to second
    order. On that subspace diag(g) has one positive sign less than g, because sum g = 1 > 0. Hence
    with p positive and n negative shares each positive eigenvalue of M adds n negative ones, each
    negative eigenvalue p - 1; and k - 1 zeros belong to moving the shares. For k = 2 this is
    Theorem 3 of Fukumizu and Amari: a minimum for M > 0 and g in (0, 1), or M < 0 and g outside.

    Returns None where M or a share is within `tolerance` of zero, which decides nothing.
    """
    eigenvalues = np.linalg.eigvalsh(matrix)
    if min(np.abs(eigenvalues).min(), np.abs(shares).min()) < tolerance:
        return None
    if not np.isfinite(shares).all():
        return None
    p, n = int((shares > 0).sum()) - 1, int((shares < 0).sum())
    negative = sum(n if value > 0 else p for value in eigenvalues)
    return SplitSpectrum(negative, len(shares) - 1, len(matrix) * (p + n) - negative)


def inertia(hessian: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
    """Return numbers of negative, zero, positive eigenvalues [S, 3] of Hessians [S, n, n]."""
    eigenvalues = np.asarray(tf.linalg.eigvalsh(hessian))
    bound = np.asarray(tolerance)[:, None]
    signs = [eigenvalues < -bound, np.abs(eigenvalues) <= bound, eigenvalues > bound]
    return np.stack([part.sum(axis=1) for part in signs], axis=1)
