"""Verdicts: what makes a claim reproduced, contradicted or neither."""

from pathlib import Path

import pytest

from repro.reporting import claims
from repro.reporting.claims import Claim, Finding
from repro.reporting.results import Run


def run(name="made_up", **result):
    settings = {"seed": 0, "dataset": "digits", "model": "m"}
    return Run(Path(name), settings, {"train_examples": 9, "test_examples": 100, **result}, [])


def test_a_claim_is_judged_from_its_runs():
    runs = [run("b"), run("a")]
    claim = Claim("Z1", "It holds.", "Table 1", "100 %", lambda r: Finding("99 %", "reproduced", r))
    (record,) = claims.judge([claim], runs, "cpu")
    expected = {
        "id": "Z1", "statement": "It holds.", "source": "Table 1", "published": "100 %",
        "scale": "cpu", "measured": "99 %", "verdict": "reproduced", "runs": ["a", "b"],
        "protocol": "m on digits, 9 training and 100 test images, seed 0",
    }
    assert {key: record[key] for key in expected} == expected
    assert "Z1" in claims.as_text([record]) and "99 %; published 100 %" in claims.as_text([record])


def test_without_its_runs_a_claim_is_not_judged():
    (record,) = claims.judge([Claim("Z1", "", "", "", lambda runs: None)], [run()], "cpu")
    assert (record["verdict"], record["measured"], record["runs"]) == ("not run", "", [])


def test_seeds_that_disagree_are_inconclusive():
    assert claims.verdict([True, True]) == "reproduced"
    assert claims.verdict([True, False]) == "inconclusive"
    assert claims.verdict([False, False]) == "contradicted"


def test_verdicts_of_parts():
    """Agreement wants all the same; what every part must hold for is as bad as the worst."""
    assert claims.agreed(["contradicted", "contradicted"]) == "contradicted"
    assert claims.agreed(["contradicted", "reproduced"]) == "inconclusive"
    assert claims.worst(["reproduced", "inconclusive"]) == "inconclusive"
    assert claims.worst(["reproduced", "contradicted", "inconclusive"]) == "contradicted"


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [(0.3, "reproduced"), (0.2, "inconclusive"), (0.0, "inconclusive"), (-0.2, "inconclusive"),
     (-0.3, "contradicted")],
)
def test_a_sign_needs_two_standard_errors(difference, verdict):
    assert claims.sign_verdict(difference, 0.1) == verdict


@pytest.mark.parametrize(
    ("off", "verdict"), [(0.7, "reproduced"), (0.9, "inconclusive"), (1.1, "inconclusive"),
                         (1.3, "contradicted")],
)
def test_a_bound_needs_two_standard_errors(off, verdict):
    assert claims.within(off, 1.0, 0.1) == verdict


def test_the_error_of_an_accuracy_is_the_test_sets():
    """Of 100 images, half right: sqrt(0.25 / 100) = 0.05; of a difference sqrt(2) times it."""
    half = run(test_accuracy=0.5)
    assert claims.accuracy_error(half) == pytest.approx(0.05)
    assert claims.accuracy_error(half, half) == pytest.approx(0.05 * 2**0.5)
    assert claims.accuracy_error(run(other=0.5), quantity="other") == pytest.approx(0.05)
