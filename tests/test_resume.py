"""Real processes: killed or stopped, resumed, replayed from flags.cfg, one at a time."""

import json
import os
import signal
import time

import pytest
import tensorflow as tf

from repro.training.runs import RunDirectory

# Steps of one image each, so that an epoch takes seconds and a signal comes in its midst.
FLAGS = (
    "--model=mlp_1x512",
    "--dataset=digits",
    "--dropout_rate=0.2",
    "--corrupt_prob=0.3",
    "--batch_size=1",
    "--learning_rate=0.001",
    "--epochs=2",
    "--augment=crop,brightness",
    "--download=false",
)
STEPS = 1438  # of an epoch
FEW = ("--train_examples=50",)
BINARY = ("-m", "repro.randomization")


@pytest.fixture(scope="module")
def uninterrupted(python, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("uninterrupted") / "run"
    done = python(*BINARY, *FLAGS, f"--run_dir={run_dir}")
    assert done.returncode == 0, done.stderr
    return run_dir


@pytest.fixture(scope="module")
def complete(python, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("complete") / "run"
    done = python(*BINARY, *FLAGS, *FEW, f"--run_dir={run_dir}")
    assert done.returncode == 0, done.stderr
    assert done.everything == ""  # nothing of TensorFlow's start-up chatter, and nothing else
    return run_dir


@pytest.fixture
def in_the_midst():
    """Whether a run has saved its first epoch and is at work on its second."""
    seen = []

    def check(run_dir):
        if (run_dir / "checkpoints" / "ckpt-1.index").exists():
            seen.append(time.monotonic())
        return bool(seen) and seen[-1] - seen[0] > 0.4

    return check


@pytest.mark.slow
@pytest.mark.parametrize(
    "by", [pytest.param(signal.SIGKILL, marks=pytest.mark.slow), signal.SIGTERM]
)
def test_resumed_equals_uninterrupted(
    uninterrupted, stopped, python, in_the_midst, assert_same_run, tmp_path, by
):
    """Bit for bit. SIGTERM saves the steps of the epoch at work; after a kill it begins again."""
    run_dir = tmp_path / "run"
    command = (*BINARY, *FLAGS, f"--run_dir={run_dir}")
    ended = stopped(*command, when=lambda: in_the_midst(run_dir), by=by)
    assert not (run_dir / "result.json").exists()
    newest = tf.train.load_checkpoint(str(run_dir / "checkpoints"))
    steps = newest.get_tensor("step/.ATTRIBUTES/VARIABLE_VALUE")
    if by == signal.SIGTERM:
        assert ended.returncode == 143
        assert ended.seconds < 10
        assert ended.stderr == ""
        assert "stopping: the state is being saved" in ended.stdout
        assert 0 < steps < STEPS
    else:
        assert ended.returncode == -signal.SIGKILL
        assert steps == 0

    resumed = python(*command)
    assert resumed.returncode == 0, resumed.stderr
    assert "epoch 1/2" not in resumed.stdout  # it did not start again
    assert "epoch 2/2" in resumed.stdout
    assert_same_run(run_dir, uninterrupted)
    record = json.loads((run_dir / "environment.json").read_text())
    assert record["resumed_after_epoch"] == 1


@pytest.mark.slow
def test_flags_cfg_replays_the_run(uninterrupted, python, assert_same_run, tmp_path):
    """The file alone makes the same run, settings, metrics and weights; and again, its own."""
    replay = tmp_path / "replay"
    done = python(*BINARY, f"--flagfile={uninterrupted / 'flags.cfg'}", f"--run_dir={replay}")
    assert done.returncode == 0, done.stderr
    assert_same_run(replay, uninterrupted)
    assert (replay / "flags.cfg").read_text() == (uninterrupted / "flags.cfg").read_text()


def test_a_complete_run_is_not_run_again(complete, python):
    before = (complete / "result.json").stat().st_mtime_ns
    done = python(*BINARY, *FLAGS, *FEW, f"--run_dir={complete}")
    assert done.returncode == 0
    assert "complete already" in done.stdout
    assert (complete / "result.json").stat().st_mtime_ns == before


def test_two_processes_on_one_directory(complete, python, tmp_path):
    settings = json.loads((complete / "result.json").read_text())["settings"]
    held = RunDirectory(tmp_path / "run", settings)
    done = python(*BINARY, *FLAGS, *FEW, f"--run_dir={tmp_path / 'run'}")
    held.close()
    assert done.returncode == os.EX_TEMPFAIL
    assert done.everything.startswith("error: another process is writing to")
    assert len(done.everything.splitlines()) == 1


def test_the_environment_of_a_real_run(complete):
    """The paper's experiment is among the code that computed, its figures are not."""
    record = json.loads((complete / "environment.json").read_text())
    assert record["command"].startswith("python -m repro.randomization --model=mlp_1x512")
    code = set(record["code"])
    assert {"repro.randomization.experiment", "repro.training.loop", "repro.models.mlp"} <= code
    assert not {name for name in code if "figures" in name or "claims" in name}
    assert not {name for name in code if name.startswith("repro.bad_minima")}
