"""Two processes on the loopback interface train as one does; only the first writes."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

RANDOMIZATION = (
    "repro.randomization",
    "--model=mlp_1x512",
    "--dataset=digits",
    "--train_examples=300",
    "--batch_size=64",
    "--epochs=2",
    "--weight_decay=0.001",
    "--corrupt_prob=0.2",
)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


FLOAT64 = str(Path(__file__).parent / "float64_run.py")
STABILITY = (
    "stability",
    "--dataset=digits",
    "--train_examples=40",
    "--learning_rate=0.5",
    "--batch_size=15",
    "--momentum=0.5",
    "--stop_loss=0",
    "--iterations=400",
    "--measure_every=50",
    "--max_iterations=4",
    "--tolerance=0.5",
)


# In float64, where losses of two workers and of one process agree to rounding.
BINARIES = {
    "bad_minima": (
        *("--model=mlp_1x512", "--dataset=digits", "--train_examples=40"),
        *("--batch_size=12", "--init=adversarial", "--pretrain_epochs=2", "--epochs=2"),
        *("--eval_every=1", "--sharpness_examples=0"),
    ),
    "teacher_student": (
        *("--hidden=1", "--num_students=130", "--adam_steps=1500"),
        *("--learning_rate=0.01", "--newton_iterations=100"),
    ),
    "mode_connectivity": (
        *("--stage=endpoint", "--mode=G", "--dataset=digits"),
        *("--model=mlp_1x512", "--train_examples=100", "--batch_size=30", "--epoch_scale=0.05"),
        "--dropout_rate=0",
    ),
    "mode_connectivity of networks that vote": (
        *("--stage=ensemble", "--points=3", "--curve_epochs=20", "--dataset=digits"),
        *("--model=mlp_1x512", "--train_examples=100", "--batch_size=48", "--epoch_scale=0.05"),
        *("--large_batch_size=96", "--dropout_rate=0", "--eval_every=100"),
    ),
    "stability from where SGD stopped": (
        *("--stage=escape", "--dataset=digits", "--model=fnn_tenth", "--train_examples=40"),
        *("--learning_rate=0.5", "--start_batch_size=16", "--start_learning_rate=0.5"),
        *("--start_iterations=60", "--stop_loss=0.08", "--iterations=4", "--measure_every=2"),
        "--max_iterations=4",
    ),
}


def run_two(environment, *command, run_dirs):
    """Run `python COMMAND` as two workers, each told to write to a directory."""
    with two(environment, *command, run_dirs=run_dirs) as processes:
        for process in processes:
            _, said = process.communicate(timeout=400)
            assert process.returncode == 0, said


@contextlib.contextmanager
def two(environment, *command, run_dirs):
    """Start `python COMMAND` as two workers; kill at the end what is left of them."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    processes = []
    for number, run_dir in enumerate(run_dirs):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}}
        processes.append(
            subprocess.Popen(
                [
                    sys.executable,
                    *command,
                    "--strategy=multi_worker",
                    f"--run_dir={run_dir}",
                ],
                env={**environment, "TF_CONFIG": json.dumps(task)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()


@pytest.fixture(scope="module")
def run_dirs(environment, tmp_path_factory):
    place = tmp_path_factory.mktemp("workers")
    run_dirs = [place / "worker0", place / "worker1"]
    run_two(environment, "-m", *RANDOMIZATION, run_dirs=run_dirs)
    return run_dirs


@pytest.mark.slow
@pytest.mark.parametrize("name", BINARIES)
def test_every_binary_on_two_workers_equals_one_process(
    environment, python, tmp_path, numbers_of, assert_near, name
):
    """Sums over shares are rounded otherwise, 2^-53 an operation, over few steps.

    Runs that it needs are made beside it by both workers, and are compared too.
    """
    paper = name.split()[0]
    run, one = tmp_path / "two" / "run", tmp_path / "one" / "run"
    run_two(environment, FLOAT64, "1", paper, *BINARIES[name], run_dirs=[run, run])
    done = python(FLOAT64, "1", paper, *BINARIES[name], f"--run_dir={one}")
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "result.json").read_text())["status"] == "complete"
    assert_near(numbers_of(run), numbers_of(one))


@pytest.mark.slow
def test_only_the_chief_writes(run_dirs):
    chief, other = run_dirs
    assert (chief / "result.json").exists()
    assert len((chief / "metrics.jsonl").read_text().splitlines()) == 2
    assert not other.exists()


def test_two_workers_equal_one_process(run_dirs, quick, tmp_path):
    """Sums over examples in another order: 2^-24 relative an operation, over 10 steps; 1e-5."""
    one = quick(
        tmp_path / "run",
        epochs=2,
        weight_decay=0.001,
        corruption="partial_labels",
        corrupt_prob=0.2,
    )
    two = json.loads((run_dirs[0] / "result.json").read_text())
    assert (two["status"], two["epochs"], two["steps"]) == ("complete", 2, one["steps"])
    assert two["train_loss"] == pytest.approx(one["train_loss"], rel=1e-5)
    # An example on the border may fall to either side: one of 300 and one of 359.
    assert two["train_accuracy"] == pytest.approx(one["train_accuracy"], abs=1.01 / 300)
    assert two["test_accuracy"] == pytest.approx(one["test_accuracy"], abs=1.01 / 359)
    weights = []
    for run_dir in (tmp_path / "run", run_dirs[0]):
        reader = tf.train.load_checkpoint(str(run_dir / "checkpoints" / "final"))
        names = sorted(reader.get_variable_to_shape_map())
        kernels = [reader.get_tensor(n) for n in names if "_trainable_variables" in n]
        assert len(kernels) == 4
        weights.append(kernels)
    for value, other in zip(*weights):
        np.testing.assert_allclose(other, value, atol=1e-5)


@pytest.mark.slow
def test_a_killed_worker_started_again_goes_on(environment, python, tmp_path, metrics_of):
    """Killed after its first fifty steps, of SGD in float64; one process is the truth.

    Losses of the two agree to rounding, 2^-53 an operation, over 400 steps.
    """
    run, one = tmp_path / "run", tmp_path / "one"
    command, places = (FLOAT64, "1", *STABILITY), {"run_dirs": [run, run]}
    with two(environment, *command, **places) as processes:
        deadline = time.monotonic() + 200
        while len(metrics_of(run)) < 2:
            assert all(process.poll() is None for process in processes)
            assert time.monotonic() < deadline, "the first fifty steps took too long"
            time.sleep(0.05)
        processes[1].kill()
        _, said = processes[0].communicate(timeout=200)  # it does not wait for ever
    assert "error: another worker was lost; start" in said and "Traceback" not in said
    assert processes[0].returncode == 1 and not (run / "result.json").exists()
    with two(environment, *command, **places) as processes:
        for process in processes:
            _, said = process.communicate(timeout=400)
            assert process.returncode == 0, said
    recorded = json.loads((run / "environment.json").read_text())
    assert recorded["resumed_after_epoch"] >= 1 and recorded["strategy"] == "multi_worker"
    done = python(*command, f"--run_dir={one}")
    assert done.returncode == 0, done.stderr
    assert len(metrics_of(run)) == len(metrics_of(one)) == 9
    for row, other in zip(metrics_of(one), metrics_of(run)):
        assert other == pytest.approx(row, rel=1e-12)
