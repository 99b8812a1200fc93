"""Stages on a few digits: results, runs that are stopped and taken up again, opening, bad input."""

import json
import os
import signal

import numpy as np
import pytest

from repro import command_line
from repro import settings as settings_
from repro.stability.settings import STAGES, Escape, Toy, Train

SMALL = {
    "model": "fnn_tenth",
    "dataset": "digits",
    "train_examples": 40,
    "learning_rate": 0.5,
    "batch_size": 15,
    "momentum": 0.5,
    "stop_loss": 0.0,
    "iterations": 12,
    "measure_every": 5,
    "tolerance": 1e-3,
    "max_iterations": 8,
}
TRAIN = Train(**SMALL)
ESCAPE = Escape(**SMALL, start_learning_rate=0.5, start_iterations=6)


def rows(path):
    """Return the rows of metrics without the times they took."""
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def weights(path, state="final"):
    """Return what a checkpoint holds of the network."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(path / "checkpoints" / state))
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith("model/")]
    return {name: reader.get_tensor(name) for name in names}


def assert_same_run(one, other):
    results = [json.loads((path / "result.json").read_text()) for path in (one, other)]
    for result in results:
        del result["seconds"]
    assert results[0] == results[1]
    assert rows(one) == rows(other)
    for name, value in weights(one).items():
        np.testing.assert_array_equal(value, weights(other)[name])


@pytest.fixture(scope="module")
def whole(make, tmp_path_factory):
    """Return the directory of a run without interruption, by its settings."""
    made = {}

    def whole(settings):
        if settings not in made:
            path = tmp_path_factory.mktemp("whole") / settings.stage
            make(settings, path)
            made[settings] = path
        return made[settings]

    return whole


# --- results --------------------------------------------------------------------------------------


def test_rows_are_where_they_are_due(whole):
    """At multiples of --measure_every and at the end."""
    trained = rows(whole(TRAIN))
    assert [(row["epoch"], row["step"]) for row in trained] == [(0, 0), (1, 5), (2, 10), (3, 12)]
    assert all("train/loss" in row and "test/accuracy" in row for row in trained)


@pytest.mark.slow
def test_rows_of_an_escape_are_where_they_are_due(whole):
    """As of a training, with curvature at multiples of --measure_every."""
    escaped = rows(whole(ESCAPE))
    assert [(row["epoch"], row["step"]) for row in escaped] == [(0, 0), (1, 5), (2, 10), (3, 12)]
    assert all("train/loss" in row and "test/accuracy" in row for row in escaped)
    assert [row["step"] for row in escaped if "curvature/sharpness" in row] == [0, 5, 10]


@pytest.mark.slow
def test_long_pieces_end_at_thousands(make, tmp_path):
    """Where it is not measured there is a row with the running loss alone."""
    changes = {"iterations": 1200, "measure_every": 1100, "batch_size": 2, "train_examples": 4}
    make(TRAIN.replace(**changes), tmp_path / "run")
    kept = [(row["step"], "train/loss" in row) for row in rows(tmp_path / "run")]
    assert kept == [(0, True), (1000, False), (1100, True), (1200, True)]


@pytest.mark.slow
@pytest.mark.parametrize("size", [None, 7])
def test_an_escape_starts_where_gd_or_sgd_ended(whole, size):
    """Its start is what training for as many steps reaches, to the bit."""
    escape = ESCAPE.replace(start_batch_size=size)
    plain = TRAIN.replace(batch_size=size, momentum=0.0, iterations=6)
    start, end = weights(whole(escape), "initial"), weights(whole(plain))
    assert start.keys() == end.keys()
    for name, value in end.items():
        np.testing.assert_array_equal(start[name], value)


@pytest.mark.slow
def test_an_escape_starts_where_lbfgs_ended(make, tmp_path, monkeypatch):
    """It fits all images, in a sharp minimum that SGD at 0.5 leaves; a kill changes no number."""
    from repro.stability import pieces

    settings = ESCAPE.replace(start_optimizer="lbfgs", start_iterations=100)
    make(settings, tmp_path / "run")
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(pieces, "make_steps", lambda *_: 1 / 0)
        make(settings, tmp_path / "killed")
    assert len(rows(tmp_path / "killed")) == 1  # at the minimum
    make(settings, tmp_path / "killed")
    assert_same_run(tmp_path / "run", tmp_path / "killed")
    after = rows(tmp_path / "run")
    assert (after[0]["step"], after[0]["train/accuracy"]) == (0, 1.0)
    assert after[0]["curvature/sharpness"] > 2 / 0.5
    assert 5 * after[0]["train/loss"] < after[-1]["train/loss"]


def test_lbfgs_solves_least_squares():
    """A linear network on more examples than weights, against the normal equations."""
    import keras
    import tensorflow as tf

    from repro.stability import descent
    from repro.stability.data import Examples

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 3)).astype("f"), rng.standard_normal((20, 2)).astype("f")
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, use_bias=False)])
    descent.lbfgs(network, Examples(x, y), descent.squared_error, 100, 0.0)
    solved, rest, *_ = np.linalg.lstsq(x.astype(float), y.astype(float), rcond=None)
    np.testing.assert_allclose(network.get_weights()[0], solved, atol=1e-3)
    loss = float(tf.reduce_mean(descent.squared_error(y, network(x))))
    assert loss == pytest.approx(rest.sum() / 40, rel=1e-6)
    early = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, use_bias=False)])
    early.set_weights([np.zeros((3, 2), "f")])
    descent.lbfgs(early, Examples(x, y), descent.squared_error, 100, 0.99 * np.mean(y**2))
    reached = float(tf.reduce_mean(descent.squared_error(y, early(x))))
    assert loss < reached < 0.99 * np.mean(y**2)  # it ended at once


def test_result_has_the_stable_names(make, tmp_path):
    result = make(
        TRAIN.replace(batch_size=40, iterations=5, momentum=0.0, max_iterations=45, tolerance=0.01),
        tmp_path / "run",
    )
    for name in ("sharpness", "nonuniformity"):
        assert {"value", "residual", "iterations", "converged"} <= set(result[name])
        assert result[name]["converged"] and result[name]["value"] > 0
    assert result["sharpness_margin"] == pytest.approx(result["sharpness"]["value"] * 0.25)
    assert result["nonuniformity_margin"] == 0  # no bound at B = n
    # Without noise the operator is (1 - eta H)^2, whose eigenvalues include that of the sharpness,
    # and 1 where there is no curvature.
    eta_a = 0.5 * result["sharpness"]["value"]
    assert result["theorem1"]["value"] > 0.98 * max(1, (1 - eta_a) ** 2)
    assert 0 <= result["train_accuracy"] <= 1 and result["train_loss"] > 0
    assert result["train_examples"] == 40 and result["test_examples"] == 359


def test_training_is_the_recursion_in_numpy():
    """Four steps of heavy-ball SGD on a linear network, by hand."""
    import keras
    import tensorflow as tf

    from repro.stability import descent
    from repro.stability.data import Examples

    here = tf.distribute.get_strategy()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 3)).astype("f"), rng.standard_normal((5, 2)).astype("f")
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, use_bias=False)])
    network.set_weights([rng.standard_normal((3, 2))])  # whatever other tests have drawn before
    w = network.get_weights()[0].astype(float)
    recipe = descent.Recipe(0.1, 2, 0.9, 3, 0.0)
    velocities = [tf.Variable(tf.zeros((3, 2)))]
    loss = descent.squared_error
    steps = descent.make_steps(network, velocities, Examples(x, y), recipe, loss, here)
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


@pytest.mark.parametrize("iterations", [60, 1])
def test_divergence_is_a_result(make, tmp_path, iterations):
    """Also where no step is left that would notice: the last one's update went too far."""
    result = make(
        TRAIN.replace(learning_rate=1e30, iterations=iterations, momentum=0.0), tmp_path / "run"
    )
    assert result["status"] == "diverged" and result["sharpness"] is None
    assert result["sharpness_margin"] is None and result["test_accuracy"] is None
    assert result["iterations"] == 1 and not result["fitted"]


