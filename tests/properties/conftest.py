"""How many random models a property is tried on, and how often it was right or refused.

REPRO_PROPERTIES=ci, the default, tries the same few hundred models each time; REPRO_PROPERTIES=many
tries 5,000, others each time, for some hours. The counts are printed where pytest ends.
"""

import collections
import os
import sys
import traceback
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, settings

PACKAGE = Path(__file__).parents[2] / "repro"
sys.path.insert(0, str(Path(__file__).parent))  # for recipes.py and blocks.py

COMMON = {
    "deadline": None,
    "phases": [hypothesis.Phase.generate, hypothesis.Phase.shrink],
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much],
}
settings.register_profile("ci", derandomize=True, **COMMON)
settings.register_profile("many", print_blob=True, **COMMON)
PROFILE = os.environ.get("REPRO_PROPERTIES", "ci")
settings.load_profile(PROFILE)
TIMES = {"ci": 1, "many": 16}  # as many examples as are asked for


@pytest.fixture
def holds(record_property):
    """Try a property on random cases: holds(cases, examples, check) -> how often each outcome came.

    `check(case)` asserts, and returns what to count the case as, such as "right". A refusal is a
    ValueError of one line that an instrument raises itself; whatever else is raised fails the test,
    and hypothesis looks for the smallest case that does.
    """

    def try_all(cases, examples, check):
        counts = collections.Counter()

        @settings(max_examples=examples * TIMES[PROFILE])
        @hypothesis.given(cases)
        def one(case):
            try:
                outcome = check(case)
            except ValueError as refusal:
                raised_in = Path(traceback.extract_tb(refusal.__traceback__)[-1].filename)
                if not raised_in.is_relative_to(PACKAGE) or "\n" in str(refusal):
                    raise
                outcome = "refused"
            counts[outcome] += 1

        one()
        record_property("cases", dict(counts))
        return counts

    return try_all
