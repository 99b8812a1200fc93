"""Descent in pieces, so that a killed run goes on where it was: Adam's steps, then Newton's.

A state is a dict of arrays, as training.snapshots keeps it: students `theta`, Adam's `moments`,
Newton's `damping`, how far both have come, and the `trajectory` of the first students.
"""

from collections.abc import Callable, Mapping

import numpy as np

from repro.critical import adam, newton
from repro.critical.loss import Problem

ADAM_PIECE, NEWTON_PIECE = 1000, 100
FOLLOWED = 24  # students whose neurons' paths are kept for figures
ZERO = 1e-20

# Called with the state, the students, the number of the piece, the steps taken, whether it was the
# last.
Keep = Callable[[dict, np.ndarray, int, int, bool], None]


def start(theta: np.ndarray, precision: str) -> dict[str, np.ndarray]:
    """Return the state of students [S, 3, m] before the first step."""
    return {
        "theta": theta.astype(precision), "moments": np.zeros((2, *theta.shape)),
        "damping": np.zeros(len(theta)), "adam_steps": np.array(0),
        "newton_iterations": np.array(0), "trajectory": theta[None, :FOLLOWED],
    }  # fmt: skip


def done(state: Mapping[str, np.ndarray]) -> int:
    """Return the number of pieces that a state has behind it."""
    pieces = -(-int(state["adam_steps"]) // ADAM_PIECE)
    return pieces + int(state["newton_iterations"]) // NEWTON_PIECE


def train(
    state: dict, given: Problem, steps: int, learning_rate: float, precision: str, keep: Keep
) -> dict:
    """Take the Adam steps that are left and return the new state."""
    while (taken := int(state["adam_steps"])) < steps:
        piece = min(ADAM_PIECE, steps - taken)
        theta, moments = adam.train(
            state["theta"], state["moments"], given, start=taken, steps=piece,
            learning_rate=learning_rate, precision=precision,
        )  # fmt: skip
        path = np.concatenate([state["trajectory"], theta[None, :FOLLOWED]])
        taken += piece
        state = state | {
            "theta": theta, "moments": moments, "adam_steps": np.array(taken), "trajectory": path,
        }  # fmt: skip
        keep(state, theta, -(-taken // ADAM_PIECE), taken, taken == steps)
    return state


def descend(state: dict, given: Problem, iterations: int, keep: Keep) -> dict:
    """Take the Newton iterations that are left, until all students have converged.

    The state keeps in `trained` where Adam stopped.
    """
    adam_steps = int(state["adam_steps"])
    offset = -(-adam_steps // ADAM_PIECE)
    if not int(state["newton_iterations"]):
        trained = state["theta"].astype(np.float64)
        state = state | {"trained": trained, "theta": trained}
    while (taken := int(state["newton_iterations"])) < iterations:
        damping = state["damping"] if taken else np.full(len(state["theta"]), newton.DAMPING_START)
        theta, damping = newton.descend(state["theta"], damping, given, NEWTON_PIECE)
        still = np.array_equal(theta, state["theta"])
        taken = iterations if still else taken + NEWTON_PIECE
        state = state | {"theta": theta, "damping": damping, "newton_iterations": np.array(taken)}
        if not still:
            piece = offset + taken // NEWTON_PIECE
            keep(state, theta, piece, adam_steps + taken, taken >= iterations)
    return state


def measure(theta: np.ndarray, given: Problem) -> dict[str, float]:
    """Return a row of metrics on students [S, 3, m]."""
    losses, gradients, hessians = newton.evaluate(theta.astype(np.float64), given)
    lowest = np.linalg.eigvalsh(hessians)[:, 0]
    return {
        "students/median_loss": float(np.median(losses)),
        "students/zero_loss": float((losses < ZERO).mean()),
        "students/negative_lambda_min": float((lowest < 0).mean()),
        "students/lowest_lambda_min": float(lowest.min()),
        "students/median_gradient": float(np.median(np.abs(gradients).max(axis=1))),
    }


def each_width(
    starts: Mapping[int, np.ndarray],
    ended: Mapping[str, np.ndarray],
    given: Problem,
    *,
    steps: int,
    learning_rate: float,
    precision: str,
    iterations: int,
    keep: Keep,
) -> dict[int, np.ndarray]:
    """Return, per width, where students end after Adam and Newton.

    Args:
      starts: width -> students [S, 3, width].
      ended: `width_3` -> students of the widths that are done already.
      given: the problem.
      steps, learning_rate, precision: of Adam.
      iterations: of Newton's method, at most.
      keep: called after each width with `ended` so far.
    """
    ended = dict(ended)
    for width, theta in starts.items():
        if f"width_{width}" in ended:
            continue
        theta, _ = adam.train(
            theta, np.zeros((2, *theta.shape)), given, start=0, steps=steps,
            learning_rate=learning_rate, precision=precision,
        )  # fmt: skip
        damping = np.full(len(theta), newton.DAMPING_START)
        theta, _ = newton.descend(theta.astype(np.float64), damping, given, iterations)
        ended[f"width_{width}"] = theta
        keep(ended, theta, width, width, True)
    return {width: ended[f"width_{width}"] for width in starts}
