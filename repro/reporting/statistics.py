"""Errors and what they decide, in one place: over seeds, over test images, and "no difference".

Every number with an error is an `Estimate`: the value, its standard error, and the degrees of
freedom that say how well the error itself is known. Three seeds tell little of their own spread, so
intervals are Student's: two standard errors of three seeds would cover 82 %, not 95 %.

    gap = difference(over_seeds([0.39, 0.40, 0.41]), over_seeds([0.27, 0.27, 0.26]))
    gap.interval()             # where the true gap lies, with a confidence of 95 %
    above(gap, 0.05)           # is it more than five points? reproduced, contradicted, inconclusive
    no_difference(gap, 0.02)   # is it within two points? shown by an equivalence test, not assumed

Seeds and test images are two sources of error. Networks of several seeds are tested on the same
images, so the spread over seeds does not contain the luck of the images: `accuracy` adds both.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from repro.reporting.claims import CONTRADICTED, INCONCLUSIVE, REPRODUCED
from repro.reporting.results import Run

LEVEL = 0.95  # confidence of intervals and verdicts


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A measured number, and what is known of its error."""

    value: float
    error: float  # standard error
    freedom: float  # degrees of freedom of the standard error; infinite where it is known
    method: str  # how the error was found, in words

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the bounds that cover the true number with this confidence."""
        half = self.half_width(level)
        return self.value - half, self.value + half

    def half_width(self, level: float = LEVEL) -> float:
        """Return the distance from the value to either bound of `interval`."""
        return float(_quantile((1 + level) / 2, self.freedom)) * self.error if self.error else 0.0

    def text(self, scale: float = 1, unit: str = "", digits: int = 2) -> str:
        """Return value and 95 % interval as text, times `scale`: `12.70 ± 2.00 points`."""
        value, half = scale * self.value, scale * self.half_width()
        return f"{value:.{digits}f} ± {half:.{digits}f}" + (f" {unit}" if unit else "")


def _quantile(share: float, freedom: float) -> float:
    return stats.norm.ppf(share) if math.isinf(freedom) else stats.t.ppf(share, freedom)


def _tail(value: float, freedom: float) -> float:
    """Return the probability that a standardised estimate is above a value by chance."""
    return float(stats.norm.sf(value) if math.isinf(freedom) else stats.t.sf(value, freedom))


# --- errors ---------------------------------------------------------------------------------------


def over_seeds(values: Sequence[float]) -> Estimate:
    """Return the mean over seeds with Student's error.

    Raises:
      ValueError: one seed, from which no spread can be told.
    """
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        raise ValueError("a spread over seeds needs two seeds or more")
    return Estimate(
        float(values.mean()),
        float(stats.sem(values)),
        len(values) - 1,
        f"Student's t over {len(values)} seeds",
    )


def paired(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Return the mean of first minus second where the two of a seed share their luck.

    Raises:
      ValueError: unequal numbers of values, or one pair.
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.shape != second.shape:
        raise ValueError("pairs need as many values on either side")
    found = over_seeds(first - second)
    return dataclasses.replace(found, method=f"Student's t over {len(first)} pairs, one a seed")


def share(successes: int, trials: int) -> Estimate:
    """Return a share such as a test accuracy with its binomial error.

    The error is that of Agresti and Coull, two more successes and failures, which does not claim
    certainty at 0 and 1; for the interval of a share by itself see `wilson`.

    Raises:
      ValueError: no trials, or more successes than trials.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} of {trials} is no share")
    shrunk = (successes + 2) / (trials + 4)
    error = math.sqrt(shrunk * (1 - shrunk) / (trials + 4))
    return Estimate(successes / trials, error, math.inf, f"binomial over {trials:,} images")


