"""tools/measure on runs of seconds: known values, files beside the run, one line for errors."""

import json
import shutil

import numpy as np
import pytest

from repro.stability.settings import Toy, Train
from repro.tools import measure, measuring

SETTINGS = Train(
    dataset="digits",
    train_examples=40,
    learning_rate=0.5,
    batch_size=15,
    momentum=0.5,
    stop_loss=0.0,
    iterations=12,
    max_iterations=60,
)


@pytest.fixture(scope="module")
def run(make, tmp_path_factory):
    path = tmp_path_factory.mktemp("outputs") / "stability" / "run"
    make(SETTINGS, path)
    return path


@pytest.fixture(scope="module")
def measured(run):
    before = {file.name: file.read_bytes() for file in run.iterdir() if file.is_file()}
    measure.main(
        [
            str(run),
            "--download=false",
            "--eigenvalues=3",
            "--probes=2",
            "--max_iterations=60",
        ]
    )
    after = {file.name for file in run.iterdir() if file.is_file()}
    assert after - set(before) == {"measure.json", "spectrum.png", "spectrum.pdf"}
    assert all((run / name).read_bytes() == content for name, content in before.items())
    return json.loads((run / "measure.json").read_text())


def test_a_tpu_is_no_choice(capsys):
    with pytest.raises(SystemExit):
        measure.main(["RUN", "--strategy=tpu"])
    assert "invalid choice: 'tpu'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        measure.main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "{default,mirrored,multi_worker}" in said and "no tpu, as it multiplies float32" in said


@pytest.mark.slow
def test_it_finds_what_the_run_found(run, measured):
    result = json.loads((run / "result.json").read_text())
    for name in ("sharpness", "nonuniformity"):
        assert measured[name]["converged"]
        assert measured[name]["value"] == pytest.approx(result[name]["value"], rel=1e-3)
        margin = f"{name}_margin"
        assert measured[margin] == pytest.approx(result[margin], rel=1e-3)
    for name in ("parameters", "paper", "run"):
        assert measured[name] == {**result, "paper": "stability", "run": "run"}[name]
    assert measured["examples"] == 40
    assert measured["norms"]["frobenius"] == pytest.approx(result["weight_norm"], rel=1e-6)
    assert measured["margins"]["positive"] == pytest.approx(result["train_accuracy"])


@pytest.mark.slow
def test_numbers_agree_with_each_other(measured):
    top, low = measured["eigenvalues"], measured["smallest_eigenvalue"]
    assert len(top) == 3 and top == sorted(top, reverse=True)
    assert top[0] == pytest.approx(measured["sharpness"]["value"], rel=1e-3)
    assert low["value"] <= top[-1] and low["residual"] >= 0
    nodes, weights = (np.array(measured["density"][name]) for name in ("nodes", "weights"))
    assert nodes.shape == weights.shape and len(nodes) == 2
    np.testing.assert_allclose(weights.sum(1), 1)
    assert nodes.max() <= top[0] * (1 + 1e-6)  # Ritz values lie within the spectrum


def test_the_gradient_is_that_of_a_linear_network(float64):
    """Of mean squares over 600 examples, more than are taken at once, in closed form."""
    import keras
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((600, 4)), rng.standard_normal((600, 3))
    inputs = keras.Input((4,), dtype="float64")
    network = keras.Sequential([inputs, keras.layers.Dense(3, use_bias=False)])
    error = x @ network.get_weights()[0] - y

    def loss(targets, outputs):
        return tf.reduce_sum(tf.square(outputs - targets), axis=-1)

    expected = np.linalg.norm(2 / 600 * x.T @ error)
    assert measuring.gradient_norm(network, loss, (x, y)) == pytest.approx(expected, rel=1e-12)


def test_margins_are_for_classes_only():
    import keras

    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, use_bias=False)])
    network.set_weights([np.eye(3)])
    x = np.array([[2.0, 0.5, 1.0], [0.0, 1.0, 3.0]], "float32")
    for targets in (np.array([0, 1]), np.eye(3)[[0, 1]]):  # margins 1 and -2
        found = measuring.margins_of(network, (x, targets))
        assert found["mean"] == pytest.approx(-0.5) and found["positive"] == 0.5
    for targets in (np.array([[0.3], [1.0]]), x, np.array([[1, 1, 0], [0, 0, 0]])):
        assert measuring.margins_of(network, (x, targets)) is None


@pytest.mark.slow
def test_whose_run_it_is(run, tmp_path):
    """The record says it, wherever the run lies; without one the folder's name does."""
    moved = tmp_path / "randomization" / "elsewhere"
    shutil.copytree(run, moved)
    assert measure.paper_of(moved) == "stability"
    (moved / "environment.json").unlink()
    assert measure.paper_of(moved) == "randomization"
    with pytest.raises(ValueError, match="whose run is"):
        measure.paper_of(moved.rename(tmp_path / "nowhere"))


def test_one_line_for_what_cannot_be_measured(make, tmp_path):
    make(Toy(iterations=5), tmp_path / "toy")
    make(SETTINGS.replace(learning_rate=1e30), tmp_path / "diverged")
    for name, words in (
        ("toy", "trains no network"),
        ("diverged", "left no network"),
        ("none", "holds no run"),
    ):
        with pytest.raises(SystemExit) as caught:
            measure.main([str(tmp_path / name), "--download=false"])
        line = caught.value.code
        assert line.startswith("error: ") and words in line and "\n" not in line
        assert not (tmp_path / name / "measure.json").exists()
    with pytest.raises(SystemExit) as caught:
        measure.main([str(tmp_path), "--eigenvalues=0"])
    assert caught.value.code == 2


@pytest.mark.slow
def test_it_works_on_other_papers(quick, tmp_path):
    """Cross-entropies, and labels that are numbers."""
    quick(tmp_path / "run", epochs=1)
    measure.main(
        [
            str(tmp_path / "run"),
            "--download=false",
            "--examples=50",
            "--eigenvalues=1",
            "--probes=1",
            "--max_iterations=4",
        ]
    )
    measured = json.loads((tmp_path / "run" / "measure.json").read_text())
    assert measured["paper"] == "randomization" and measured["examples"] == 50
    assert measured["eigenvalues_converged"] is False  # four products are few, and it says so
    assert measured["margins"] and measured["gradient_norm"] > 0
    assert measured["density"]["second_moment_standard_error"] is None  # of a single probe
