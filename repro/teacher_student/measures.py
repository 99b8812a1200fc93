"""What figures, tables and claims read from runs: shares, classes, exponents along channels."""

from collections.abc import Sequence

import numpy as np

from repro.reporting import statistics
from repro.reporting.claims import CONTRADICTED, INCONCLUSIVE, REPRODUCED
from repro.reporting.results import Run, select

COLOURS = {
    "global": "C2",
    "local": "C0",
    "plateau": "C4",
    "saddle": "C3",
    "channel": "C1",
    "undecided": "0.5",
}
FLOOR = 1e-33  # losses of zero are drawn here
FAILED = 1e-8  # losses that stay above do not reach zero; the lowest local minima are at 4e-7


def censuses(runs: Sequence[Run], **settings) -> list[Run]:
    """Return the censuses with these settings; those of students with biases only if asked for."""
    return select(runs, stage="census", **({"biases": None} | settings))


def interval(hits: int, trials: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval for a share of `hits` in `trials`."""
    return statistics.wilson(hits, trials)


def enough(students: int) -> bool:
    """Whether what one student in a hundred does would be seen among so many: 381 are needed."""
    return interval(0, students)[1] < 0.01


def shown_above(hits: int, trials: int, bar: float) -> str:
    """Return the verdict on "the true share is above the bar": by Wilson's interval."""
    low, high = interval(hits, trials)
    return REPRODUCED if low > bar else CONTRADICTED if high < bar else INCONCLUSIVE


def share_text(hits: int, trials: int) -> str:
    """Return `347 of 1,000 (31.8% to 37.7%)`, the interval Wilson's."""
    low, high = interval(hits, trials)
    return f"{hits:,} of {trials:,} ({low:.1%} to {high:.1%})"


def channel_jumps(run: Run) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return distance, loss and largest eigenvalue along each channel that jumping follows.

    Students whose distance was not halved by every jump, or whose loss did not fall, tell nothing
    about exponents and are left out.
    """
    arrays, jumps = run.arrays(), []
    if not arrays["channel_gap"].size:  # no student is in a channel
        return jumps
    for gap, loss, top in zip(
        arrays["channel_gap"], arrays["channel_loss"], arrays["channel_lambda_max"]
    ):
        ratio = gap[1:] / gap[:-1] if gap.all() else gap[1:]
        halved = np.isfinite(gap).all() and (np.abs(ratio - 0.5) < 0.05).all()
        if halved and (np.diff(loss) < 0).all():
            jumps.append((gap, loss, top))
    return jumps


def loss_exponent(gap: np.ndarray, loss: np.ndarray) -> float:
    """Return p of L - L0 ~ eps^p from two falls of the loss, which need no L0."""
    falls = -np.diff(loss)
    return float(np.log(falls[0] / falls[1]) / np.log(gap[0] / gap[1]))


def eigenvalue_exponent(gap: np.ndarray, top: np.ndarray) -> float:
    """Return the exponent of the largest eigenvalue."""
    return float(np.polyfit(np.log(gap), np.log(top), 1)[0])
