"""The order in which runs are made, what becomes of failed ones, and the process of one run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from repro.tools.execute import execute
from repro.tools.executors import process

ROOT = Path(__file__).parents[2]

# --- the order, with an executor that makes nothing -----------------------------------------------


class Pretended:
    """Ends all runs at once with the outcomes that it is told, and writes down what it started."""

    slots = None

    def __init__(self, outcomes=()):
        self.outcomes, self.started, self.at_work = dict(outcomes), [], []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def start(self, runs):
        self.started.append([run.settings.stage for run in runs])
        self.at_work += runs

    def ended(self, seconds):
        ended, self.at_work = self.at_work, []
        return [(run, self.outcomes.get(run.settings.stage, [0]).pop(0)) for run in ended]


def test_what_a_run_needs_is_complete_before_it_starts(three_runs, tmp_path):
    executor = Pretended()
    assert execute(three_runs(tmp_path), executor) == []
    assert executor.started == [["endpoint", "train"], ["slice"]]


def test_never_more_runs_than_slots(three_runs, tmp_path):
    executor = Pretended()
    executor.slots = 1
    execute(three_runs(tmp_path), executor)
    assert executor.started == [["endpoint"], ["slice"], ["train"]]


def test_a_run_that_another_process_holds_is_tried_again(three_runs, tmp_path, capsys):
    executor = Pretended({"endpoint": [process.HELD, process.HELD, 0]})
    assert execute(three_runs(tmp_path), executor, between_tries=0.01) == []
    assert [stage for stages in executor.started for stage in stages] == [
        *("endpoint", "train", "endpoint", "endpoint", "slice")
    ]
    assert capsys.readouterr().out.count("waiting, as another process makes endpoint-G") == 1


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (1, "it said nothing"),
        (-9, "its process was ended by signal 9"),
        (OSError("no such folder\nand more"), "OSError: no such folder"),
    ],
    ids=str,
)
def test_what_needs_a_failed_run_is_given_up(three_runs, tmp_path, outcome, reason, capsys):
    runs = three_runs(tmp_path)
    executor = Pretended({"endpoint": [outcome]})
    failed = execute(runs, executor)
    assert [one.run.settings.stage for one in failed] == ["endpoint", "slice"]
    assert [one.reason for one in failed] == [reason, f"it needs {runs[0].path.name}, which failed"]
    assert executor.started == [["endpoint", "train"]]
    assert f"FAILED {runs[0].path.name}: {reason}\n" in capsys.readouterr().out


# --- one process ----------------------------------------------------------------------------------


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process of its parent's end"
)
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_ends_with_whoever_started_it(wait_for, tmp_path, by):
    child = "import os, time; os.symlink(str(os.getpid()), 'pid'); time.sleep(600)"
    parent = (
        "from repro.tools.executors import process; process.run("
        f"['python', '-c', {child!r}], {str(tmp_path)!r}, 1, cwd={str(tmp_path)!r}, "
        f"parent_gone={int(by)})"
    )
    parent = subprocess.Popen([sys.executable, "-c", parent], cwd=ROOT)
    wait_for(lambda: os.path.islink(tmp_path / "pid"))
    child = psutil.Process(int(os.readlink(tmp_path / "pid")))
    parent.kill()
    parent.wait()
    try:
        child.wait(120)  # psutil.TimeoutExpired if it lives on
    finally:
        if child.is_running():
            child.kill()


def test_a_process_gets_its_processors_and_no_gpu_that_it_did_not_ask_for(tmp_path):
    code = (
        "import os; print(os.environ['TF_NUM_INTRAOP_THREADS'], os.environ['CUDA_VISIBLE_DEVICES'])"
    )
    assert process.run(["python", "-c", code], tmp_path, 3, gpus=0) == 0
    assert (tmp_path / "log.txt").read_text() == "3 -1\n"


def test_a_complete_run_is_not_started(tmp_path):
    (tmp_path / "result.json").write_text("{}")
    assert process.run(["no such command"], tmp_path, 1) == 0
    assert not (tmp_path / "log.txt").exists()
