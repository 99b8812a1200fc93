"""Errors against closed forms, SciPy's own tests and simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from repro.reporting import statistics
from repro.reporting.statistics import Estimate

TRIALS = 4_000


def within_chance(count: int, probability: float) -> bool:
    """Whether a count of TRIALS is within 4.5 standard deviations (chance 7e-6) of its mean."""
    deviation = math.sqrt(TRIALS * probability * (1 - probability))
    return abs(count - TRIALS * probability) < 4.5 * deviation


# --- over seeds -----------------------------------------------------------------------------------


def test_two_standard_errors_of_three_seeds_cover_82_percent():
    """With 2 degrees of freedom P(|T| < t) is t / sqrt(2 + t^2): at t = 2 this is 0.816."""
    found = statistics.over_seeds([1.0, 2.0, 3.0])
    assert (found.value, found.freedom) == (2.0, 2)
    assert found.error == pytest.approx(1 / math.sqrt(3), rel=1e-14)
    level = 2 / math.sqrt(6)
    assert level == pytest.approx(0.816, abs=5e-4)
    assert found.half_width(level) == pytest.approx(2 * found.error, rel=1e-12)


def test_two_seeds_are_cauchy():
    """With 1 degree of freedom quantiles are tan(pi (q - 1/2)): 12.7 errors to either side."""
    found = statistics.over_seeds([0.0, 2.0])
    assert found.error == pytest.approx(1.0)
    assert found.half_width(0.95) == pytest.approx(math.tan(math.pi * 0.475), rel=1e-10)


def test_intervals_over_seeds_cover_what_they_say():
    draws = np.random.default_rng(0).normal(3.0, 2.0, (TRIALS, 3))
    covered = 0
    for draw in draws:
        low, high = statistics.over_seeds(draw).interval(0.9)
        covered += low < 3.0 < high
    assert within_chance(covered, 0.9)


def test_one_seed_has_no_spread():
    with pytest.raises(ValueError, match="two seeds"):
        statistics.over_seeds([0.5])


def test_pairs_are_scipys_paired_test():
    first, second = [0.39, 0.41, 0.40, 0.37], [0.27, 0.31, 0.25, 0.26]
    found = statistics.paired(first, second)
    interval = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert found.interval() == pytest.approx(tuple(interval), rel=1e-12)
    with pytest.raises(ValueError, match="as many"):
        statistics.paired(first, second[:3])


def test_a_difference_is_welchs_test():
    first, second = [0.39, 0.41, 0.40], [0.27, 0.31, 0.25, 0.36]
    found = statistics.difference(statistics.over_seeds(first), statistics.over_seeds(second))
    welch = stats.ttest_ind(first, second, equal_var=False)
    assert found.freedom == pytest.approx(welch.df, rel=1e-12)
    assert found.interval() == pytest.approx(tuple(welch.confidence_interval(0.95)), rel=1e-12)


# --- over test images -----------------------------------------------------------------------------


def test_wilson_at_none_and_all():
    """At no success of n the bounds are 0 and z^2 / (n + z^2), at all of n the mirror image."""
    z = stats.norm.ppf(0.975)
    low, high = statistics.wilson(0, 50)
    assert (low, high) == (0.0, pytest.approx(z**2 / (50 + z**2), rel=1e-12))
    assert statistics.wilson(50, 50) == (pytest.approx(1 - high, rel=1e-12), 1.0)


def test_wilson_in_between_solves_its_equation():
    """A bound q is where the observed share is z of q's own standard errors away."""
    z, n = stats.norm.ppf(0.975), 1000
    for bound in statistics.wilson(347, n):
        assert abs(0.347 - bound) == pytest.approx(z * math.sqrt(bound * (1 - bound) / n), rel=1e-9)


def test_the_error_of_a_share_is_right_and_never_zero():
    found = statistics.share(1000, 2000)
    assert found.error == pytest.approx(math.sqrt(0.25 / 2004), rel=1e-14)
    assert found.freedom == math.inf
    assert 0 < statistics.share(2000, 2000).error < 1e-3
    with pytest.raises(ValueError, match="no share"):
        statistics.share(3, 2)


def test_accuracy_of_one_seed_has_the_error_of_its_images():
    found = statistics.accuracy([0.4], 2000)
    assert found.error == pytest.approx(math.sqrt(0.24 / 2000), rel=2e-3)  # but for 2 in 2,000
    assert "one seed" in found.method


