"""The claim of Frankle et al. 2020 on trainings that were one until an epoch."""

from repro.mode_connectivity.ends import unfinished
from repro.mode_connectivity.measures import instabilities
from repro.reporting import statistics
from repro.reporting.claims import (
    INCONCLUSIVE,
    SEEDS,
    Claim,
    Finding,
    of_seeds,
    undecided,
    worst,
)

STABLE = 2.0  # points of error on the way, below which Frankle et al. call a training stable


def m21(runs):
    found = instabilities(runs, "test_error")
    if not found:
        return None
    rises = {fork: [rise for _, rise in of_fork] for fork, of_fork in found.items()}
    shown = [
        f"forked after epoch {fork}: {', '.join(f'{rise:.1f}' for rise in of_fork)}"
        for fork, of_fork in rises.items()
    ]
    first, last = rises[min(rises)], rises[max(rises)]

    def judged(stable: float) -> str:
        if min(rises) > 0 or len(rises) < 2 or min(len(first), len(last)) < SEEDS:
            return INCONCLUSIVE
        apart = statistics.above(statistics.over_seeds(first), stable)
        return worst([apart, statistics.below(statistics.over_seeds(last), stable)])

    used = [run for of_fork in found.values() for run, _ in of_fork]
    finding = Finding(
        f"points of error over the mean of the ends, by seed, {'; '.join(shown)}",
        judged(STABLE),
        used,
        "Student's t over seeds",
        statistics.sensitivity(judged, STABLE),
    )
    return undecided(of_seeds(finding), unfinished(used))


CLAIMS = (
    Claim(
        "M21",
        "Two trainings from the same weights end in different valleys, but in one if they were one "
        "for some epochs.",
        "Frankle et al. 2020, Figure 3",
        "VGG16 on CIFAR-10: apart from the start, together (below 2 points) after some 1,000 steps",
        m21,
        "Three seeds or more of the paper's 200 epochs, or fitted. The highest validation error on "
        "the segment between both ends, over the mean of the ends: above 2 points where they share "
        "initial weights alone, below 2 where they were one for longest, both beyond the 95 % "
        "interval of Student's t.",
    ),
)
