"""Claims of Liu et al. 2020 on the four settings, B5 to B7 and B9."""

from collections.abc import Callable, Sequence

from repro.bad_minima.measures import (
    TRIALS,
    by_seed,
    cut_short,
    diverged,
    gap,
    losses,
    networks,
    points,
    setting,
    settled,
    shortened,
    signed,
)
from repro.reporting import statistics
from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    agreed,
    of_seeds,
    undecided,
)
from repro.reporting.results import Run
from repro.reporting.statistics import Estimate

FITS_ALL = 0.999  # train accuracy called 100 %
GAP = 0.05  # of vanilla SGD, at least
NO_GAP = 0.015  # of SOTA, at most
FEWEST = 3  # seeds of a network that counts beside others


def b5(runs):
    found = {kind: networks(runs, kind) for kind in ("vanilla", "SOTA")}
    members = {
        name: [run for kind in found for pair in _hardest(found[kind][name]) for run in pair]
        for name in found["vanilla"]
        if name in found["SOTA"]
    }
    if not members:
        return None
    lowest: dict[str, float] = {}
    for run in (run for each in members.values() for run in each):
        name = f"{setting(run)} {run.settings['init']}"
        lowest[name] = min(lowest.get(name, 1), run.result["train_accuracy"])
    measured = "lowest over networks and seeds: "
    measured += ", ".join(f"{n} {a:.2%}" for n, a in lowest.items())
    lost = [
        run
        for run in diverged(runs)
        if run.settings.get("stage", "train") == "train" and setting(run) in found
    ]
    chosen = _that_count(members, all_of_it=True)
    if lost:
        measured += f"; {len(lost)} of {len(lost) + len(chosen)} runs diverged"
    below = [run for run in chosen if run.result["train_accuracy"] < FITS_ALL]
    outcome = CONTRADICTED if below or lost else REPRODUCED
    finding = Finding(measured, outcome, [*chosen, *lost])
    if not lost and all(cut_short(run, all_of_it=True) for run in below):
        finding = undecided(finding, shortened(below, all_of_it=True))
    return of_seeds(finding, TRIALS)


def _that_count(members: dict[str, list[Run]], all_of_it: bool = False) -> list[Run]:
    """Return the runs of the networks whose trainings were not cut short; of all if all were."""

    def short(run: Run) -> bool:
        fits = all_of_it and run.result["train_accuracy"] >= FITS_ALL
        return not fits and cut_short(run, all_of_it)

    to_the_end = [runs for runs in members.values() if not any(map(short, runs))]
    return [run for runs in to_the_end or members.values() for run in runs]


def b6(runs):
    return _gaps(runs, "vanilla", lambda loss, bound: statistics.above(loss, bound), GAP)


def b7(runs):
    return _gaps(runs, "SOTA", statistics.no_difference, NO_GAP)


def _gaps(
    runs: Sequence[Run], kind: str, judge: Callable[[Estimate, float], str], bound: float
) -> Finding | None:
    """Judge what the adversarial start loses, for every network and dataset.

    The hardest adversary counts, that of the most copies R; those of fewer are shown beside.
    Networks whose trainings are cut short are shown and do not count, nor do those of fewer than
    three seeds beside others that have more.
    """
    found = networks(runs, kind)
    if not found:
        return None
    shown, ends, used = [], {}, []
    most = max(len(_hardest(by_copies)) for by_copies in found.values())
    for name, by_copies in found.items():
        both = _hardest(by_copies)
        members = [run for pair in both for run in pair]
        words = "; ".join(
            f"R={copies} {', '.join(points(gap(pair)) for pair in pairs)}"
            f"{f' ({signed(losses(pairs))})' if len(pairs) > 1 else ''}"
            for copies, pairs in sorted(by_copies.items(), reverse=True)
        )
        few = f"{len(both)} of at least {FEWEST} seeds" if len(both) < min(FEWEST, most) else ""
        because = shortened(members) or few
        shown.append(f"{name} {words}{f' ({because})' if because else ''}")
        if because:
            continue
        ends[name] = both
        used += members
    measured = f"random minus adversarial start, points by seed: {'; '.join(shown)}"
    if not ends:
        everything = [run for by in found.values() for pair in _hardest(by) for run in pair]
        return Finding(measured, INCONCLUSIVE, everything)
    estimates = [losses(both) for both in ends.values()]

    def judged(tolerance: float) -> str:
        return agreed([judge(each, tolerance) for each in estimates])

    finding = Finding(
        measured,
        judged(bound),
        used,
        "; ".join(dict.fromkeys(e.method for e in estimates)),
        statistics.sensitivity(judged, bound),
        "random minus adversarial start "
        + ", ".join(f"{signed(each)} ({name})" for name, each in zip(ends, estimates)),
    )
    fewest = min(([run for pair in both for run in pair] for both in ends.values()), key=len)
    return of_seeds(finding, TRIALS, fewest)


