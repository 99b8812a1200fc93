"""Whether the iterates between which SGDR restarts are local minima, M17."""

from repro.mode_connectivity.ends import unfinished
from repro.mode_connectivity.measures import ITERATES, iterates
from repro.reporting.claims import Claim, Finding, of_seeds, undecided, verdict

GRADIENT = 0.01  # the gradient norm of the training loss from which on a point is no minimum


def m17(runs):
    chosen = iterates(runs)
    if not chosen:
        return None
    shown, outcomes = [], []
    for run in chosen:
        for epoch in ITERATES:
            c = run.result["criticality_of_iterates"][epoch]
            error = max(c["smallest_residual"], c["rounding"])
            shown.append(
                f"w{epoch}: gradient norm {c['gradient_norm']:.2g}, smallest eigenvalue "
                f"{c['smallest']:.3g} ± {error:.1g} (largest {c['largest']:.3g})"
            )
            outcomes.append(c["gradient_norm"] > GRADIENT or c["smallest"] < -error)
    error = "residuals of Lanczos; each point by itself"
    finding = of_seeds(Finding("; ".join(shown), verdict(outcomes), chosen, error))
    part = "over a part of the training images, where no minimum of all has a gradient of zero"
    whole = all(
        c["examples"] == run.result["train_examples"]
        for run in chosen
        for c in run.result["criticality_of_iterates"].values()
    )
    return undecided(finding, unfinished(chosen) or ("" if whole else part))


CLAIMS = (
    Claim(
        "M17",
        "Neither w70 nor w150 is a local minimum.",
        "Section 4",
        "stated",
        m17,
        "At both, in three seeds of the paper's 200 epochs: the gradient norm of the training loss "
        "with its L2 term, over all training images, is above 0.01, or its smallest eigenvalue is "
        "below zero by more than its error; contradicted where neither is so of any. That they do "
        "not lie in different basins is M24's.",
    ),
)