def wilson(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Return Wilson's interval of a share, right where the share is near 0 or 1 too."""
    found = stats.binomtest(successes, trials).proportion_ci(level, "wilson")
    return float(found.low), float(found.high)


def accuracy(accuracies: Sequence[float], test_examples: int) -> Estimate:
    """Return a test accuracy over seeds, all tested on the same images, with both errors.

    The spread over seeds says how training differs, the binomial how a test set might. Their
    variances are added, and degrees of freedom are Welch's and Satterthwaite's. One seed has the
    error of the images alone, which the method says.
    """
    mean = float(np.mean(accuracies))
    images = share(round(mean * test_examples), test_examples)
    if len(accuracies) == 1:
        method = f"{images.method}; one seed, so not over training"
        return Estimate(mean, images.error, math.inf, method)
    seeds = over_seeds(accuracies)
    return _summed(mean, seeds, images, f"{seeds.method}, {images.method}")


def test_accuracy(runs: Sequence[Run], quantity: str = "test_accuracy") -> Estimate:
    """Return the test accuracy of runs that differ in their seed, with both errors.

    Where their test sets are of several sizes the smallest counts, on the careful side.
    """
    tested = min(run.result["test_examples"] for run in runs)
    return accuracy([run.result[quantity] for run in runs], tested)


def difference(first: Estimate, second: Estimate) -> Estimate:
    """Return first minus second, taken as independent (Welch), which errs on the careful side."""
    methods = dict.fromkeys((first.method, second.method))
    return _summed(first.value - second.value, first, second, "; ".join(methods))


def _summed(value: float, first: Estimate, second: Estimate, method: str) -> Estimate:
    """Return an estimate whose variance is the sum of two, with Welch and Satterthwaite's df."""
    variance = first.error**2 + second.error**2
    below = sum(part.error**4 / part.freedom for part in (first, second))
    freedom = variance**2 / below if below else math.inf
    return Estimate(value, math.sqrt(variance), freedom, method)


# --- verdicts -------------------------------------------------------------------------------------


def above(found: Estimate, bound: float, level: float = LEVEL) -> str:
    """Return the verdict on "the true number is above the bound".

    Either side must be shown: each by a one-sided test whose error rate is (1 - level) / 2, which
    is the same as the bound being outside `found.interval(level)`.
    """
    low, high = found.interval(level)
    if low > bound:
        return REPRODUCED
    return CONTRADICTED if high < bound else INCONCLUSIVE


def below(found: Estimate, bound: float, level: float = LEVEL) -> str:
    """Return the verdict on "the true number is below the bound"; see `above`."""
    return above(dataclasses.replace(found, value=-found.value), -bound, level)


def no_difference(found: Estimate, margin: float, level: float = LEVEL) -> str:
    """Return the verdict on "the true difference is within -margin and margin", an equivalence.

    Two one-sided tests (TOST): reproduced where both "it is below -margin" and "it is above margin"
    are rejected at 1 - level. That a difference is not significant shows nothing, so few seeds are
    inconclusive. Contradicted where a difference beyond the margin is shown with the same error
    rate.

    Raises:
      ValueError: a margin that is not positive.
    """
    if margin <= 0:
        raise ValueError("an equivalence needs a positive margin")
    if equivalence_p(found, margin) < 1 - level:
        return REPRODUCED
    if found.error == 0:
        return CONTRADICTED if abs(found.value) > margin else INCONCLUSIVE
    beyond = _tail((abs(found.value) - margin) / found.error, found.freedom)
    return CONTRADICTED if beyond < 1 - level else INCONCLUSIVE


def equivalence_p(found: Estimate, margin: float) -> float:
    """Return the larger p value of the two one-sided tests of `no_difference`."""
    room = margin - abs(found.value)
    if found.error == 0:
        return 0.0 if room > 0 else 1.0
    return _tail(room / found.error, found.freedom)


def sensitivity(verdict: Callable[[float], str], tolerance: float) -> dict[str, str]:
    """Return what a verdict would be with half and with twice the tolerance, for a Finding.

    Args:
      verdict: tolerance -> verdict, such as `lambda margin: no_difference(gap, margin)`.
      tolerance: the one that the claim is judged by.
    """
    return {"half": verdict(tolerance / 2), "twice": verdict(2 * tolerance)}
