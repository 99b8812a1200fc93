"""Channels to infinity: the loss falls for ever while outgoing weights grow.

Neurons whose incoming weights approach each other, or zero, with outgoing weights that grow and
cancel, become a derivative of a neuron in the limit: (v.x) sigma'(w.x) for a pair, a second
derivative for a triple, a linear unit for w -> 0. Along a channel L - L0 ~ eps^2, the largest
eigenvalue ~ eps^-2, and no finite minimum is ever reached (Martinelli et al., "Flat channels to
infinity"). Descent stops anywhere in it, so descending is no test; jumping is.
"""

import dataclasses

import numpy as np

from repro.critical import newton
from repro.critical.loss import Problem
from repro.critical.neurons import copies

LARGE, SHARE = 3.0, 0.1  # a neuron may be in a channel if |a| > 3 and > a tenth of the largest
GROWTH = 1.3  # of the largest weight by a jump; halving a distance doubles it
SLIDING = 20.0  # an outgoing weight above this is on its way; those of finite minima are below 15
CLOSE = 0.5  # linking distance of neurons that may be on their way to each other


@dataclasses.dataclass(frozen=True)
class ChannelTest:
    """What jumping along a channel found, per student; first entry: before the first jump.

    Attributes:
      gap: distance of the group's neurons to where they go, the largest one, [S, J + 1].
      loss: after re-optimising, [S, J + 1].
      largest: largest outgoing weight in absolute value, [S, J + 1].
      lambda_max: largest eigenvalue of the Hessian, [S, J + 1].
      growing: number of neurons whose outgoing weights grow, [S].
      is_channel: [S]; the loss fell and the weights grew at every jump, and by GROWTH a jump on
        the whole.
      slides: [S]; where jumps led nowhere, descent itself went on with growing weights. This is
        weaker evidence: groups of three and more approach zero at rates of their own, and halving
        all distances leaves their channel.
    """

    gap: np.ndarray
    loss: np.ndarray
    largest: np.ndarray
    lambda_max: np.ndarray
    growing: np.ndarray
    is_channel: np.ndarray
    slides: np.ndarray


def jump(student: np.ndarray, given: Problem, factor: float = 0.5) -> tuple[np.ndarray, float]:
    """Bring the neurons of a channel closer by `factor` and fit all outgoing weights anew.

    The fit is linear least squares, so pairs, triples and linear units need no case of their own.

    Returns:
      the student [3, m] after the jump, and the largest distance before it to the group's centre;
      0 where no neuron is large.
    """
    moved, gap = student.copy(), 0.0
    for group, centre in _destinations(student):
        signs = np.where(centre @ student[:-1, group] >= 0, 1, -1)
        there = centre[:, None] * signs
        offset = student[:-1, group] - there
        moved[:-1, group] = there + factor * offset
        gap = max(gap, float(np.linalg.norm(offset, axis=0).max()))
    moved[-1] = fit_outgoing(moved[:-1], given)
    return moved, gap


def fit_outgoing(incoming: np.ndarray, given: Problem) -> np.ndarray:
    """Return the outgoing weights [m] that minimise the loss for incoming weights [d, m]."""
    root = np.sqrt(given.weight)
    odd = root * np.tanh(given.points @ incoming / 2) / 2
    rows, wanted = odd + root / 2, root * given.target
    if given.halved:
        rows = np.vstack([odd, np.full(incoming.shape[1], 0.5)])
        wanted = np.append(wanted, given.total / 2)
    return np.linalg.lstsq(rows, wanted, rcond=1e-14)[0]


def follow(theta: np.ndarray, given: Problem, jumps: int = 3, iterations: int = 150) -> ChannelTest:
    """Jump along supposed channels, re-optimising after each jump.

    Args:
      theta: students [S, 3, m] where descent has stopped.
      given: the problem.
      jumps: each halves the distances within the group.
      iterations: of damped Newton after a jump.
    """
    records, start = [], np.abs(theta[:, -1])
    slides = _slides(theta, given)
    for number in range(jumps + 1):
        jumped = [jump(student, given) for student in theta]
        loss, _, hessian = newton.evaluate(theta, given)
        top = np.linalg.eigvalsh(hessian)[:, -1]
        records.append([[gap for _, gap in jumped], loss, np.abs(theta[:, -1]).max(axis=1), top])
        if number < jumps:
            theta = np.stack([student for student, _ in jumped])
            damping = np.full(len(theta), newton.DAMPING_START)
            theta, _ = newton.descend(theta, damping, given, iterations)
    gap, loss, largest, top = (np.array(column).T for column in zip(*records))
    falls = (np.diff(loss, axis=1) < 0).all(axis=1)
    grows = (np.diff(largest, axis=1) > 0).all(axis=1)
    grows &= largest[:, -1] > GROWTH**jumps * largest[:, 0]
    growing = (np.abs(theta[:, -1]) > GROWTH * np.maximum(start, 1)).sum(axis=1)
    is_channel = falls & grows & (gap > 0).all(axis=1)
    return ChannelTest(gap, loss, largest, top, growing, is_channel, slides)


def _slides(theta: np.ndarray, given: Problem, iterations: int = 400) -> np.ndarray:
    """Return which students [S] descend on with a growing weight above SLIDING."""
    before, _, _ = newton.evaluate(theta, given)
    largest = np.abs(theta[:, -1]).max(axis=1)
    damping = np.full(len(theta), newton.DAMPING_START)
    theta, _ = newton.descend(theta, damping, given, iterations)
    loss, gradient, _ = newton.evaluate(theta, given)
    going = ~newton.converged(loss, np.abs(gradient).max(axis=1))
    grown = np.abs(theta[:, -1]).max(axis=1)
    return going & (loss < before) & (grown > largest) & (grown > SLIDING)


def _destinations(student: np.ndarray) -> list[tuple[list[int], np.ndarray]]:
    """Return groups of large neurons and the incoming weight [d] each group is heading for."""
    size = np.abs(student[-1])
    large = np.flatnonzero((size > LARGE) & (size > SHARE * size.max()))
    if not len(large):
        return []
    groups = []
    for group in copies(student[:, large], CLOSE, up_to_sign=True):
        members = [int(large[i]) for i in group]
        incoming = student[:-1, members]
        signs = np.where(incoming[:, 0] @ incoming >= 0, 1, -1)
        centre = (signs * incoming).mean(axis=1)
        spread = np.linalg.norm(signs * incoming - centre[:, None], axis=0).max()
        # neurons whose odd parts add up can only be kept finite by w -> 0: a linear unit; a bias
        # may stay
        add_up = abs(signs @ student[-1, members]) > np.abs(student[-1, members]).sum() / 2
        if add_up or np.linalg.norm(centre) < 2 * spread:
            centre[:2] = 0
        groups.append((members, centre))
    return groups
