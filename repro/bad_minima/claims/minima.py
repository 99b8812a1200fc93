"""Claims on whether bad minima are minima, B22, and on what tells them from good ones, B23, B24."""

from collections.abc import Sequence

from repro.bad_minima.ends import FLATNESS, looked_at
from repro.bad_minima.measures import by_seed, settled
from repro.reporting import statistics
from repro.reporting.claims import INCONCLUSIVE, Claim, Finding, agreed, verdict
from repro.reporting.results import Run

GRADIENT = 0.01  # the largest norm of the training loss's gradient that counts as none
NEGATIVE = 0.01  # how far below zero the smallest eigenvalue may be, in shares of the largest
SEEDS = "More seeds: three leave intervals on both sides of zero."


def b22(runs):
    chosen = looked_at(runs, "adversarial")
    if not chosen:
        return None
    found = [run.result["criticality"] for run in chosen]
    slopes = [c["gradient_norm"] for c in found]
    shares = [c["smallest"] / c["largest"] for c in found]
    measured = (
        f"gradient norm {min(slopes):.2g} to {max(slopes):.2g}; smallest eigenvalue "
        f"{min(shares):.2%} to {max(shares):.2%} of the largest"
    )
    few = sorted({c["examples"] for c in found if c["examples"]})
    measured += f", over {'/'.join(f'{n:,}' for n in few)} training images"

    def holds(factor: float) -> str:
        pairs = zip(slopes, shares)
        return verdict([g <= factor * GRADIENT and s >= -factor * NEGATIVE for g, s in pairs])

    error = "largest residual of an eigenvalue, in shares of the largest, " + format(
        max(c["smallest_residual"] / c["largest"] for c in found), ".1g"
    )
    sensitivity = statistics.sensitivity(holds, 1.0)
    return settled(Finding(measured, holds(1.0), chosen, error, sensitivity))


def b23(runs):
    return _larger(runs, "m_sharpness")


def b24(runs):
    return _larger(runs, "adaptive")


def _larger(runs: Sequence[Run], measure: str) -> Finding | None:
    """Judge that a measure is larger at bad minima, by one step of ascent and by five."""
    both = by_seed(looked_at(runs, "random"), looked_at(runs, "adversarial"))
    if not both:
        return None
    shown, verdicts = [], []
    for name in ("sharpness", measure, f"{measure}_5_steps"):
        label, value = FLATNESS[name]
        good, bad = ([value(run) for run in side] for side in zip(*both))
        means = [sum(side) / len(side) for side in (bad, good)]
        shown.append(f"{label}: {means[0]:.3g} bad, {means[1]:.3g} good")
        if name != "sharpness":
            enough = len(both) > 1
            rise = statistics.paired(bad, good) if enough else None
            verdicts.append(statistics.above(rise, 0) if enough else INCONCLUSIVE)
    used = [run for pair in both for run in pair]
    error = f"Student's t over {len(both)} pairs, one a seed"
    return settled(Finding("; ".join(shown).replace("\n", " "), agreed(verdicts), used, error))


CLAIMS = (
    Claim(
        "B22",
        "The bad minima are minima.",
        "title; asked by the JAX rerun, section 5.2",
        "global minima of the training loss",
        b22,
        "Vanilla SGD from adversarial starts, three seeds that fit 99 % of the training set or had "
        "350 epochs: every end has a gradient norm of at most 0.01 and a smallest eigenvalue no "
        "further below zero than 1 % of the largest; contradicted where none has.",
    ),
    Claim(
        "B23",
        "m-sharpness is larger at bad minima than at good ones.",
        "asks of Foret et al. 2021 what Liu et al. 2020 found",
        "nothing; the largest eigenvalue is smaller there",
        b23,
        "Vanilla SGD from adversarial against random starts: larger beyond the 95 % interval of "
        "Student's t over pairs of three seeds, with one step of ascent and with five.",
        to_decide=SEEDS,
    ),
    Claim(
        "B24",
        "Adaptive sharpness is larger at bad minima than at good ones.",
        "asks of Kwon et al. 2021 what Liu et al. 2020 found",
        "nothing; the largest eigenvalue is smaller there",
        b24,
        "Vanilla SGD from adversarial against random starts: larger beyond the 95 % interval of "
        "Student's t over pairs of three seeds, with one step of ascent and with five.",
        to_decide=SEEDS,
    ),
)
