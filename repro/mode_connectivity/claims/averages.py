"""Claims on averages and ensembles of one training's iterates, and on curves that overfit.

M18 is of Izmailov et al. 2018 (stochastic weight averaging), M19 of Garipov et al. 2018 (fast
geometric ensembling), M20 and M25 of Gotmare et al. 2018.
"""

from collections.abc import Sequence

import numpy as np

from repro.mode_connectivity.curve_figures import PAIRS, VARIANTS, curve_run
from repro.mode_connectivity.ends import unfinished
from repro.mode_connectivity.measures import gains
from repro.reporting import statistics
from repro.reporting.claims import Claim, Finding, of_seeds, undecided, verdict
from repro.reporting.results import Run

NOTICEABLE = 0.01  # share of an end's loss by which a curve must differ from it
MIDDLE = (0.25, 0.75)  # the part of a curve that M20 is about


def m18(runs):
    return _gain(runs, "swa")


def m19(runs):
    return _gain(runs, "fge")


def _gain(runs, mode: str) -> Finding | None:
    """Judge whether an average or an ensemble is right more often than its members."""
    found = gains(runs, mode)
    if not found:
        return None
    shown = [
        f"{100 * together:.2f} % together, {100 * np.mean(members):.2f} % alone "
        f"({100 * min(members):.2f} to {100 * max(members):.2f})"
        for _, together, members in found
    ]
    used = [run for run, _, _ in found]
    differences = [together - float(np.mean(members)) for _, together, members in found]
    outcome = verdict([difference > 0 for difference in differences])  # one seed decides nothing
    if len(found) > 1:
        outcome = statistics.above(statistics.over_seeds(differences), 0)
    error = "Student's t over seeds, together and alone on the same images"
    brief = f"{100 * np.mean(differences):+.2f} points"
    finding = of_seeds(Finding("; ".join(shown), outcome, used, error, brief=brief))
    return undecided(finding, unfinished(used))


def m20(runs):
    found = [
        run
        for first, second in PAIRS["sgdr"]
        if (run := curve_run(runs, f"sgdr@{first}", f"sgdr@{second}"))
    ]
    text = [run for run in found if run.settings["from"] == "sgdr@70"]  # the pair of the text
    return _overfitting(found, text or found[-1:])


def m25(runs):
    found = [run for mode in VARIANTS if (run := curve_run(runs, "G", mode))]
    return _overfitting(found, found) if len(found) == len(VARIANTS) else None


def _overfitting(found: Sequence[Run], judged: Sequence[Run]) -> Finding | None:
    """Show how far curves are off their ends, and judge whether some of them overfit."""
    if not found:
        return None
    shown = []
    for run in found:
        between = run.settings["from"], run.settings["to"]
        between = ",".join(point.removeprefix("sgdr@") for point in between)
        low, high = _overfits(run)
        change = f"training loss {100 * low:+.1f} %, validation loss {100 * high:+.1f} %"
        shown.append(f"{{{between}}} {change}")
    shares = [_overfits(run) for run in judged]

    def outcome(noticeable: float) -> str:
        return verdict([low < -noticeable and high > noticeable for low, high in shares])

    finding = Finding(
        "; ".join(shown),
        outcome(NOTICEABLE),
        found,
        "one seed, as in the paper",
        statistics.sensitivity(outcome, NOTICEABLE),
    )
    return undecided(finding, unfinished(found))


def _overfits(run) -> tuple[float, float]:
    """Return how far the middle of a curve is off its ends, as shares of the ends' losses.

    Of training loss its highest there off the lower end, of validation loss its lowest there off
    the higher end.
    """
    arrays = run.arrays()
    inside = (arrays["t"] >= MIDDLE[0]) & (arrays["t"] <= MIDDLE[1])
    train, test = (arrays[name] for name in ("train_nll", "test_nll"))
    low, high = min(train[0], train[-1]), max(test[0], test[-1])
    return float(train[inside].max() / low - 1), float(test[inside].min() / high - 1)


CLAIMS = (
    Claim(
        "M18",
        "The average of a training's last iterates is more accurate than they are.",
        "Izmailov et al. 2018",
        "VGG16 on CIFAR-100: 72.55 to 73.91 %",
        m18,
        "Three seeds or more of the paper's 200 epochs, or fitted: the average's validation "
        "accuracy less the mean of its members' above zero, beyond the 95 % interval of "
        "Student's t.",
    ),
    Claim(
        "M19",
        "An ensemble of networks at the lowest rates of one training is better than they are.",
        "Garipov et al. 2018",
        "VGG16 on CIFAR-100: 72.5 to 74.6 %",
        m19,
        "As M18, of probabilities averaged over the networks of one training.",
    ),
    Claim(
        "M20",
        "Curves overfit: between w70 and w150 training loss is lower, and validation loss higher.",
        "Section 5",
        "lower, and higher",
        m20,
        "In the middle half of the curve training loss is everywhere below the lower end's by "
        "more than 1 %, and validation loss above the higher end's by more than 1 %. Trajectories "
        "of all the paper's 200 epochs. One seed, as in the paper.",
    ),
    Claim(
        "M25",
        "The six curves from mode G overfit too: training loss is lower, validation loss higher.",
        "Figures 8 and 10",
        "stated",
        m25,
        "As M20, for each of the six curves, between modes of all the paper's 200 epochs, or "
        "fitted; contradicted where it holds for none, and inconclusive where for some.",
    ),
)
