"""Real processes: killed with SIGKILL, resumed, replayed from flags.cfg, one at a time."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from repro.training.runs import RunDirectory

FLAGS = (
    "--model=mlp_1x512", "--dataset=digits", "--dropout_rate=0.2", "--corrupt_prob=0.3",
    "--train_examples=400", "--batch_size=64", "--epochs=6", "--augment=crop,brightness",
)  # fmt: skip
BINARY = ("-m", "repro.randomization")
STATE = "_CHECKPOINTABLE_OBJECT_GRAPH"


def rows(run_dir):
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def final(run_dir):
    reader = tf.train.load_checkpoint(str(run_dir / "checkpoints" / "final"))
    names = set(reader.get_variable_to_shape_map()) - {STATE}
    return {name: reader.get_tensor(name) for name in names}


def assert_same_run(one, other):
    assert rows(one) == rows(other)
    values, again = final(one), final(other)
    assert set(values) == set(again)
    assert any(name.startswith("seeds") for name in values)  # dropout's state is there
    for name, value in values.items():
        np.testing.assert_array_equal(value, again[name], err_msg=name)


@pytest.fixture(scope="module")
def uninterrupted(python, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("uninterrupted") / "run"
    done = python(*BINARY, *FLAGS, f"--run_dir={run_dir}")
    assert done.returncode == 0, done.stderr
    return run_dir


def test_killed_and_resumed_equals_uninterrupted(uninterrupted, python, environment, tmp_path):
    run_dir = tmp_path / "run"
    metrics = run_dir / "metrics.jsonl"
    process = subprocess.Popen(
        [sys.executable, *BINARY, *FLAGS, f"--run_dir={run_dir}"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not metrics.exists() or len(metrics.read_text().splitlines()) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (run_dir / "result.json").exists()

    resumed = python(*BINARY, *FLAGS, f"--run_dir={run_dir}")
    assert resumed.returncode == 0, resumed.stderr
    assert "epoch 1/6" not in resumed.stdout  # it did not start again
    assert "epoch 6/6" in resumed.stdout
    assert_same_run(run_dir, uninterrupted)
    record = json.loads((run_dir / "environment.json").read_text())
    assert record["resumed_after_epoch"] in (1, 2, 3)


def test_flags_cfg_replays_the_run(uninterrupted, python, tmp_path):
    """The file alone makes the same run, settings, metrics and weights; and again, its own."""
    replay = tmp_path / "replay"
    done = python(*BINARY, f"--flagfile={uninterrupted / 'flags.cfg'}", f"--run_dir={replay}")
    assert done.returncode == 0, done.stderr
    assert_same_run(replay, uninterrupted)
    assert (replay / "flags.cfg").read_text() == (uninterrupted / "flags.cfg").read_text()


def test_a_complete_run_is_not_run_again(uninterrupted, python):
    before = (uninterrupted / "result.json").stat().st_mtime_ns
    done = python(*BINARY, *FLAGS, f"--run_dir={uninterrupted}")
    assert done.returncode == 0
    assert "complete already" in done.stdout
    assert (uninterrupted / "result.json").stat().st_mtime_ns == before


def test_two_processes_on_one_directory(uninterrupted, python, tmp_path):
    settings = json.loads((uninterrupted / "result.json").read_text())["settings"]
    held = RunDirectory(tmp_path / "run", settings)
    done = python(*BINARY, *FLAGS, f"--run_dir={tmp_path / 'run'}")
    held.close()
    assert done.returncode != 0
    assert done.stderr.startswith("error: another process is writing to")
    assert len(done.stderr.splitlines()) == 1
