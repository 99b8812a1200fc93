"""Adam for many students at once: one compiled loop per block of students."""

import concurrent.futures
import functools

import numpy as np
import tensorflow as tf

from repro.critical.loss import Problem, loss_and_gradient

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
# Students of one compiled loop. Their activations, 125 x m x 840 numbers, stay near the cache:
# measured 1.5 times faster per student than 1,000 at once.
BLOCK = 125


def glorot_uniform(seed: int, students: int, width: int, *, biases: bool = False) -> np.ndarray:
    """Draw students [S, 3, m] as the authors' code does: Glorot uniform in float32, then float64.

    Student s depends on (seed, s) alone, so that a larger census contains the smaller one. With
    biases students are [S, 4, m], of the same weights, and their third row, the biases, is zero.
    """
    bounds = np.sqrt([6 / (2 + width), 6 / (2 + width), 0, 6 / (width + 1)])
    return _uniform(seed, students, width, bounds, biases)


def torch_linear(seed: int, students: int, width: int, *, biases: bool = False) -> np.ndarray:
    """Draw students [S, 3, m] as torch.nn.Linear would: uniform in +-1/sqrt(fan-in), float32.

    With biases students are [S, 4, m], of the same weights, and the third row is drawn likewise.
    """
    bounds = np.array([2.0, 2.0, 2.0, width]) ** -0.5
    return _uniform(seed, students, width, bounds, biases)


INITIALIZERS = {"glorot": glorot_uniform, "torch": torch_linear}


def train(
    theta: np.ndarray,
    moments: np.ndarray,
    given: Problem,
    *,
    start: int,
    steps: int,
    learning_rate: float,
    precision: str = "float64",
    workers: int = 2,
) -> tuple[np.ndarray, np.ndarray]:
    """Take full-batch Adam steps, each student on its own.

    Args:
      theta: students [S, 3, m], or [S, 4, m] with biases.
      moments: Adam's two moving averages, [2, *theta.shape]; zeros at the start.
      given: the problem.
      start: steps taken before, for the bias correction.
      steps: how many to take now.
      learning_rate: constant.
      precision: float64 or float32, of students and arithmetic alike.
      workers: blocks computed at a time; results do not depend on it.

    Returns:
      students and moments in the given precision; going on from them equals not having stopped.
    """
    theta, moments = theta.astype(precision), moments.astype(precision)
    blocks = [slice(first, first + BLOCK) for first in range(0, len(theta), BLOCK)]
    loops = [compiled(given, precision, theta[block].shape) for block in blocks]
    counts = tf.constant(start), tf.constant(steps), tf.constant(learning_rate, tf.float64)

    device = tf.constant(0.0).device  # threads do not inherit the caller's

    def advance(loop, block: slice) -> tuple[np.ndarray, np.ndarray]:
        with tf.device(device):
            done = loop(tf.constant(theta[block]), tf.constant(moments[:, block]), *counts)
        return done[0].numpy(), done[1].numpy()

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        blocks = list(pool.map(advance, loops, blocks))
    return np.concatenate([b[0] for b in blocks]), np.concatenate([b[1] for b in blocks], axis=1)


@functools.lru_cache(maxsize=32)
def compiled(given: Problem, precision: str, shape: tuple[int, ...]):
    """Return the loop of `train` on students of a shape: (theta, moments, start, steps, rate)."""
    dtype = tf.dtypes.as_dtype(precision)
    count = tf.TensorSpec([], tf.int32)

    @tf.function(jit_compile=True)
    def loop(theta, moments, start, steps, learning_rate):
        mean, square = moments[0], moments[1]
        step = start  # no tf.range: XLA takes its length for a constant and compiles it anew
        # float64 even for float32 students: 0.999 ** 1e5 underflows gracefully, the steps do not
        while step < start + steps:
            step += 1
            _, gradient = loss_and_gradient(theta, given)
            mean = BETA_1 * mean + (1 - BETA_1) * gradient
            square = BETA_2 * square + (1 - BETA_2) * gradient**2
            taken = tf.cast(step, tf.float64)
            unbiased_1 = tf.cast(1 - tf.pow(tf.constant(BETA_1, tf.float64), taken), dtype)
            unbiased_2 = tf.cast(1 - tf.pow(tf.constant(BETA_2, tf.float64), taken), dtype)
            rate = tf.cast(learning_rate, dtype)
            theta -= rate * (mean / unbiased_1) / (tf.sqrt(square / unbiased_2) + EPSILON)
        return theta, tf.stack([mean, square])

    return loop.get_concrete_function(
        tf.TensorSpec(shape, dtype),
        tf.TensorSpec([2, *shape], dtype),
        count,
        count,
        tf.TensorSpec([], tf.float64),
    )


def _uniform(seed: int, students: int, width: int, bounds: np.ndarray, biases: bool) -> np.ndarray:
    """Draw from +-bounds of the rows: two of incoming weights, biases, outgoing weights.

    Biases are drawn last, so that a student without them has the weights of the one with them.
    """
    draws = [
        np.random.default_rng([seed, width, student]).random((4, width), dtype=np.float32)
        for student in range(students)
    ]
    rows = [0, 1, 3, 2] if biases else [0, 1, 2]
    bounds = bounds if biases else bounds[[0, 1, 3]]
    low_to_high = 2 * np.stack(draws)[:, rows] - 1
    return (low_to_high * bounds[:, None].astype(np.float32)).astype(np.float64)
