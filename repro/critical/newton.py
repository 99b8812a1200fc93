"""Newton's method for many students at once: damped descent to minima, plain steps to saddles."""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from repro.critical.loss import Problem, loss_gradient_hessian

GRADIENT_TOLERANCE = 1e-12  # infinity norm at which a student has converged
# A student with zero loss can reach that gradient in a quartic valley long before its neurons are
# in place (distance ~ loss^(1/4)), so such students go on until the loss is at rounding error.
VALLEY = (1e-26, 1e-9)
# Relative rounding error of the loss: residuals of 1e-2 carry errors of 1e-16, and a margin.
LOSS_NOISE = 1e-13
LEFT = 1e-9  # a student whose loss is relatively so much below a critical point's has left it
DAMPING_START, DAMPING_FLOOR, DAMPING_CEILING = 1e-2, 1e-15, 1e8


def evaluate(theta: np.ndarray, given: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return losses [S], gradients [S, n] and Hessians [S, n, n] of students [S, d + 1, m].

    Flattened row by row, n = (d + 1) m; a student has d = 2 rows of incoming weights, 3 with
    biases, and one of outgoing weights.
    """
    count = len(theta)
    results = []
    for first in range(0, count, 256):
        block = theta[first : first + 256]
        # powers of two, so that few shapes are compiled; the copies are cut off again
        padded = 1 << (len(block) - 1).bit_length()
        filled = np.concatenate([block, np.repeat(block[-1:], padded - len(block), axis=0)])
        done = _compiled(given, filled.shape)(tf.constant(filled))
        results.append([part.numpy()[: len(block)] for part in done])
    return tuple(np.concatenate(parts) for parts in zip(*results))


@functools.lru_cache(maxsize=256)
def _compiled(given: Problem, shape: tuple[int, ...]):
    function = tf.function(
        lambda theta: loss_gradient_hessian(theta, given), jit_compile=True, autograph=False
    )
    return function.get_concrete_function(tf.TensorSpec(shape, tf.float64))


def converged(
    loss: np.ndarray, gradient_norm: np.ndarray, tolerance: float = GRADIENT_TOLERANCE
) -> np.ndarray:
    """Return which students need no more steps, from losses and gradient infinity norms."""
    in_valley = (loss > VALLEY[0]) & (loss < VALLEY[1])
    return (gradient_norm < tolerance) & ~in_valley


def descend(
    theta: np.ndarray,
    damping: np.ndarray,
    given: Problem,
    iterations: int,
    tolerance: float = GRADIENT_TOLERANCE,
    between: Callable[[], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Take damped Newton steps in |eigenvalues| until converged or `iterations` are over.

    A step is -V (|Lambda| + mu)^-1 V^T g; where it lowers the loss mu falls to a third, else mu
    rises fourfold and the step is taken back. Every eigenvalue counts by its size, so negative
    curvature is descended: this method leaves strict saddles and finds minima.

    Args:
      theta: students [S, 3, m], or [S, 4, m] with biases.
      damping: mu of each student relative to its largest eigenvalue, [S]; DAMPING_START at first.
      given: the problem.
      iterations: at most so many steps each.
      tolerance: of the gradient's infinity norm.
      between: called before every step; what it raises ends the descent.

    Returns:
      students and damping; going on from them equals not having stopped.
    """
    theta, damping = theta.copy(), damping.copy()
    loss, gradient, hessian = evaluate(theta, given)
    for _ in range(iterations):
        active = np.flatnonzero(~converged(loss, np.abs(gradient).max(axis=1), tolerance))
        if not len(active):
            break
        if between is not None:
            between()
        eigenvalues, vectors = map(np.asarray, tf.linalg.eigh(hessian[active]))
        size = np.abs(eigenvalues)
        mu = damping[active] * size.max(axis=1)
        along = np.einsum("spk,sp->sk", vectors, gradient[active]) / (size + mu[:, None])
        step = np.einsum("spk,sk->sp", vectors, along).reshape(len(active), *theta.shape[1:])
        tried = theta[active] - step
        new = evaluate(tried, given)
        better = _better(loss[active], gradient[active], new[0], new[1])
        chosen = active[better]
        theta[chosen] = tried[better]
        loss[chosen], gradient[chosen], hessian[chosen] = (part[better] for part in new)
        damping[active] *= np.where(better, 1 / 3, 4)
        damping = np.clip(damping, DAMPING_FLOOR, DAMPING_CEILING)
    return theta, damping


def _better(loss, gradient, new_loss, new_gradient) -> np.ndarray:
    """Return where a step lowers the loss or, within its rounding error, the gradient."""
    level = new_loss <= loss * (1 + LOSS_NOISE)
    flatter = np.abs(new_gradient).max(axis=1) < np.abs(gradient).max(axis=1)
    return np.isfinite(new_loss) & ((new_loss < loss * (1 - LOSS_NOISE)) | (level & flatter))


def to_critical_point(
    theta: np.ndarray, given: Problem, iterations: int = 60, trust: float = 0.3
) -> np.ndarray:
    """Take plain Newton steps on the gradient, which converge to critical points of any index.

    Steps are cut to length `trust`; directions whose eigenvalue is within rounding error of zero,
    such as those along a line of critical points, are left alone. Students [S, 3, m] in and out;
    the caller must look at the gradient to see which converged.
    """
    theta = theta.copy()
    for _ in range(iterations):
        _, gradient, hessian = evaluate(theta, given)
        if np.abs(gradient).max() < GRADIENT_TOLERANCE / 100:
            break
        theta -= _step(gradient, hessian, trust, absolute=False).reshape(theta.shape)
    return theta


def leave(
    theta: np.ndarray,
    given: Problem,
    level: np.ndarray,
    iterations: int = 60,
    trust: float = 1e-2,
) -> np.ndarray:
    """Take |eigenvalue| Newton steps from near critical points, which leave those with a way down.

    Near a critical point each step halves, or better, the distance along positive eigenvalues and
    doubles it along negative ones. At a distance d the loss differs by lambda d^2 / 2, which is
    rounding error up to d = 1e-5; so `descend`, which asks the loss, would take a student 1e-8 from
    a saddle for one that has converged.

    Args:
      theta: students [S, 3, m] where descent has stopped.
      given: the problem.
      level: loss of the critical point each is near to, [S].
      iterations: of those that stay near.
      trust: largest length of a step.

    Returns:
      students, of which those that leave stop where their loss is LEFT below the level.
    """
    theta = theta.copy()
    near = np.arange(len(theta))
    for _ in range(iterations):
        _, gradient, hessian = evaluate(theta[near], given)
        moved = theta[near] - _step(gradient, hessian, trust, absolute=True).reshape(
            len(near), *theta.shape[1:]
        )
        loss, _, _ = evaluate(moved, given)
        theta[near] = moved
        near = near[loss >= level[near] * (1 - LEFT)]
        if not len(near):
            break
    return theta


def _step(gradient: np.ndarray, hessian: np.ndarray, trust: float, *, absolute: bool) -> np.ndarray:
    """Return Newton steps [S, 3m] of at most length `trust`, by signed eigenvalues or their sizes.

    Directions whose eigenvalue is within rounding error of zero are left alone.
    """
    eigenvalues, vectors = map(np.asarray, tf.linalg.eigh(hessian))
    along = np.einsum("spk,sp->sk", vectors, gradient)
    still = np.abs(eigenvalues) < zero_tolerance(eigenvalues)[:, None]
    divisor = np.where(still, 1, np.abs(eigenvalues) if absolute else eigenvalues)
    step = np.einsum("spk,sk->sp", vectors, np.where(still, 0, along) / divisor)
    length = np.linalg.norm(step, axis=1, keepdims=True)
    return step * np.minimum(1, trust / np.maximum(length, 1e-300))


def zero_tolerance(eigenvalues: np.ndarray) -> np.ndarray:
    """Return the size [S] below which eigenvalues [S, 3m] of a float64 Hessian say nothing.

    The Hessian's rounding error is 1e-16 to 1e-15 of its largest eigenvalue; 1e-11 leaves room for
    the distance to the critical point.
    """
    return 1e-11 * np.abs(eigenvalues).max(axis=1)