@pytest.mark.slow
def test_stopping_rule(make, tmp_path):
    result = make(TRAIN.replace(stop_loss=1.0, momentum=0.0), tmp_path / "run")
    assert result["fitted"] and result["iterations"] == 1


def test_toy(make, tmp_path):
    result = make(Toy(), tmp_path / "run")
    assert result["sgd_at_0"] >= 0.99 and result["gd_end"] == pytest.approx(1.0, abs=1e-12)
    assert result["condition"] == pytest.approx(1.7476)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(TRAIN.replace(batch_size=7), id="batches of 7 and 5"),
        pytest.param(
            ESCAPE.replace(iterations=3, measure_every=1), id="all 40, then 15, 15 and 10"
        ),
    ],
)
@pytest.mark.slow
def test_two_replicas_equal_one_device(make, tmp_path, monkeypatch, mirrored, settings):
    """In float64, with shares that must be filled up: 2^-53 an operation, over a dozen steps."""
    import keras

    def float64(_):
        keras.config.set_dtype_policy("float64")

    monkeypatch.setattr(keras.mixed_precision, "set_global_policy", float64)
    paths = [tmp_path / name for name in ("default", "mirrored")]
    for path in paths:
        make(settings.replace(strategy=path.name), path)
    one, two = map(rows, paths)
    assert len(one) == len(two) > 3
    for row, other in zip(one, two):
        assert other == pytest.approx(row, rel=1e-12)
    for name, value in weights(paths[0]).items():
        np.testing.assert_allclose(weights(paths[1])[name], value, rtol=1e-12, atol=1e-14)


