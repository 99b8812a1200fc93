"""Claims of the EPFL student rerun on labels drawn afresh at every access, R8 and R9.

It has one network at each level, and so have we: errors are those of images.
"""

from repro.randomization.measures import corruption_level, unfinished
from repro.reporting import statistics
from repro.reporting.claims import Claim, Finding, agreed, undecided, worst

REDRAWN_EPOCHS = 40  # the EPFL student rerun's trainings ended there
BELOW_CEILING = 0.04  # its accuracies end 0.6, 3.5 and 0 points below 1 - 0.9 p
UNCHANGED = 0.02  # of clean test accuracy
MODEL = "inception"  # of the rerun


def r8(runs):
    chosen = [run for run in runs if run.settings["redraw"] and corruption_level(run) > 0]
    if not chosen:
        return None
    chosen.sort(key=corruption_level)
    gaps = []
    for run in chosen:
        right = statistics.share(
            round(run.result["train_accuracy"] * run.result["train_examples"]),
            run.result["train_examples"],
        )
        gaps.append((1 - 0.9 * corruption_level(run) - right.value, right))
    shown = ", ".join(
        f"p={corruption_level(run):.2g}: {right.value:.1%} (ceiling {gap + right.value:.1%})"
        for run, (gap, right) in zip(chosen, gaps)
    )

    def near(margin: float) -> str:
        # At p = 1 chance is the ceiling, which every network meets: what agreed there is no news.
        moved = [statistics.Estimate(gap, r.error, r.freedom, r.method) for gap, r in gaps]
        return worst([statistics.no_difference(each, margin) for each in moved])

    finding = Finding(
        shown,
        near(BELOW_CEILING),
        chosen,
        f"{gaps[0][1].method}, one network each",
        statistics.sensitivity(near, BELOW_CEILING),
    )
    return _of_the_rerun(finding)


def r9(runs):
    redrawn = [run for run in runs if run.settings["redraw"] and 0 < corruption_level(run) < 0.9]
    clean = next((run for run in runs if run.settings["corruption"] == "none"), None)
    if not redrawn or clean is None:
        return None
    redrawn.sort(key=corruption_level)
    base = statistics.test_accuracy([clean])
    losses = [statistics.difference(base, statistics.test_accuracy([run])) for run in redrawn]
    shown = [
        f"{loss.text(100, 'points', 1)} at p={corruption_level(run):.2g}"
        for loss, run in zip(losses, redrawn)
    ]

    def unchanged(margin: float) -> str:
        return agreed([statistics.no_difference(loss, margin) for loss in losses])

    used = [clean, *redrawn]
    finding = Finding(
        f"clean test accuracy {base.value:.1%} at p=0; lower by {', '.join(shown)}",
        unchanged(UNCHANGED),
        used,
        losses[0].method,
        statistics.sensitivity(unchanged, UNCHANGED),
    )
    return _of_the_rerun(finding)


def _of_the_rerun(finding: Finding) -> Finding:
    """Leave open what networks other than the rerun's say, and such as were cut short."""
    others = sorted({run.settings["model"] for run in finding.runs} - {MODEL})
    finding = undecided(finding, unfinished(finding.runs, REDRAWN_EPOCHS))
    return undecided(finding, f"{', '.join(others)}, where the rerun has {MODEL}" if others else "")


RERUN = "the EPFL student rerun"
CLAIMS = (
    Claim(
        "R8",
        "With labels drawn afresh training ends just below 1 - 0.9 p.",
        RERUN,
        "69.4 / 36.5 / 10.1 % at p = 1/3, 2/3, 1",
        r8,
        "Train accuracy within 4 points of 1 - 0.9 p at every p (the rerun's are 0.6, 3.5 and 0 "
        "below), of Inception after 40 epochs, the rerun's; farther at one p contradicts, beyond "
        "the error of the training images. One network each, as there.",
        to_decide="40 epochs of Inception on all images: `randomization/redraw` at scale paper.",
    ),
    Claim(
        "R9",
        "Labels drawn afresh leave clean test accuracy nearly unchanged.",
        RERUN,
        "85.3 / 85.2 against 84.85 %",
        r9,
        "Within 2 points of the accuracy at p = 0, by an equivalence test over the test images, "
        "of Inception after 40 epochs, the rerun's, or a fit. One network each, as there.",
        to_decide="40 epochs of Inception on all images: `randomization/redraw` at scale paper.",
    ),
)
