"""Claims of Zhang et al. 2017 on ImageNet, R28 and R29: Table 2, one network a row as there."""

import itertools

from repro.randomization.measures import PLAIN, corruption_level
from repro.reporting import statistics
from repro.reporting.claims import CONTRADICTED, REPRODUCED, Claim, Finding, agreed, undecided
from repro.reporting.results import Run, select

FITS = 0.90  # of random labels; published 0.952
ENDED = 100  # epochs, before which a training on 1.3 million images is cut short


def r28(runs):
    chosen = [
        run
        for run in select(runs, dataset="imagenet2012", **PLAIN)
        if corruption_level(run) == 1 and run.settings["model"] == "inception_v3"
    ]
    if not chosen:
        return None
    run = chosen[0]
    images = run.result["train_examples"]
    fitted = statistics.share(round(run.result["train_accuracy"] * images), images)

    def judged(least: float) -> str:
        return REPRODUCED if fitted.value >= least else CONTRADICTED

    finding = Finding(
        f"{100 * fitted.value:.2f} % of {images:,} training labels",
        judged(FITS),
        [run],
        f"{fitted.method}, one network",
        statistics.sensitivity(judged, FITS),
    )
    return finding if judged(FITS) == REPRODUCED else undecided(finding, _short([run]))


def r29(runs):
    on_true = select(runs, dataset="imagenet2012", model="inception_v3", corruption="none")
    found = {
        name: next((run for run in on_true if _regularised(run) == flags), None)
        for name, flags in (
            ("augmentation", (True, False)),
            ("weight decay", (False, True)),
            ("none", (False, False)),
        )
    }
    if None in found.values():
        return None
    used = list(found.values())
    accuracies = [statistics.test_accuracy([run]) for run in used]
    outcomes = [
        statistics.above(statistics.difference(one, other), 0)
        for one, other in itertools.pairwise(accuracies)
    ]
    shown = ", ".join(f"{name} {100 * value.value:.2f} %" for name, value in zip(found, accuracies))
    finding = Finding(shown, agreed(outcomes), used, f"{accuracies[0].method}, one network each")
    return undecided(finding, _short(used))


def _regularised(run: Run) -> tuple[bool, bool] | None:
    """Return whether a run without dropout has augmentation, and weight decay."""
    s = run.settings
    return None if s["dropout_rate"] else (bool(s["augment"]), s["weight_decay"] > 0)


def _short(runs: list[Run]) -> str:
    short = [run for run in runs if run.result["epochs"] < ENDED]
    return f"cut short: {len(short)} of {len(runs)} before {ENDED} epochs" if short else ""


CLAIMS = (
    Claim(
        "R28",
        "Inception V3 fits random labels of ImageNet.",
        "Table 2",
        "95.20 % of the training labels without regularisers",
        r28,
        f"At least {FITS:.0%} of the training labels, without regularisers; less after "
        f"{ENDED} epochs or more contradicts.",
        scale="paper",
    ),
    Claim(
        "R29",
        "On ImageNet augmentation ends above weight decay, and that above no regulariser.",
        "Table 2",
        "72.95, 67.18 and 59.80 % top-1",
        r29,
        "Each difference of top-1 test accuracies above zero, beyond the 95 % interval of two test "
        f"sets, after {ENDED} epochs or more.",
        scale="paper",
    ),
)
