"""The order in which runs are made, what becomes of failed ones, and the process of one run."""

import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import psutil
import pytest

from repro.tools.execute import execute
from repro.tools.executors import process, warm
from repro.tools.executors.local import Local

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


@pytest.fixture
def pretended(tmp_path, monkeypatch):
    """A module that can be run, whose flag is code; TensorFlow's place is taken by nothing."""
    (tmp_path / "pretended.py").write_text("import sys\nexec(sys.argv[1])\n")
    (tmp_path / "tensorflow.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    return lambda code: ["python", "-m", "pretended", code]


@pytest.mark.skipif(not warm.POSSIBLE, reason="a GPU is here, or this is not Linux")
def test_runs_that_are_forked_end_as_processes_do(pretended, tmp_path):
    maker = warm.Maker(cpus=3)
    shown = "import os; print(os.environ['TF_NUM_INTRAOP_THREADS'], 'tensorflow' in sys.modules)"
    ends = {
        f"{shown}; sys.exit(2)": 2,
        "sys.exit('error: no')": 1,
        "1 / 0": 1,
        "import os; os.kill(os.getpid(), 9)": -9,
        "import atexit; atexit.register(print, 'last')": 0,
    }
    try:
        found = {code: maker.make(pretended(code), tmp_path / "run") for code in ends}
    finally:
        maker.close()
    assert found == ends
    lines = (tmp_path / "run" / "log.txt").read_text().splitlines()
    assert lines[:2] == ["3 True", "error: no"]
    assert lines[-2:] == ["ZeroDivisionError: division by zero", "last"]


@pytest.mark.skipif(not warm.POSSIBLE, reason="a GPU is here, or this is not Linux")
@pytest.mark.parametrize("by", ["terminate", "kill"])
def test_a_forked_run_saves_its_state_when_its_maker_ends(wait_for, pretended, tmp_path, by):
    code = (
        "import os, signal, time;"
        "signal.signal(15, lambda *_: (open('saved', 'w'), sys.exit(143)));"
        "open('began', 'w'); time.sleep(600)"
    )
    parent = (
        "import os, pathlib; from repro.tools.executors import warm;"
        f"os.chdir({str(tmp_path)!r});"
        f"warm.Maker(1).make({pretended(code)!r}, pathlib.Path('run'))"
    )
    parent = subprocess.Popen([sys.executable, "-c", parent])
    wait_for(lambda: (tmp_path / "began").exists())
    maker = psutil.Process(parent.pid).children()[0]
    getattr(maker if by == "terminate" else parent, by)()
    wait_for(lambda: (tmp_path / "saved").exists())
    wait_for(lambda: not maker.is_running() or maker.status() == psutil.STATUS_ZOMBIE)
    parent.wait(30)


@pytest.mark.skipif(not warm.POSSIBLE, reason="a GPU is here, or this is not Linux")
def test_the_next_run_goes_on_where_the_maker_was_killed(pretended, tmp_path):
    codes = {"lost": "import os, time; os.kill(os.getppid(), 9); time.sleep(600)", "next": "0"}
    runs = [
        types.SimpleNamespace(path=tmp_path / name, command=pretended(code))
        for name, code in codes.items()
    ]
    found = []
    with Local(1) as executor:
        for run in runs:
            executor.start([run])
            while not (ended := executor.ended(seconds=60)):
                pass
            found += [outcome for _, outcome in ended]
    assert isinstance(found[0], OSError) and found[1] == 0


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
