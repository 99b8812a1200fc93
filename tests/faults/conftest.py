"""How many random inputs are tried: a few hundred, or with REPRO_FAULTS=many thousands."""

import os

import hypothesis
import pytest

TIMES = {"ci": 1, "many": 20}[os.environ.get("REPRO_FAULTS", "ci")]


@pytest.fixture
def tried():
    """Return hypothesis's settings for so many examples: tried(250), times 20 for `many`."""

    def settings(examples):
        return hypothesis.settings(
            max_examples=examples * TIMES,
            derandomize=TIMES == 1,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )

    return settings