# --- stopped and taken up again -------------------------------------------------------------------


class Interrupted(Exception):
    pass


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(TRAIN, id="train"),
        pytest.param(ESCAPE, id="escape", marks=pytest.mark.slow),
    ],
)
def test_interrupted_equals_uninterrupted(whole, make, tmp_path, monkeypatch, settings):
    """Ragged batches (15, 15, 10), momentum, and a piece of work that is lost."""
    from repro.stability import pieces

    look, path = pieces.Descent._look, tmp_path / "run"

    def interrupt(self, number):
        if number == 3:
            raise Interrupted
        return look(self, number)

    monkeypatch.setattr(pieces.Descent, "_look", interrupt)
    with pytest.raises(Interrupted):
        make(settings, path)
    assert len(rows(path)) == 3
    monkeypatch.undo()
    make(settings, path)
    assert_same_run(path, whole(settings))


def stop_in(monkeypatch, name, count):
    """Let this process get SIGTERM in the `count`-th call of a function of the experiment."""
    from repro.stability import experiment

    module, function = {
        "measure": (experiment.stability, "sharpness_and_nonuniformity"),
        "steps": (experiment.descent, "epoch_orders"),
        "evaluate": (experiment.descent, "evaluate"),
    }[name]
    original, calls = getattr(module, function), []

    def stopping(*arguments, **options):
        calls.append(1)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments, **options)

    monkeypatch.setattr(module, function, stopping)
    if name == "steps":
        from repro.stability import pieces
        from repro.training import step

        monkeypatch.setattr(pieces, function, stopping)
        monkeypatch.setattr(step, "SECONDS_PER_CALL", 0.0)  # a step a call


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "where", "count", "kept"),
    [
        (TRAIN, "steps", 8, 2),  # in the midst of the second piece
        # its steps are done, and its row is not there yet
        pytest.param(*(TRAIN, "evaluate", 5, 2), marks=pytest.mark.slow),
        # GD, which goes to the start in a run of its own, takes no orders
        pytest.param(*(ESCAPE, "steps", 2, 1), marks=pytest.mark.slow),
        # the first two are of where GD ended, and of the start
        pytest.param(*(ESCAPE, "measure", 3, 1), marks=pytest.mark.slow),
        pytest.param(*(ESCAPE, "measure", 4, 2), marks=pytest.mark.slow),
    ],
)
def test_sigterm_saves_and_the_run_goes_on(
    whole, make, tmp_path, monkeypatch, settings, where, count, kept
):
    path = tmp_path / "run"
    stop_in(monkeypatch, where, count)
    with pytest.raises(SystemExit) as caught:
        make(settings, path)
    assert caught.value.code == 143
    assert len(rows(path)) == kept and not (path / "result.json").exists()
    monkeypatch.undo()
    make(settings, path)
    assert_same_run(path, whole(settings))


@pytest.mark.slow
def test_a_damaged_checkpoint_is_passed_over(whole, make, tmp_path, monkeypatch):
    """The run goes on from the one before, and ends with the same bits."""
    path = tmp_path / "run"
    stop_in(monkeypatch, "evaluate", 7)
    with pytest.raises(SystemExit):
        make(TRAIN, path)
    monkeypatch.undo()
    saved = sorted((path / "checkpoints").glob("ckpt-*.data-*"), key=lambda f: f.stat().st_mtime)
    assert len(saved) == 2
    saved[-1].write_bytes(saved[-1].read_bytes()[:100])
    make(TRAIN, path)
    assert_same_run(path, whole(TRAIN))


@pytest.mark.slow
def test_sigterm_ends_a_process(stopped, tmp_path):
    """In training that would last for hours, and while it is being measured."""
    run = tmp_path / "run"
    ended = stopped(
        "-m",
        "repro.stability",
        "--dataset=digits",
        "--train_examples=1000",
        "--batch_size=4",
        "--stop_loss=0",
        "--iterations=100_000_000",
        "--measure_every=200",
        f"--run_dir={run}",
        when=lambda: (run / "metrics.jsonl").exists() and len(rows(run)) > 1,
        by=signal.SIGTERM,
    )
    assert ended.returncode == 143, ended.stderr
    assert ended.stderr == ""
    assert list((run / "checkpoints").glob("ckpt-*.index"))


