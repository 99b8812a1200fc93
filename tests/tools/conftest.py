"""Three quick runs, one of which needs another, made in peace too; looks at processes."""

import json
import re
import time
from pathlib import Path

import psutil
import pytest

from repro import launch
from repro.settings import Place
from repro.tools import plans

# A run that trains long enough to be killed on the way, one that needs it, one beside them.
MODE = {
    "model": "mlp_1x512",
    "dataset": "digits",
    "train_examples": 100,
    "eval_examples": 50,
    "epoch_scale": 0.05,
    "batch_size": 50,
    "large_batch_size": 100,
    "eval_every": 1,
}
SLICE = {"stage": "slice", "from": "G", "points": 3, **MODE}
ALONE = {
    "model": "mlp_1x512",
    "dataset": "digits",
    "train_examples": 100,
    "epochs": 4,
    "batch_size": 50,
    "dropout_rate": 0.0,
    "weight_decay": 0.0,
}


@pytest.fixture(scope="session")
def three_runs():
    """Plan runs as tools/reproduce does: a start, what needs it, and a run beside them.

    three_runs(output_dir) -> [Planned]; `three_runs.asked` are the flags of the last two.
    """

    def planned(output_dir):
        passed = {"download": "false"}
        runs = [
            run for paper, flags in asked for run in plans.plan(paper, [flags], output_dir, passed)
        ]
        return plans.with_needed(runs, output_dir, passed)

    asked = [("mode_connectivity", SLICE), ("randomization", ALONE)]
    planned.asked = asked
    return planned


@pytest.fixture(scope="session")
def uninterrupted(three_runs, tmp_path_factory):
    """The same runs, made one after the other in this process and left in peace."""
    output_dir = tmp_path_factory.mktemp("uninterrupted")
    for run in three_runs(output_dir):
        launch.make(run.settings, Place(output_dir=str(output_dir), download=False))
    return output_dir


@pytest.fixture(scope="session")
def children():
    """Return all descendants of a process: children(pid) -> [psutil.Process]."""

    def look(pid):
        try:
            return psutil.Process(pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    return look


@pytest.fixture(scope="session")
def wait_for():
    """Return what `look` finds, as soon as it finds something: wait_for(look)."""

    def wait(look, seconds=400):
        deadline = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < deadline, "what was waited for did not happen"
            time.sleep(0.02)
        return found

    return wait


@pytest.fixture(scope="session")
def assert_made_once(uninterrupted):
    """Assert that runs have the uninterrupted ones' results and metrics, and were made once.

    assert_made_once(runs, interrupted): of an interrupted run one epoch may be computed twice, the
    one in which it was.
    """

    def check(runs, interrupted):
        for run in runs:
            whole = uninterrupted / run.path.parent.name / run.path.name
            assert without_times(run.path / "result.json") == without_times(whole / "result.json")
            if (whole / "metrics.jsonl").exists():
                rows = without_times(run.path / "metrics.jsonl")
                assert rows == without_times(whole / "metrics.jsonl")
            log = (run.path / "log.txt").read_text()
            assert log.count("result: ") == 1 and "complete already" not in log
            epochs = re.findall(r"^epoch (\d+)/", log, re.MULTILINE)
            assert len(epochs) <= len(set(epochs)) + (run is interrupted)
        record = json.loads((interrupted.path / "environment.json").read_text())
        assert record["resumed_after_epoch"] >= 1

    return check


def without_times(file: Path) -> list[str]:
    """The text of a result or of metrics, line by line, without the values of times."""
    lines = file.read_text().splitlines()
    assert lines
    return [re.sub(r'"seconds": [0-9.e+-]+', '"seconds"', line) for line in lines]