def test_accuracy_over_seeds_covers_the_accuracy_on_all_images():
    """Seeds deviate by 1 point, the 400 images of a test set by 2.4: both must count.

    A seed's accuracy on all images is 0.6 + noise; on the test set they share it is off by the
    same amount. Without the images' share the interval would cover far less than 95 %.
    """
    rng = np.random.default_rng(1)
    images = rng.normal(0, math.sqrt(0.24 / 400), TRIALS)
    seeds = rng.normal(0, 0.01, (TRIALS, 3))
    covered = covered_by_seeds_alone = 0
    for shared, spread in zip(images, seeds):
        seen = 0.6 + shared + spread
        low, high = statistics.accuracy(seen, 400).interval()
        covered += low < 0.6 < high
        low, high = statistics.over_seeds(seen).interval()
        covered_by_seeds_alone += low < 0.6 < high
    # 4.5 standard deviations of chance, and half a point as Satterthwaite's df are approximate.
    assert abs(covered / TRIALS - 0.95) < 4.5 * math.sqrt(0.05 * 0.95 / TRIALS) + 0.005
    assert covered_by_seeds_alone / TRIALS < 0.85


# --- verdicts -------------------------------------------------------------------------------------


def estimate(value, error, freedom=2):
    return Estimate(value, error, freedom, "made up")


def test_above_and_below_are_one_test():
    t = stats.t.ppf(0.975, 2)
    assert statistics.above(estimate(t + 0.01, 1), 0) == "reproduced"
    assert statistics.above(estimate(t - 0.01, 1), 0) == "inconclusive"  # beyond two errors
    assert statistics.above(estimate(-t - 0.01, 1), 0) == "contradicted"
    for value in (-5, -1, 1, 5):
        assert statistics.below(estimate(value, 1), 0) == statistics.above(estimate(-value, 1), 0)


def test_equivalence_is_scipys_two_one_sided_tests():
    values, margin = [0.002, -0.004, 0.003, 0.001, -0.001], 0.01
    lower = stats.ttest_1samp(values, -margin, alternative="greater").pvalue
    upper = stats.ttest_1samp(values, margin, alternative="less").pvalue
    found = statistics.over_seeds(values)
    assert statistics.equivalence_p(found, margin) == pytest.approx(max(lower, upper), rel=1e-10)
    assert statistics.no_difference(found, margin) == "reproduced"


def test_no_significant_difference_is_no_equivalence():
    """A difference of 0 with a wide error says neither: it used to pass as "no difference"."""
    assert statistics.no_difference(estimate(0.0, 1.0), 2.0) == "inconclusive"
    assert statistics.no_difference(estimate(0.0, 0.5), 2.0) == "reproduced"
    assert statistics.no_difference(estimate(9.0, 1.0), 2.0) == "contradicted"
    assert statistics.no_difference(estimate(-9.0, 1.0), 2.0) == "contradicted"
    assert statistics.no_difference(estimate(3.0, 1.0), 2.0) == "inconclusive"


def test_without_error_the_number_decides():
    assert statistics.no_difference(estimate(0.0, 0.0), 2.0) == "reproduced"
    assert statistics.no_difference(estimate(2.1, 0.0), 2.0) == "contradicted"
    assert statistics.above(estimate(0.1, 0.0), 0) == "reproduced"
    with pytest.raises(ValueError, match="positive margin"):
        statistics.no_difference(estimate(0.0, 1.0), 0.0)


def test_a_difference_at_the_margin_passes_as_equivalent_in_1_of_20():
    """The error rate that the test promises, where it is largest: at the margin itself.

    The other side, ten deviations away, adds nothing.
    """
    draws = np.random.default_rng(2).normal(1.0, 0.2, (TRIALS, 3))
    verdicts = [statistics.no_difference(statistics.over_seeds(draw), 1.0) for draw in draws]
    assert within_chance(verdicts.count("reproduced"), 0.05)
    assert within_chance(verdicts.count("contradicted"), 0.05)


def test_sensitivity_is_the_verdict_at_half_and_twice_the_tolerance():
    found = estimate(0.7, 0.1)
    verdict = statistics.sensitivity(lambda margin: statistics.no_difference(found, margin), 1.0)
    assert verdict == {"half": "inconclusive", "twice": "reproduced"}


def test_text_has_the_interval_that_it_says():
    assert estimate(0.127, 0.01, math.inf).text(100, "points") == "12.70 ± 1.96 points"
