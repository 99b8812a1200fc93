"""Seed 002's experiment after Adam, as its slides describe it."""

import numpy as np

from repro.critical import newton, perturb
from repro.critical.counting import wilson
from repro.critical.loss import Problem


def follow_slides(
    theta: np.ndarray,
    given: Problem,
    *,
    ftol: float,
    epsilon: float,
    attempts: int,
    at_most: int,
    seed: int,
) -> tuple[dict, dict[str, np.ndarray]]:
    """Look for negative smallest eigenvalues, refine those by SLSQP, perturb until positive.

    Args:
      theta: students [S, 3, m] after Adam.
      given: the problem.
      ftol: of SLSQP.
      epsilon: length of a perturbation.
      attempts: perturbations per student, at most.
      at_most: students with a negative eigenvalue that are refined; the first ones.
      seed: of the perturbations.

    Returns:
      the result and arrays, per student and, with a prefix, per refined student.
    """
    losses, gradients, hessians = newton.evaluate(theta, given)
    lowest = np.linalg.eigvalsh(hessians)[:, 0]
    negative = np.flatnonzero(lowest < 0)
    examined = negative[:at_most]
    refined = [perturb.slsqp(theta[s], given, ftol) for s in examined]
    perturbed = [
        perturb.until_positive(
            theta[s], given, epsilon=epsilon, ftol=ftol, attempts=attempts, seed=seed, number=int(s)
        )
        for s in examined
    ]

    result = _summarize(len(negative), len(theta), refined, [r for r, _ in perturbed])
    columns = {"slsqp": refined, "perturbed": [r for r, _ in perturbed]}
    arrays = {
        f"{name}_{field}": np.array([getattr(r, field) for r in rows])
        for name, rows in columns.items()
        for field in ("loss", "lambda_min", "gradient_norm", "iterations")
    }
    return result, arrays | {
        "loss": losses, "gradient_norm": np.abs(gradients).max(axis=1), "lambda_min": lowest,
        "incoming": theta[:, :2].transpose(0, 2, 1), "outgoing": theta[:, 2],
        "examined": examined, "attempts": np.array([tries for _, tries in perturbed]),
    }  # fmt: skip


def _summarize(
    negative: int, students: int, refined: list[perturb.Refined], perturbed: list[perturb.Refined]
) -> dict:
    flipped = sum(r.lambda_min > 0 for r in refined)
    succeeded = sum(r.lambda_min > 0 for r in perturbed)
    return {
        "summary": f"{negative} of {students} students with a negative smallest eigenvalue; "
                   f"SLSQP flips {flipped} of {len(refined)}, perturbing {succeeded}",
        "negative": _share(negative, students),
        "slsqp_positive": _share(flipped, len(refined)),
        "perturbed_positive": _share(succeeded, len(refined)),
        "slsqp_one_iteration": int(sum(r.iterations <= 1 for r in refined)),
    }  # fmt: skip


def _share(hits, trials) -> dict:
    hits, trials = int(hits), int(trials)
    interval = list(wilson(hits, trials)) if trials else None
    return {"count": hits, "of": trials, "wilson": interval}
