"""SIGINT (Ctrl+C), SIGTERM and SIGHUP end every command in one line, with 128 and their number."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from repro import launch
from repro.training import signals

QUICK = ("--model=mlp_1x512", "--dataset=digits", "--batch_size=1", "--download=false")
RUN = ("-m", "repro.randomization", *QUICK, "--epochs=500")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks at what a process has mapped")


def slow_but_sigint(numbers):
    return [
        pytest.param(n, marks=[] if n == signal.SIGINT else pytest.mark.slow, id=n.name)
        for n in numbers
    ]


@pytest.fixture(autouse=True)
def not_ignored():
    """Let processes that tests start hear the signals, under nohup too."""
    before = {number: signal.getsignal(number) for number in signals.SIGNALS}
    for number, handler in before.items():
        if handler is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def imports_tensorflow():
    """Whether a run that was started from here has begun to load TensorFlow."""
    for child in psutil.Process().children():
        try:
            if "repro.randomization" in child.cmdline() and any(
                "libtensorflow" in each.path for each in child.memory_maps()
            ):
                return True
        except (psutil.Error, OSError):  # it has just begun, or ended
            continue
    return False


def assert_one_line(ended, number):
    assert (ended.returncode, ended.stderr) == (128 + number, f"{launch.INTERRUPTED}\n")


@pytest.mark.parametrize("name", ["randomization", "tools.runs"])
@pytest.mark.parametrize("wrong", [False, True])
def test_while_a_command_imports(name, wrong, tmp_path, environment):
    """Ctrl+C in its first second, here in the midst of importing absl; errors are shown as ever."""
    import_ = "raise ImportError('no absl')" if wrong else "import os; os.kill(os.getpid(), 2)"
    (tmp_path / "absl.py").write_text(import_)
    ended = subprocess.run(
        [sys.executable, "-m", f"repro.{name}"],
        env={**environment, "PYTHONPATH": str(tmp_path)},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    if wrong:
        assert ended.returncode == 1 and ended.stderr.endswith("ImportError: no absl\n")
    else:  # a shell calls it 130
        assert (ended.returncode, ended.stderr) == (-signal.SIGINT, f"{launch.INTERRUPTED}\n")


@LINUX
@pytest.mark.parametrize("number", slow_but_sigint(signals.SIGNALS))
def test_while_a_run_starts(stopped, number, tmp_path):
    ended = stopped(*RUN, f"--run_dir={tmp_path}", when=imports_tensorflow, by=number)
    assert_one_line(ended, number)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("number", signals.SIGNALS)
def test_while_a_run_prepares(stopped, number, tmp_path):
    """Its directory is there, and its network is not."""
    flags = tmp_path / "flags.cfg"
    ended = stopped(*RUN, f"--run_dir={tmp_path}", when=flags.exists, by=number)
    assert_one_line(ended, number)
    assert not (tmp_path / "result.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", signals.SIGNALS)
def test_while_a_run_trains(stopped, number, tmp_path):
    saved = tmp_path / "checkpoints" / "ckpt-1.index"
    ended = stopped(*RUN, f"--run_dir={tmp_path}", when=saved.exists, by=number)
    assert (ended.returncode, ended.stderr) == (128 + number, "")
    assert "stopping: the state is being saved" in ended.stdout
    assert not (tmp_path / "result.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("group", [False, True])
@pytest.mark.parametrize("number", signals.SIGNALS)
def test_while_tools_reproduce_makes_a_run(stopped, number, group, tmp_path):
    """The run saves its state, whether or not a terminal sends the signal to it as well."""
    command = ("-m", "repro.tools.reproduce", "stability/escape", "--scale=smoke")

    def logs():
        return [file for file in tmp_path.glob("stability/*/log.txt") if file.stat().st_size]

    ended = stopped(*command, f"--output_dir={tmp_path}", when=logs, by=number, group=group)
    assert_one_line(ended, number)
    said = "".join(file.read_text() for file in logs())
    assert "stopping: the state is being saved" in said or launch.INTERRUPTED in said
    assert "Traceback" not in said


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("number", signals.SIGNALS)
def test_while_tools_tune_starts_a_trial(stopped, number, tmp_path):
    command = ("-m", "repro.tools.tune", "randomization", "--model=mlp_1x512", "--dataset=digits")
    places = (f"--output_dir={tmp_path}", f"--tuned_file={tmp_path / 'tuned.json'}")

    def begun():
        return list(tmp_path.glob("randomization/*/log.txt"))

    ended = stopped(*command, *places, when=begun, by=number)
    assert ended.returncode == 128 + number
    assert ended.stderr.splitlines()[-1] == launch.INTERRUPTED and "Traceback" not in ended.stderr


def test_what_is_ignored_stays_so(python):
    """nohup has SIGHUP ignored, and executors what a terminal sends to their runs too."""
    code = (
        "import os, signal; from repro import launch\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with launch.one_line_errors():\n"
        "    os.kill(os.getpid(), signal.SIGHUP); print('went on', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT); print('too far')\n"
    )
    done = python("-c", code)
    assert (done.returncode, done.stdout) == (130, "went on\n")
    assert done.stderr == launch.INTERRUPTED


def test_a_report_ends_in_one_line(tmp_path, environment):
    """Every tool has the same door: this one hears the signal in the midst of its reading."""
    code = (
        "import os, signal, sys; from repro.tools import report\n"
        "report.write = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.argv = ['tools/report']; report.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (143, f"{launch.INTERRUPTED}\n")
