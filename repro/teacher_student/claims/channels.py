"""Claims of Martinelli et al. 2025 on how often descent ends in channels and on plateaus."""

from repro.reporting import statistics
from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    agreed,
    undecided,
    worst,
)
from repro.teacher_student.claims.census import ONE_SEED
from repro.teacher_student.measures import censuses, interval, share_text, shown_above

WIDTHS = (4, 5, 6, 7)
ALIKE = ("adam_steps", "learning_rate")  # what a census with biases shares with one without
OFTEN = 0.1  # share of students from which on an end is met with high probability
ALMOST_NONE = 0.01  # the share with biases
OTHER_TARGETS = "students can equal these teachers, and the claim is about targets that none can"


def c19(runs):
    """Judge the share of channels of each teacher, all widths together."""
    parts, tallies, used = [], [], []
    for biases in (None, True):
        for teacher in ("alternating", "ones"):
            chosen = _largest(runs, teacher, biases)
            if not chosen:
                continue
            hits = [_count(run, "channel") for run in chosen.values()]
            students = [run.settings["num_students"] for run in chosen.values()]
            total = sum(hits), sum(students)
            by_width = ", ".join(f"{n / of:.0%} at {w}" for w, n, of in zip(chosen, hits, students))
            words = f"{teacher}{' with biases' if biases else ''} {share_text(*total)} ({by_width})"
            parts.append(words if not biases else f"(beside: {words})")
            used += chosen.values()
            if not biases:
                tallies.append(total)
    if not tallies:
        return None

    def often(bar: float) -> str:
        return agreed([shown_above(*total, bar) for total in tallies])

    measured = f"students in channels, by width: {'; '.join(parts)}"
    sensitivity = statistics.sensitivity(often, OFTEN)
    finding = Finding(measured, often(OFTEN), used, ONE_SEED, sensitivity)
    return undecided(finding, "" if len(tallies) == 2 else "one of two teachers")


def c20(runs):
    """Show the share of plateaus in each census without biases, which decides nothing yet."""
    parts, used = [], []
    for teacher in ("alternating", "ones"):
        for width, run in _largest(runs, teacher, None).items():
            hits, students = _count(run, "plateau"), run.settings["num_students"]
            parts.append(f"{teacher} {width}: {share_text(hits, students)}")
            used.append(run)
    if not used:
        return None
    measured = f"by teacher and width {'; '.join(parts)}; {OTHER_TARGETS}"
    return Finding(measured, INCONCLUSIVE, used, ONE_SEED)


def c21(runs):
    """Compare the shares of plateaus without and with biases, at each width that has both."""
    parts, outcomes, used = [], [], []
    for teacher in ("alternating", "ones"):
        biased = _largest(runs, teacher, True)
        for width, run in biased.items():
            alike = {name: run.settings[name] for name in ALIKE}
            without = _largest(runs, teacher, None, **alike)
            if width not in without:
                continue
            pair = without[width], run
            tallies = [(_count(run, "plateau"), run.settings["num_students"]) for run in pair]
            left = interval(*tallies[1])
            there = interval(*tallies[0])[0] > left[1]
            gone = left[1] < ALMOST_NONE
            outcomes.append(
                CONTRADICTED
                if left[0] > ALMOST_NONE
                else REPRODUCED
                if gone and there
                else INCONCLUSIVE
            )
            shares = ", with them ".join(share_text(*tally) for tally in tallies)
            parts.append(f"{teacher} {width}: without biases {shares}")
            used += pair
    if not used:
        return None
    return Finding("; ".join(parts), worst(outcomes), used, ONE_SEED)


def _largest(runs, teacher: str, biases: bool | None, **settings) -> dict:
    """Return width -> the census of most students from Glorot's weights, for each of WIDTHS."""
    found = {}
    for run in censuses(runs, teacher=teacher, biases=biases, init="glorot", **settings):
        width, students = run.settings["hidden"], run.settings["num_students"]
        if width in WIDTHS and (
            width not in found or students > found[width].settings["num_students"]
        ):
            found[width] = run
    return dict(sorted(found.items()))


def _count(run, name: str) -> int:
    return run.result["counts"][name]["count"]


PAPER = "Martinelli et al. 2025"
CLAIMS = (
    Claim(
        "C19",
        "Descent ends in channels to infinity with high probability.",
        PAPER,
        "high probability (abstract)",
        c19,
        "More than a tenth of the students of widths 4 to 7 without biases, by Wilson's interval, "
        "with each teacher; fewer with each contradicts. The paper's own shares could not be read.",
        to_decide="The paper's own targets and shares: the two teachers here say opposite things.",
    ),
    Claim(
        "C20",
        "Without biases 10 to 30 % of the runs end on plateaus of duplicated neurons.",
        PAPER,
        "10 to 30 %",
        c20,
        "On targets that no student can equal, Wilson's interval within these bounds at each "
        "width. The teachers here are none: their censuses are shown, and decide nothing.",
        to_decide="Targets that no student of these widths can equal, as the paper's are.",
    ),
    Claim(
        "C21",
        "Biases remove the plateaus.",
        PAPER,
        "almost none with biases",
        c21,
        "With biases Wilson's interval ends below one in a hundred and below the interval without "
        "them, at each width that has both; one that begins above one in a hundred contradicts.",
        to_decide="1,000 students of width 5 with biases: an hour on one core.",
    ),
)