def _hardest(by_copies: dict[int, list]) -> list[tuple[Run, Run]]:
    return by_copies[max(by_copies)]


def b9(runs):
    found = {kind: networks(runs, kind) for kind in ("vanilla", "SOTA")}
    arms = {}
    for name in found["vanilla"]:
        if name in found["SOTA"]:
            sides = [[bad for _, bad in _hardest(found[kind][name])] for kind in found]
            arms[name] = by_seed(*sides)
    members = {name: [run for pair in both for run in pair] for name, both in arms.items() if both}
    if not members:
        return None
    distances = {
        name: [[run.result["relative_distance"] for run in pair] for pair in arms[name]]
        for name in members
    }
    measured = "distance over the start's norm, vanilla against SOTA: " + "; ".join(
        f"{name} " + ", ".join(f"{short:.2f} and {far:.2f}" for short, far in rows)
        for name, rows in distances.items()
    )
    chosen = _that_count(members)
    used = {name: rows for name, rows in distances.items() if members[name][0] in chosen}
    farther = [
        statistics.paired([far for _, far in rows], [short for short, _ in rows])
        for rows in used.values()
        if len(rows) > 1
    ]
    outcome = agreed([statistics.above(each, 0) for each in farther]) if farther else INCONCLUSIVE
    error = farther[0].method if farther else ""
    return settled(Finding(measured, outcome, chosen, error), TRIALS)


ENDS = "Networks that fit 99 % of the training set or had the authors' 350 epochs; five seeds."
MANY = "Networks of fewer than three seeds are shown and do not count beside others."
CLAIMS = (
    Claim(
        "B5",
        "All four settings end at 100 % train accuracy, measured without augmentation.",
        "Section 3.1",
        "yes",
        b5,
        "At least 99.9 % in every run of five seeds; one below that after the authors' 350 "
        "epochs, or one that diverged, contradicts.",
        everywhere=True,
        to_decide="All of the authors' 350 epochs in the SOTA setting, with five seeds: "
        "`bad_minima/longer` with `--epochs=350`.",
    ),
    Claim(
        "B6",
        "Vanilla SGD: the adversarial start ends more than 5 points below the random one.",
        "Section 3.2",
        "up to about 40 % (abstract)",
        b6,
        f"More than 5 points, beyond the 95 % interval over seeds and test images, with the most "
        f"copies R there are; which R the paper has is not known, and fewer are shown beside. "
        f"{ENDS} {MANY}",
        everywhere=True,
        to_decide="Two more seeds of vanilla SGD: runs of `bad_minima/four_settings` that are "
        "left.",
    ),
    Claim(
        "B7",
        "SOTA: the adversarial start does no harm (1.5 points).",
        "Section 3.2",
        "no detrimental effect",
        b7,
        f"Within 1.5 points, by an equivalence test over seeds and test images. {ENDS} {MANY}",
        everywhere=True,
        to_decide="All of the authors' 350 epochs with five seeds, and some 20,000 test images.",
    ),
    Claim(
        "B9",
        "SOTA moves farther from the adversarial start than vanilla SGD.",
        "Section 3.3",
        "yes; the direction is our reading",
        b9,
        f"Farther, beyond the 95 % interval of Student's t over pairs. {ENDS}",
        everywhere=True,
        to_decide="All of the authors' 350 epochs in the SOTA setting, with five seeds.",
    ),
)