# --- opening --------------------------------------------------------------------------------------


def test_open_run(whole):
    from repro.stability import descent
    from repro.stability.experiment import open_run

    opened = open_run(whole(TRAIN), download=False)
    assert opened.settings == settings_.settle(TRAIN)[0]
    assert [len(part) for part in opened.data] == [40, 40]
    outputs = opened.network(opened.data[0], training=False)
    loss = float(np.mean(opened.loss(opened.data[1], outputs)))
    result = json.loads((whole(TRAIN) / "result.json").read_text())
    assert loss == pytest.approx(result["train_loss"], rel=1e-5)  # float32 against float64 sums
    assert len(open_run(whole(TRAIN), download=False, examples=7).data[0]) == 7
    assert opened.loss is descent.squared_error


def test_runs_that_cannot_be_opened(make, tmp_path):
    from repro.stability.experiment import open_run

    with pytest.raises(ValueError, match="no complete run"):
        open_run(tmp_path / "nowhere")
    make(Toy(iterations=5), tmp_path / "toy")
    with pytest.raises(ValueError, match="--stage=toy, which trains no network"):
        open_run(tmp_path / "toy")
    make(TRAIN.replace(learning_rate=1e30, momentum=0.0), tmp_path / "diverged")
    with pytest.raises(ValueError, match="left no network"):
        open_run(tmp_path / "diverged", download=False)


# --- data and settings ----------------------------------------------------------------------------


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


def named(settings):
    return settings_.name(settings_.settle(settings)[0])


def test_equal_settings_are_one_run():
    """What is said and what follows from it, in either wording; other settings are other runs."""
    assert named(Train()) == named(Train(batch_size=1000))
    assert named(Train(dataset="cifar10")) == named(Train(dataset="cifar10", classes=(0, 1)))
    assert named(Train()) == named(Train(classes=tuple(range(10))))
    different = [
        Train(),
        Train(wrong_examples=200),
        Train(gain=0.5),
        Train(momentum=0.9),
        Escape(),
        Toy(),
        Train(classes=(1, 0)),
        Train(dataset="cifar10"),
        Train(batch_size=4),
        Train(seed=1),
    ]
    assert len({named(settings) for settings in different}) == len(different)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 1001}, "--batch_size=1001 is larger than the 1000 examples"),
        ({"classes": (1, 1)}, "--classes=1,1 must be two different labels or more"),
        ({"classes": (3,)}, "--classes=3 must be two different labels or more"),
        ({"classes": (0, 10)}, "--classes=0,10: fashion_mnist has the labels 0 to 9"),
        ({"dataset": "cifar10", "wrong_examples": 10}, "--wrong_examples=10 wants three classes"),
        ({"classes": (0, 1), "wrong_examples": 1}, "--wrong_examples=1 wants three classes"),
    ],
)
def test_settings_that_cannot_go_together(changes, message):
    with pytest.raises(ValueError, match=message):
        settings_.settle(Train(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "--start_batch_size=1001 is larger than the 1000 examples"),
        ({"start_optimizer": "lbfgs"}, "--start_optimizer=lbfgs takes all images: leave one out"),
    ],
)
def test_starts_that_cannot_be(changes, message):
    with pytest.raises(ValueError, match=message):
        settings_.settle(Escape(start_batch_size=1001, **changes))


def test_a_start_of_all_images_is_that_of_gd():
    assert settings_.settle(Escape(start_batch_size=1000)) == settings_.settle(Escape())


def test_more_images_than_there_are(make, tmp_path):
    with pytest.raises(ValueError, match="2000 training images are asked for"):
        make(TRAIN.replace(train_examples=2000), tmp_path / "run")


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--stage=measure", "--run=RUN"], "--stage=measure is gone: use tools/measure RUN"),
        (
            ["--stage=toy", "--strategy=mirrored"],
            "--strategy is not for --stage=toy: all its runs take a second of one processor",
        ),
        (
            ["--strategy=tpu"],
            "--strategy=tpu is not for stability: a TPU wants batches of one size, and has no "
            "float64 for proofs nor full float32 for curvature; choose from default, mirrored",
        ),
        (
            ["--stage=toy", "--momentum=0.9"],
            "--momentum is not for --stage=toy, but for --stage=train and escape",
        ),
    ],
)
def test_flags_that_are_refused(flags, line):

    with pytest.raises(ValueError) as caught:
        command_line.parse(STAGES, flags)
    assert str(caught.value).startswith(line)
