"""Claims on who reaches zero loss, how that is told, and what they are: C12 to C14 and C23."""

import numpy as np

from repro.reporting import statistics
from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    undecided,
    worst,
)
from repro.teacher_student.claims.census import EPFL, ONE_SEED, OWN, ZERO
from repro.teacher_student.measures import FAILED, censuses, enough, share_text, shown_above

THRESHOLDS = (1e-3, 1e-4)  # on the loss, to tell global minima
MISLABELLED = 0.05  # share of students from which on a threshold is unreliable
UNTYPED = "zero loss, no symmetry type"
POLISHED = 1e-28  # a loss at which the tolerance of types is 1e-7 for pairs: none is missed


def c12(runs):
    """Judge thresholds by the students that they mislabel, either way; 1e-20 shows that one can."""
    chosen = censuses(runs)
    wrong, students = dict.fromkeys((*THRESHOLDS, ZERO), 0), 0
    for run in chosen:
        arrays = run.arrays()
        known = arrays["class"] != "undecided"
        zero, loss = arrays["class"][known] == "global", arrays["loss"][known]
        students += len(loss)
        for threshold in wrong:
            wrong[threshold] += int(np.sum((loss < threshold) != zero))
    if not students:
        return None
    measured = ", ".join(
        f"{threshold:g} mislabels {share_text(hits, students)}" for threshold, hits in wrong.items()
    )

    def unreliable(bar: float) -> str:
        return worst([shown_above(wrong[threshold], students, bar) for threshold in THRESHOLDS])

    sensitivity = statistics.sensitivity(unreliable, MISLABELLED)
    return Finding(measured, unreliable(MISLABELLED), chosen, ONE_SEED, sensitivity)


def c13(runs):
    return _reach_zero(runs, narrow=5, wide=45)


def c23(runs):
    return _reach_zero(runs, narrow=5, wide=10)


def _reach_zero(runs, narrow: int, wide: int) -> Finding | None:
    """Judge that all wide students reach zero loss and some narrow ones do not."""
    by_width = {width: censuses(runs, hidden=width) for width in (narrow, wide)}
    if not all(by_width.values()):
        return None
    outcomes, shown, brief, tried = [], [], [], 0
    for width, run in ((width, run) for width, of in by_width.items() for run in of):
        arrays = run.arrays()
        above = arrays["loss"] > FAILED
        # Those that are still on their way have not failed yet.
        failed = int(np.sum(above & _ended(arrays)))
        going, students = int(above.sum()) - failed, len(above)
        words = f"width {width}: {share_text(failed, students)} end above {FAILED:g}"
        words += f", {going} more are there and still descend" if going else ""
        brief.append(f"{share_text(failed, students)} of {width} neurons")
        brief[-1] += f", {going} more still descend" if going else ""
        unclassed = int(np.sum(arrays["class"] == "undecided"))
        shown.append(f"{words} ({unclassed} in all undecided)" if unclassed else words)
        if width == narrow:
            outcomes.append(REPRODUCED if failed else INCONCLUSIVE if going else CONTRADICTED)
        else:
            outcomes.append(CONTRADICTED if failed else INCONCLUSIVE if going else REPRODUCED)
            tried += students
    finding = Finding(
        ", ".join(shown),
        worst(outcomes),
        [run for of in by_width.values() for run in of],
        ONE_SEED,
        brief=f"students that end above zero loss: {'; '.join(brief)}",
    )
    few = f"{tried} students, of whom one in a hundred might fail unseen"
    return undecided(finding, few if finding.verdict == REPRODUCED and not enough(tried) else "")


def _ended(arrays: dict) -> np.ndarray:
    """Return which students ended: converged, or in a channel that jumps were followed along."""
    return (arrays["class"] != "undecided") & (arrays["kind"] != "still sliding")


def c14(runs):
    chosen = [run for run in censuses(runs) if run.settings["hidden"] <= 7]
    typed = untyped = polished = 0
    for run in chosen:
        kinds = run.result["kinds"]
        typed += sum(kinds.get("global", {}).values())
        untyped += kinds.get("undecided", {}).get(UNTYPED, 0)
        if kinds.get("undecided", {}).get(UNTYPED, 0):
            arrays = run.arrays()
            polished += int(np.sum(arrays["loss"][arrays["kind"] == UNTYPED] < POLISHED))
    if not typed + untyped:
        return None
    measured = f"{typed} of {typed + untyped} zero-loss students"
    outcome = CONTRADICTED if polished else INCONCLUSIVE if untyped else REPRODUCED
    return Finding(measured, outcome, chosen, f"none; {len(chosen)} censuses, one seed each")


CLAIMS = (
    Claim(
        "C12",
        "A fixed threshold of 1e-3 or 1e-4 mislabels.",
        EPFL,
        "unreliable",
        c12,
        "Either calls more than a twentieth of the students global minima that are not, or the "
        "other way, by Wilson's interval; fewer contradict. A threshold of 1e-20 is shown "
        "beside.",
    ),
    Claim(
        "C13",
        "Students of width 45 always reach zero loss, those of width 5 do not.",
        "Simsek et al. 2021",
        "width 45 always",
        c13,
        "Students of width 5 that end above 1e-8, below all minima that were found, and none of "
        "45, of so many that what one in a hundred does would be among them; a wide one that ended "
        "there contradicts, one that still descends leaves the claim open.",
    ),
    Claim(
        "C14",
        "Zero-loss students are made of signed teacher, zero and constant groups.",
        f"{EPFL} and {OWN}",
        "visually",
        c14,
        "All of them, up to width 7; one that is not, with a loss below 1e-28, contradicts.",
    ),
    Claim(
        "C23",
        "Width 10 is enough to reach zero loss always.",
        OWN,
        "60 of 60 in a trial",
        c23,
        "As C13, with 10 in the place of 45.",
    ),
)
