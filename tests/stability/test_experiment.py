"""repro.stability on a few digits: results, resuming bit by bit, measuring, the toy, bad input."""

import json
import os

import numpy as np
import pytest

from repro import common_flags
from repro.stability import experiment as stability

SETTINGS = {
    "stage": "train", "model": "fnn", "dataset": "digits", "classes": None, "train_split": "train",
    "test_split": "test", "train_examples": 40, "wrong_examples": 0, "learning_rate": 0.5,
    "batch_size": 15, "momentum": 0.5, "gain": 1.0, "stop_loss": 0.0, "iterations": 12,
    "measure_every": 5, "start_learning_rate": 0.5, "start_iterations": 6, "tolerance": 1e-3,
    "max_iterations": 8, "run": None, "eigenvalues": 2, "probes": 2, "seed": 0,
    "strategy": "default", "deterministic": False, "data_dir": None, "download": False,
    "output_dir": "outputs", "run_dir": None, "wandb_project": None, "profile_dir": None,
    "checkpoint_every": 4,
}  # fmt: skip


@pytest.fixture
def execute(tmp_path):
    """Run the binary's experiment in this process: execute(name, **flags) -> result, directory."""

    def execute(name, **changes):
        assert set(changes) <= set(SETTINGS)
        values = {**SETTINGS, **changes, "run_dir": str(tmp_path / name)}
        experiment = stability.EXPERIMENTS[values["stage"]]
        result = common_flags.run_binary(
            stability.MODULE, values, {}, tmp_path / "none", name, experiment
        )
        return result, tmp_path / name

    return execute


