"""Made-up runs, whose figures, tables and verdicts can be told beforehand."""

from pathlib import Path

import pytest

from repro.randomization.settings import STAGES
from repro.reporting.results import Run
from repro.settings import as_dict, from_dict, settle

RESULT = {
    "status": "complete",
    "epochs": 50,
    "steps": 50 * 391,
    "train_accuracy": 1.0,
    "test_accuracy": 0.8,
    "test_accuracy_corrupted_labels": 0.8,
    "parameters": 1_649_402,
    "train_examples": 50_000,
    "test_examples": 10_000,
}


@pytest.fixture(scope="session")
def made_up():
    """Make a run: made_up(result={...}, metrics={name: values by epoch}, **settings) -> Run.

    Settings are settled as a real run's are.
    """

    def make(result=None, metrics=None, **settings):
        lasting = {"epochs": 50} if settings.get("stage", "train") == "train" else {}
        settled, _ = settle(from_dict(STAGES, {**lasting, **settings}), Path("no tuned.json"))
        columns = metrics or {}
        length = max(map(len, columns.values()), default=0)
        rows = [
            {"epoch": n, "step": 391 * n, **{name: v[n - 1] for name, v in columns.items()}}
            for n in range(1, length + 1)
        ]
        return Run(Path("made_up"), as_dict(settled), RESULT | (result or {}), rows)

    return make
