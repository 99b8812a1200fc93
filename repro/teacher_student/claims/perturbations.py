"""Claims of the EPFL slides on what SLSQP and perturbations do: C5, C6 and C22."""

from collections.abc import Callable, Sequence

from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    agreed,
    worst,
)
from repro.reporting.results import Run, select
from repro.teacher_student.claims.slides import EPFL, SLIDES
from repro.teacher_student.measures import interval, share_text, shown_above

OTHER_WIDTHS = (4, 6, 7)  # which the slides name and leave
RARELY = 0.1  # share of students
# What rounding makes of an eigenvalue that is 0: about 15 weights times 1e-16 times the largest
# eigenvalue, which is 2 to 6. Below minus this it is negative.
ROUNDING = 1e-14
BINOMIAL = "Wilson's interval over students, one seed of them"


def c5(runs):
    return _by_ftol(runs, "slsqp_positive", _rare)


def _rare(run: Run) -> str:
    """Judge those that are positive by more than rounding, and all that may be."""
    lowest = run.arrays()["slsqp_lambda_min"]
    counts = [int((lowest > bound).sum()) for bound in (ROUNDING, -ROUNDING)]
    of = len(lowest)
    return agreed([shown_above(of - hits, of, 1 - RARELY) for hits in counts])


def c6(runs):
    return _by_ftol(runs, "perturbed_positive", _always)


def _always(run: Run) -> str:
    hits, trials = (run.result["perturbed_positive"][key] for key in ("count", "of"))
    if hits < trials:
        lowest = run.arrays()["perturbed_lambda_min"].min()
        return CONTRADICTED if lowest < -ROUNDING else INCONCLUSIVE
    return REPRODUCED if interval(trials, trials)[0] > 1 - RARELY else INCONCLUSIVE


def c22(runs):
    """Judge C6's statement at the widths that the slides name and leave."""
    parts, outcomes, used = [], [], []
    for width in OTHER_WIDTHS:
        chosen = select(runs, stage="slides", **SLIDES | {"hidden": width})
        for run in filter(_decides, chosen):
            counted = run.result["perturbed_positive"]
            outcomes.append(_always(run))
            negative = run.result["negative"]
            parts.append(
                f"width {width}: {share_text(negative['count'], negative['of'])} negative, "
                f"SLSQP flips {share_text(run.result['slsqp_positive']['count'], counted['of'])}, "
                f"perturbing {share_text(counted['count'], counted['of'])}{_definite(run)}"
            )
            used.append(run)
    if not used:
        return None
    if {run.settings["hidden"] for run in used} != set(OTHER_WIDTHS):
        outcomes.append(INCONCLUSIVE)
    return Finding("; ".join(parts), worst(outcomes), used, BINOMIAL)


def _decides(run: Run) -> bool:
    """Whether a run took up all negative students by an SLSQP that moves most of them."""
    of = run.result["slsqp_positive"]["of"]
    return (
        of > 0
        and of == run.result["negative"]["count"]
        and 2 * run.result["slsqp_one_iteration"] < of
    )


def _definite(run: Run) -> str:
    """Say where an eigenvalue is beyond what counts as zero at a point, and how negative one is."""
    found, arrays = run.result.get("perturbed_definite"), run.arrays()
    words = f", beyond 1e-11 of the largest eigenvalue at {found['count']} of them" if found else ""
    lowest = arrays["perturbed_lambda_min"].min()
    return f"{words}; the lowest is {lowest:.0e}" if lowest <= 0 else words


def _by_ftol(runs: Sequence[Run], key: str, judge: Callable[[Run], str]) -> Finding | None:
    """Judge a share of successes where SLSQP works and all negative students are taken up.

    Other runs, such as those with scipy's own tolerance, with which it does nothing, stand beside.
    """
    chosen = [run for run in select(runs, stage="slides", **SLIDES) if run.result[key]["of"]]
    if not chosen:
        return None
    parts, outcomes = [], []
    for run in sorted(chosen, key=_decides, reverse=True):
        counted, idle = run.result[key], run.result["slsqp_one_iteration"]
        words = (
            f"{share_text(counted['count'], counted['of'])} with ftol "
            f"{run.settings['slsqp_ftol']:g}, with which {idle} stop after one iteration"
        )
        if _decides(run):
            outcomes.append(judge(run))
            if key == "perturbed_positive":
                words += f", within {run.settings['max_perturbations']} perturbations"
                words += _definite(run)
            else:
                beyond = int((run.arrays()["slsqp_lambda_min"] > ROUNDING).sum())
                words += f", {beyond} of them positive by more than rounding"
        else:
            words = f"(beside: {words})"
        parts.append(words)
    return Finding("; ".join(parts), agreed(outcomes or [INCONCLUSIVE]), chosen, BINOMIAL)


WORKING = (
    "Judged with a tolerance with which SLSQP moves more than half of the students, and with all "
    "negative ones taken up; scipy's own tolerance, with which it does nothing, stands beside."
)
CLAIMS = (
    Claim(
        "C5",
        "SLSQP from there rarely gives a positive spectrum.",
        EPFL,
        "rarely",
        c5,
        "At fewer than a tenth of the students, by Wilson's interval, whether those count or not "
        f"that are 0 up to rounding. {WORKING}",
        to_decide="Some 500 students instead of 100, as 46 negative ones leave an interval on "
        "both sides of a tenth.",
    ),
    Claim(
        "C6",
        "Perturbing and SLSQP end with a positive spectrum always.",
        EPFL,
        "all",
        c6,
        "At all students, so many that Wilson's interval begins above 0.9; one that ends negative "
        f"by more than rounding contradicts, one within it decides nothing. {WORKING}",
        to_decide="Eigenvalues in more digits than float64 has: those that remain are zero up to "
        "rounding.",
    ),
    Claim(
        "C22",
        "At widths 4, 6 and 7, too, perturbing and SLSQP always end with a positive spectrum.",
        EPFL,
        "a next step",
        c22,
        f"As C6, at each of the three widths. {WORKING}",
    ),
)