def rows(path):
    """Return the rows of metrics without the times they took."""
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def weights(path):
    """Return what the final checkpoint holds of the network."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(path / "checkpoints" / "final"))
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith("model/")]
    return {name: reader.get_tensor(name) for name in names}


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("stage", ["train", "escape"])
def test_interrupted_equals_uninterrupted(execute, monkeypatch, stage):
    """Ragged batches (15, 15, 10), momentum, a stop between measurements and checkpoints."""
    from repro.stability import phases

    whole, whole_path = execute("whole", stage=stage)
    save, calls = phases.tf.train.CheckpointManager.save, []

    def save_and_stop(self, *arguments, **options):
        save(self, *arguments, **options)
        calls.append(1)
        if len(calls) == 4:
            raise Interrupted

    monkeypatch.setattr(phases.tf.train.CheckpointManager, "save", save_and_stop)
    with pytest.raises(Interrupted):
        execute("parts", stage=stage)
    monkeypatch.undo()
    import gc

    gc.collect()  # lets go of the directory's lock
    parts, parts_path = execute("parts", stage=stage)
    assert len(calls) == 4
    drop = ("seconds", "settings")
    assert {k: v for k, v in parts.items() if k not in drop} == {
        k: v for k, v in whole.items() if k not in drop
    }
    assert rows(parts_path) == rows(whole_path)
    for name, value in weights(whole_path).items():
        np.testing.assert_array_equal(weights(parts_path)[name], value)


def test_result_has_the_stable_names(execute):
    result, path = execute("train", batch_size=40, iterations=5, momentum=0.0, max_iterations=60)
    for name in ("sharpness", "nonuniformity"):
        assert set(result[name]) == {"value", "residual", "iterations", "converged"}
        assert result[name]["converged"] and result[name]["value"] > 0
    assert result["sharpness_margin"] == pytest.approx(result["sharpness"]["value"] * 0.25)
    assert result["nonuniformity_margin"] == 0  # no bound at B = n
    assert 0 <= result["train_accuracy"] <= 1 and result["train_loss"] > 0
    assert result["train_examples"] == 40 and result["test_examples"] == 359
    # The run can be measured again, to the same numbers.
    limits = {"probes": 1, "max_iterations": 60}
    again, measured = execute("measured", stage="measure", run=str(path), **limits)
    for name in ("sharpness", "nonuniformity"):
        assert again[name]["value"] == pytest.approx(result[name]["value"], rel=1e-3)
    assert again["eigenvalues"][0] == pytest.approx(again["sharpness"]["value"], rel=1e-3)
    assert again["lowest_eigenvalue"] <= again["eigenvalues"][-1]
    assert (measured / "spectrum.png").exists() and (measured / "arrays.npz").exists()


def test_training_is_the_recursion_in_numpy(execute):
    """Three steps of heavy-ball SGD on a linear network, by hand."""
    import keras
    import tensorflow as tf

    from repro.stability.data import Examples
    from repro.stability import descent

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 3)).astype("f"), rng.standard_normal((5, 2)).astype("f")
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, use_bias=False)])
    w = network.get_weights()[0].astype(float)
    phase = descent.Phase(0.1, 2, 0.9, 3, 0.0)
    velocities = [tf.Variable(tf.zeros((3, 2)))]
    steps = descent.make_steps(network, velocities, Examples(x, y), phase, descent.squared_error)
    order = descent.epoch_orders(5, range(2), [0])
    assert order[0].tolist() == [0, 1, 2, 3, 4] != order[1].tolist()
    step, running, finite = steps(
        tf.constant(order), tf.constant(0, tf.int64), tf.constant(4, tf.int64), tf.constant(np.inf)
    )
    assert int(step) == 4 and bool(finite)
    v, average = 0.0, None
    for batch in ([0, 1], [2, 3], [4], order[1][:2]):
        error = x[batch] @ w - y[batch]
        loss = np.mean(error**2)
        average = loss if average is None else 0.9 * average + 0.1 * loss
        v = 0.9 * v + 2 / error.size * x[batch].T @ error
        w = w - 0.1 * v
    np.testing.assert_allclose(network.get_weights()[0], w, rtol=1e-5)
    assert float(running) == pytest.approx(average, rel=1e-5)


def test_divergence_is_a_result(execute):
    result, _ = execute("diverged", learning_rate=1e6, iterations=60, momentum=0.0)
    assert result["status"] == "diverged" and result["sharpness"] is None
    assert result["sharpness_margin"] is None and result["test_accuracy"] is None


def test_stopping_rule(execute):
    result, _ = execute("stopped", stop_loss=1.0, momentum=0.0)
    assert result["fitted"] and result["iterations"] == 1


def test_toy(execute):
    result, _ = execute("toy", stage="toy", learning_rate=0.7, iterations=500)
    assert result["sgd_at_0"] >= 0.99 and result["gd_end"] == pytest.approx(1.0, abs=1e-12)
    assert result["condition"] == pytest.approx(1.7476)


def test_wrong_labels_are_those_of_the_released_code():
    from repro.stability.data import wrong_labels

    labels = np.random.default_rng(0).integers(0, 10, 500)
    wrong = wrong_labels(labels, 9)
    assert (wrong != labels).all() and wrong.max() == 8  # its bug: class 9 is never drawn
    assert (wrong_labels(labels, 9) == wrong).all()


@pytest.mark.real_data
@pytest.mark.skipif("REPRO_DATA_DIR" not in os.environ, reason="no prepared Fashion-MNIST")
def test_wrong_labels_of_fashion_mnist():
    """The published draw: labels 31 25 28 16 10 30 16 21 23 0 for images 1000 to 1199.

    Those are images of the original files; tensorflow-datasets stores them by the hash of their
    number there, which is undone here.
    """
    from tensorflow_datasets.core import hashing

    from repro.data import datasets
    from repro.stability import data as regression

    images, _ = datasets.load(
        "fashion_mnist", os.environ["REPRO_DATA_DIR"], download=False, test_split="test[:10]"
    )
    hasher = hashing.Hasher("train")
    stored = np.argsort([hasher.hash_key(number) for number in range(len(images.labels))])
    labels = np.empty_like(images.labels)
    labels[stored] = images.labels
    assert labels[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]  # of the original files
    wrong = regression.wrong_labels(labels[1000:1200], 9)
    assert np.bincount(wrong).tolist() == [31, 25, 28, 16, 10, 30, 16, 21, 23]


def test_bad_input(execute, tmp_path):
    with pytest.raises(ValueError, match="batch_size=41 is larger than the 40 examples"):
        execute("large batch", batch_size=41)
    with pytest.raises(ValueError, match="2000 training images are asked for"):
        execute("many", train_examples=2000)
    with pytest.raises(ValueError, match="no complete run"):
        execute("nothing", stage="measure", run=str(tmp_path / "nowhere"))


def test_one_line_for_a_users_mistake(python):
    done = python("-m", "repro.stability", "--stage=measure")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: --stage=measure wants --run")
