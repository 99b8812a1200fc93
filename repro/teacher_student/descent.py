"""Descent of students in pieces of work, so that a stopped run goes on: Adam's, then Newton's.

The state is a dict of arrays, as training.snapshots keeps it: students `theta` [S, d + 1, m],
Adam's `moments`, Newton's `damping`, how far both have come (`adam_steps`, `newton_iterations`),
the `trajectory` of the first students, and, once Newton's method is at work, where Adam had
`trained` them to. It is whole between any two of Adam's steps and between any two pieces of
Newton's.
"""

import math
import time
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from repro.critical import adam, newton
from repro.critical.loss import Problem
from repro.teacher_student.settings import Students
from repro.training.resume import stop_if_asked
from repro.training.snapshots import Snapshots
from repro.training.step import CallLength
from repro.training.strategy import over_rows

ADAM_PIECE, NEWTON_PIECE = 1000, 100  # steps of a piece of work; metrics have a row for each
FOLLOWED = 24  # students whose neurons' paths are kept for figures
ZERO = 1e-20


def start(settings: Students, hidden: int) -> dict[str, np.ndarray]:
    """Return the state of a run's students with so many hidden neurons before the first step."""
    s = settings
    theta = adam.INITIALIZERS[s.init](s.seed, s.num_students, hidden, biases=bool(s.biases))
    return {
        "theta": theta.astype(s.adam_precision),
        "moments": np.zeros((2, *theta.shape)),
        "damping": np.zeros(len(theta)),
        "adam_steps": np.array(0),
        "newton_iterations": np.array(0),
        "trajectory": theta[None, :FOLLOWED],
    }


def adam_pieces(settings: Students) -> int:
    """Return the number of pieces that Adam's steps are."""
    return math.ceil(settings.adam_steps / ADAM_PIECE)


def newton_pieces(iterations: int) -> int:
    """Return the number of pieces that so many of Newton's iterations are."""
    return math.ceil(iterations / NEWTON_PIECE)


def adam_piece(
    number: int,
    row: Mapping,
    store: Snapshots,
    given: Problem,
    settings: Students,
    strategy: tf.distribute.Strategy,
) -> dict:
    """Take the steps of a piece, from 1, that are left; return a row of metrics."""
    began = time.perf_counter()
    train(store, given, settings, min(number * ADAM_PIECE, settings.adam_steps), strategy)
    state = store.state
    path = np.concatenate([state["trajectory"], state["theta"][None, :FOLLOWED]])
    store.state = state | {"trajectory": path}
    return _row(number, row, store, given, began)


def newton_piece(
    number: int,
    row: Mapping,
    store: Snapshots,
    given: Problem,
    adams: int,
    iterations: int,
    strategy: tf.distribute.Strategy,
) -> dict:
    """Take the iterations of a piece; return a row of metrics, `complete` once nothing moves.

    Args:
      number: of the piece, Adam's included.
      row: the one before.
      store, given: the students, and their problem.
      adams: pieces of Adam before the first of Newton.
      iterations: at most, in all pieces.
      strategy: whose replicas share the students.
    """
    began = time.perf_counter()
    until = min((number - adams) * NEWTON_PIECE, iterations)
    if not descend(store, given, until, strategy):
        return {**row, "status": "complete"}
    return _row(number, row, store, given, began)


def train(
    store: Snapshots,
    given: Problem,
    settings: Students,
    until: int,
    strategy: tf.distribute.Strategy,
) -> None:
    """Take Adam's steps until so many are behind the students; a signal may end it on the way."""
    calls = CallLength(isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy))
    while (taken := int(store.state["adam_steps"])) < until:
        steps = calls.next(until - taken)

        def advance(theta, moments, taken=taken, steps=steps):
            theta, moments = adam.train(
                theta,
                moments.swapaxes(0, 1),
                given,
                start=taken,
                steps=steps,
                learning_rate=settings.learning_rate,
                precision=settings.adam_precision,
            )
            return theta, moments.swapaxes(0, 1)

        before = store.state["theta"], store.state["moments"].swapaxes(0, 1)
        theta, moments = over_rows(strategy, advance, *before, unit=adam.BLOCK)
        store.state = store.state | {
            "theta": theta,
            "moments": moments.swapaxes(0, 1),
            "adam_steps": np.array(taken + steps),
        }
        stop_if_asked()


def descend(store: Snapshots, given: Problem, until: int, strategy: tf.distribute.Strategy) -> bool:
    """Take Newton's iterations until so many are behind the students; return whether any moved.

    A signal ends it at once, with the state as it was.
    """
    state = store.state
    if not int(state["newton_iterations"]):
        trained = state["theta"].astype(np.float64)
        damping = np.full(len(trained), newton.DAMPING_START)
        state = state | {"trained": trained, "theta": trained, "damping": damping}
    left = until - int(state["newton_iterations"])
    theta, damping = over_rows(
        strategy,
        lambda theta, damping: newton.descend(theta, damping, given, left, between=stop_if_asked),
        state["theta"],
        state["damping"],
    )
    moved = not np.array_equal(theta, state["theta"])
    done = {"theta": theta, "damping": damping, "newton_iterations": np.array(until)}
    store.state = state | done
    return moved


def width_piece(
    number: int,
    row: Mapping,
    store: Snapshots,
    given: Problem,
    settings: Students,
    iterations: int,
    strategy: tf.distribute.Strategy,
) -> dict:
    """Let the students of one width end, by Adam and Newton, and keep them as `width_<number>`.

    Args:
      number: of the piece, and of hidden neurons.
      row: the one before.
      store: of the widths that are done, and of the one at work, whose number is `at_work`.
      given: the problem.
      settings: of the run.
      iterations: of Newton's method, at most.
      strategy: whose replicas share the students.
    """
    began = time.perf_counter()
    ended = {name: a for name, a in store.state.items() if name.startswith("width_")}
    if int(store.state.get("at_work", 0)) != number:
        store.state = ended | start(settings, number) | {"at_work": np.array(number)}
    train(store, given, settings, settings.adam_steps, strategy)
    moved = True
    while moved and (taken := int(store.state["newton_iterations"])) < iterations:
        moved = descend(store, given, min(taken + NEWTON_PIECE, iterations), strategy)
        stop_if_asked()
    theta = store.state["theta"]
    store.state = ended | {f"width_{number}": theta.astype(np.float64)}
    measured = measure(theta, given)
    return {"epoch": number, "step": number, **measured, "seconds": seconds(row, began)}


def measure(theta: np.ndarray, given: Problem) -> dict[str, float]:
    """Return what a row of metrics says of students [S, 3, m]."""
    losses, gradients, hessians = newton.evaluate(theta.astype(np.float64), given)
    lowest = np.linalg.eigvalsh(hessians)[:, 0]
    return {
        "students/median_loss": float(np.median(losses)),
        "students/zero_loss": float((losses < ZERO).mean()),
        "students/negative_lambda_min": float((lowest < 0).mean()),
        "students/lowest_lambda_min": float(lowest.min()),
        "students/median_gradient": float(np.median(np.abs(gradients).max(axis=1))),
    }


def seconds(row: Mapping, began: float) -> float:
    """Return seconds of computing up to now: those of the row before and those since `began`."""
    return round(row.get("seconds", 0.0) + time.perf_counter() - began, 2)


def _row(number: int, row: Mapping, store: Snapshots, given: Problem, began: float) -> dict:
    state = store.state
    step = int(state["adam_steps"]) + int(state["newton_iterations"])
    measured = measure(state["theta"], given)
    return {"epoch": number, "step": step, **measured, "seconds": seconds(row, began)}
