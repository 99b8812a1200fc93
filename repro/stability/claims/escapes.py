"""The claims of Wu, Ma, E 2018 about what happens after a switch of optimisers, P11 and P12.

Those about other minima, P18 to P20, are in other_escapes.py and use what is here.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from repro.reporting import statistics
from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    Claim,
    Finding,
    agreed,
    of_seeds,
    undecided,
    verdict,
    worst,
)
from repro.reporting.results import Run
from repro.stability.measures import escapes, is_gd, measured, tail

SHARPNESS = "curvature/sharpness"
TAIL = "; ends are means over the last third of the steps"
# What is published after GD at a rate: (eta over that rate, batch size or None for GD) -> a at most
# there, over the edge 2 / rate. A fifth more than was published with batches; 3 % more than the
# edge of the new rate with GD, for noise.
ESCAPES = {
    (1, 1): 1.13 / 20,
    (1, 4): 8 / 20,
    (3, None): 1.03 / 3,
    (5, None): 1.03 / 5,
}
STARTS = {"cifar10": 0.01}  # published learning rate of GD before the switch; of other data START
START = 0.1
LONG = 1  # batch size of the published 100,000 steps: it counts where it was run
SPIKE = 100  # times the loss, within 80 steps
KEPT = 0.1  # of the start's sharpness: how far from it a minimum that is kept may end


def p11(runs):
    gd = escapes(runs, wrong_examples=0)
    chosen = as_published([run for run in gd if run.settings["dataset"] != "cifar10"])
    groups = switches(chosen, ESCAPES)
    asked_for = [switch for switch in groups if switch[2] != LONG]
    return after(groups, SPIKE, not_published(asked_for, len(ESCAPES) - 1)) if groups else None


def as_published(runs: Sequence[Run]) -> list[Run]:
    """Return the runs at the published rate before the switch, or all where there is none."""
    return [run for run in runs if _published_start(run)] or list(runs)


def _published_start(run: Run) -> bool:
    return run.settings["start_learning_rate"] == STARTS.get(run.settings["dataset"], START)


def switches(runs: Sequence[Run], limits: Mapping[tuple, float | None]) -> dict[tuple, list[Run]]:
    """Return runs by the switches that are published.

    Args:
      runs: escapes.
      limits: (rate, batch size or None for GD) -> sharpness at most; None: the minimum is kept.
        From GD in units of the rate before the switch and of its edge 2 / rate; L-BFGS has neither.

    Returns:
      (rate before or None, rate, batch size, sharpness at most or None) -> runs.
    """
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        start, eta = run.settings["start_learning_rate"], run.settings["learning_rate"]
        batch = run.settings["batch_size"]
        key = round(eta / (start or 1), 6), None if is_gd(run) else batch
        if key in limits and measured(run, SHARPNESS):
            most = limits[key]
            if most is not None and start:
                most *= 2 / start
            groups.setdefault((start, eta, batch, most), []).append(run)
    return groups


def after(groups: Mapping[tuple, list[Run]], spike: float, because: str) -> Finding:
    """Judge where sharpness ends after each switch, and whether the loss rose on the way.

    Args:
      groups: of `switches`, at least one.
      spike: by which factor the loss must rise within 80 steps where a minimum is left.
      because: why nothing is decided; empty where it is.
    """
    parts = [_after(rows, *switch, spike) for switch, rows in groups.items()]
    outcomes, shown, brief = zip(*parts)
    origins = {f"a rate of {start:g}" if start else "L-BFGS" for start, *_ in groups}
    finding = Finding(
        "; ".join(shown) + TAIL,
        agreed(outcomes),
        [run for rows in groups.values() for run in rows],
        "Student's t over seeds at each switch",
        brief=f"sharpness from {', '.join(brief)}, from {' and '.join(sorted(origins))}",
    )
    return of_seeds(undecided(finding, because), runs=min(groups.values(), key=len))


def _after(
    rows: Sequence[Run],
    start: float | None,
    eta: float,
    batch: int,
    most: float | None,
    spike: float,
) -> tuple[str, str, str]:
    """Return the verdict on the runs of a switch, what was measured, and that in a few words."""
    found = [_escape(run) for run in rows]
    ends = [end for end, _ in found if end is not None]
    spikes = [times for _, times in found if times is not None]
    switch = f"from {f'GD at {start:g}' if start else 'L-BFGS'} to ({eta:g}, {batch})"
    if start is None:
        change = f"{'GD' if is_gd(rows[0]) else f'batches of {batch}'} at {eta:g}"
    else:
        change = f"batches of {batch}" if eta == start else f"{eta / start:g} times the rate"
    if len(ends) < len(rows):
        steps = max(run.result["iterations"] for run in rows if run.result["sharpness"] is None)
        outcome = CONTRADICTED if not ends else INCONCLUSIVE
        return outcome, f"{switch}: diverged after {steps} steps", f"diverged with {change}"
    first = [measured(run, SHARPNESS)[0][SHARPNESS] for run in rows]
    if most is None:
        outcome = _kept(ends, first)
        expected = f"expected within {KEPT:.0%} of where it was"
    else:
        outcome = worst([at_most(ends, most), verdict([times >= spike for times in spikes])])
        expected = f"expected at most {most:.2f}"
    shown = (
        f"{switch}: a {np.mean(first):.2f} to {', '.join(f'{end:.2f}' for end in ends)}, "
        f"{expected}; loss times {min(spikes):.0f} within 80 steps"
    )
    end = f"{ends[0]:.2f}" if len(ends) < 2 else statistics.over_seeds(ends).text(1, "")
    return outcome, shown, f"{np.mean(first):.2f} to {end} with {change}"


def not_published(groups: Collection[tuple], count: int) -> str:
    """Say what was not run as published, with `count` switches; empty where all was."""
    if any(start not in (None, START) for start, *_ in groups):
        return f"not the published rate of {START:g} before the switch"
    return "" if len(groups) == count else f"{len(groups)} of {count} switches"


def _escape(run: Run) -> tuple[float | None, float | None]:
    """Return where sharpness ends and how the loss spikes; None, None where it diverged."""
    if run.result["sharpness"] is None:
        return None, None
    rows = measured(run, SHARPNESS)
    early = [row for row in rows if row["step"] <= 80]
    spike = max(row["train/loss"] for row in early) / rows[0]["train/loss"]
    return tail(run, SHARPNESS), spike


def at_most(values: Sequence[float], bound: float) -> str:
    """Return the verdict on a mean over seeds being at most a bound."""
    if len(values) < 2:
        return verdict([value <= bound for value in values])  # one seed decides nothing, see after
    return statistics.below(statistics.over_seeds(values), bound)


def _kept(ends: Sequence[float], first: Sequence[float]) -> str:
    """Return the verdict on sharpness ending, on average, within KEPT of where it was."""
    shares = [end / start - 1 for end, start in zip(ends, first)]
    if len(shares) < 2:
        return verdict([abs(share) <= KEPT for share in shares])
    return statistics.no_difference(statistics.over_seeds(shares), KEPT)


def p12(runs):
    left, accuracy = as_published(escapes(runs)), "test/accuracy"
    chosen = [run for run in left if measured(run, accuracy) and run.result["sharpness"]]
    if not chosen:
        return None
    groups: dict[tuple, list[Run]] = {}
    for run in chosen:
        names = ("dataset", "wrong_examples", "start_learning_rate", "learning_rate", "batch_size")
        groups.setdefault(tuple(run.settings[name] for name in names), []).append(run)
    outcomes, shown = [], []
    for (*_, eta, batch), rows in groups.items():
        gains = [tail(run, accuracy) - measured(run, accuracy)[0][accuracy] for run in rows]
        fit = min(tail(run, "train/accuracy") for run in rows)
        shown += [
            f"{100 * gain:+.2f} (eta {eta:g}, B {batch}, train accuracy {fit:.1%})"
            for gain in gains
        ]
        if len(gains) > 1:
            outcomes.append(statistics.above(statistics.over_seeds(gains), 0))
        else:
            outcomes.append(verdict([gain >= 0 for gain in gains]))  # one seed decides nothing
    text = f"test accuracy changes by {', '.join(shown)} points{TAIL}"
    error = "Student's t over seeds at each switch, before and after on the same images"
    finding = Finding(text, agreed(outcomes), chosen, error)
    if not all(map(_published_start, chosen)):
        rates = sorted({STARTS.get(run.settings["dataset"], START) for run in chosen})
        finding = undecided(finding, f"not the published rate of {rates[0]:g} before the switch")
    return of_seeds(finding, runs=min(groups.values(), key=len))


CLAIMS = (
    Claim(
        "P11",
        "Another optimiser leaves GD's minimum at once for a flatter one.",
        "escape",
        "a from 19.6 to 0.94 (0.1, 1), 6.70 (0.1, 4), 6.58 (0.3, GD), 3.86 (0.5, GD)",
        p11,
        "From GD at 0.1, three seeds: after (0.1, 4), (0.3, GD) and (0.5, GD) a ends at most at 8, "
        "2.06 / 0.3 and 2.06 / 0.5, and at 1.13 after (0.1, 1) where that was run, beyond the 95 % "
        "interval of Student's t, and the loss rises 100-fold within 80 steps; other rates before "
        "the switch decide nothing.",
        to_decide="Five seeds: the runs of `stability/escape` that are left.",
    ),
    Claim(
        "P12",
        "Test accuracy after the escape is no lower.",
        "escape",
        "true in 12 of 14 published runs",
        p12,
        "From GD at 0.1 (CIFAR-10: 0.01), three seeds: the mean change at every switch above zero, "
        "beyond the 95 % interval of Student's t; below it at every switch contradicts.",
        to_decide="More seeds, or SGD's published 10,000 steps: after the switch to batches of 4 "
        "the interval of five seeds ends just above zero.",
    ),
)
