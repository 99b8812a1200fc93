"""The corrected transition plot: who leaves a critical point after which perturbation."""

from collections.abc import Sequence

import numpy as np

from repro.critical import perturb
from repro.critical.loss import Problem

EPSILONS = np.logspace(-8, 0, 17)


def compare(
    named: Sequence[tuple[str, str, np.ndarray]], given: Problem, draws: int, seed: int
) -> dict[str, np.ndarray]:
    """Perturb critical points of known class and descend to second-order convergence.

    Args:
      named: name, class and student [3, m] of each; widths may differ.
      given: the problem.
      draws: per epsilon.
      seed: of the draws.

    Returns:
      arrays `transition_epsilon` [E], `transition_name` [P], `transition_class` [P],
      `transition_share` [P, E] of draws that escaped, `transition_loss` [P, E, draws].
    """
    outcomes = [
        perturb.transition(student, given, EPSILONS, draws, seed + number)
        for number, (_, _, student) in enumerate(named)
    ]
    return {
        "transition_epsilon": EPSILONS,
        "transition_name": np.array([name for name, _, _ in named]),
        "transition_class": np.array([kind for _, kind, _ in named]),
        "transition_share": np.stack([outcome.share for outcome in outcomes]),
        "transition_loss": np.stack([outcome.loss for outcome in outcomes]),
    }
