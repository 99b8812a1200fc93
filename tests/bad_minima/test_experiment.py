"""Liu et al.'s binary: what a run trains on and measures, its starts, and how it resumes."""

import contextlib
import gc
import inspect
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro.bad_minima import experiment as bad_minima
from repro import common_flags, measurement, models
from repro.bad_minima import data as relabelled
from repro.data.datasets import Images
from repro.models.layers import batch_norm
from repro.training import optimizers, step
from repro.bad_minima import recipe as recipes, starts
from repro.training.runs import RunDirectory
from repro.training.strategy import get_strategy

TIMES = ("seconds", "start", "end", "pretraining")
SETTINGS = {
    "model": "resnet18", "width": 1.0, "dataset": "digits", "train_split": "train",
    "test_split": "test", "train_examples": 60, "init": "adversarial", "augment": False,
    "l2": 0.0, "momentum": 0.0, "epochs": 4, "learning_rate": 0.1, "drop_at": ["2", "3"],
    "learning_rate_drop": 0.1, "batch_size": 32, "eval_every": 2, "replicas": 1, "zero_out": 0.1,
    "zero_unit": "entries", "pretrain_split": None, "pretrain_epochs": 4,
    "pretrain_learning_rate": 0.1, "pretrain_drop_at": ["3"], "pretrain_accuracy": 0.9999,
    "start": None, "reset_batch_norm": False, "shuffle": True, "batch_statistics": False,
    "sharpness_examples": 0, "seed": 0, "strategy": "default", "precision": "float32",
    "xla": False, "deterministic": False, "data_dir": None, "download": False,
    "checkpoint_every": 1, "output_dir": "outputs", "wandb_project": None, "profile_dir": None,
}  # fmt: skip


class KilledError(BaseException):
    """Stands for a kill; no handler of ordinary errors may catch it."""


def tiny_network(name, input_shape, num_classes, **options):
    """Stands for a network with batch norm: seconds instead of minutes."""
    inputs = keras.Input(input_shape)
    x = batch_norm("norm")(keras.layers.Conv2D(4, 5, 3, use_bias=False, name="conv")(inputs))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    return keras.Model(inputs, keras.layers.Dense(num_classes, name="logits")(x))


@pytest.fixture(scope="module")
def train():
    """train(run_dir, **flags) -> result, as the binary does after parsing, of a tiny network."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(models, "build", tiny_network)

        def run(run_dir, **changes):
            assert not set(changes) - set(SETTINGS)
            gc.collect()  # a run broken off by an exception holds its directory until then
            values = {**SETTINGS, **changes, "run_dir": str(run_dir)}
            try:
                return common_flags.run_binary(
                    bad_minima.MODULE, values, {}, bad_minima.TUNED, "name", bad_minima.run
                )
            finally:
                keras.config.set_dtype_policy("float32")

        yield run


def rows(run_dir):
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines]


def variables(directory, name="final"):
    """Weights and moving statistics in a checkpoint, by path."""
    network = tiny_network("", (28, 28, 3), 10)
    saved = tf.train.Checkpoint(model=network).restore(str(directory / "checkpoints" / name))
    saved.assert_existing_objects_matched().expect_partial()
    return {v.path: v.numpy() for v in network.variables}


def assert_same_weights(one, other):
    assert set(one) == set(other)
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.fixture(scope="module")
def complete(train, tmp_path_factory):
    place = tmp_path_factory.mktemp("complete")
    result = train(place / "run")
    (start,) = place.glob("start-*")
    return result, place / "run", start


# --- what a run leaves ----------------------------------------------------------------------------


def test_result_has_what_others_build_on(complete):
    result, run_dir, start = complete
    assert result == json.loads((run_dir / "result.json").read_text())
    for share in ("train_accuracy", "test_accuracy", "pretrain_accuracy"):
        assert 0 <= result[share] <= 1
    readings = {"frobenius", "frobenius_squared", "log10_product", "log10_product_squared"}
    paths = {"log10_path_l1", "log10_path_l2"}
    assert set(result["norms"]) == readings | paths | {"folded"}
    assert set(result["norms"]["folded"]) == readings
    assert 0 < result["distance_without_bn"] <= result["distance"]
    assert result["relative_distance"] == pytest.approx(
        result["distance"] / result["initial_norms"]["frobenius"]
    )
    assert result["rescaling"]["folding_error"] < 1e-4
    assert result["pretraining"]["directory"] == start.name
    assert result["margins"]["positive"] <= result["train_accuracy"]


def test_metrics_begin_with_the_start(complete):
    result, run_dir, start = complete
    lines = rows(run_dir)
    assert [line["epoch"] for line in lines] == [0, 2, 4]
    assert lines[0]["distance/all"] == 0
    assert lines[-1]["distance/all"] == pytest.approx(result["distance"])
    assert lines[-1]["margins/median"] == pytest.approx(result["margins"]["median"])
    assert lines[-1]["norms/folded_log10_product"] == pytest.approx(
        result["norms"]["folded"]["log10_product"]
    )
    # The start is tested on the same images at its end.
    trained = json.loads((start / "result.json").read_text())
    assert lines[0]["test/accuracy"] == trained["test_accuracy"]


# --- the hand-over --------------------------------------------------------------------------------


def test_weights_and_statistics_are_handed_over(complete):
    """All of the model's variables, moving statistics too, which pre-training has changed."""
    _, run_dir, start = complete
    before, after = variables(start), variables(run_dir, "initial")
    assert_same_weights(before, after)
    statistics = [v for n, v in after.items() if len(v.shape) == 1 and v.shape == (4,)]
    assert len(statistics) == 4  # gamma, beta, moving mean, moving variance
    assert all((v != 0).any() and (v != 1).any() for v in statistics)


def test_statistics_can_be_forgotten(complete, train, tmp_path):
    _, _, start = complete
    train(tmp_path / "run", start=str(start), reset_batch_norm=True, epochs=0)
    before, after = variables(start), variables(tmp_path / "run", "initial")
    changed = [name for name in before if (before[name] != after[name]).any()]
    assert len(changed) == 2
    values = {tuple(after[name]) for name in changed}
    assert values == {(0,) * 4, (1,) * 4}


def test_a_start_is_found_again(complete, train):
    """Other training, same pre-training: no second start, and its files stay as they are."""
    _, run_dir, start = complete
    before = {path: path.stat().st_mtime_ns for path in start.rglob("*") if path.name != "lock"}
    result = train(run_dir.parent / "other", momentum=0.9, l2=1e-3, epochs=1)
    assert result["pretraining"]["directory"] == start.name
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list(run_dir.parent.glob("start-*"))) == 1


def test_pretraining_settings_name_the_start(complete, train, tmp_path):
    train(tmp_path / "run", zero_out=0.2, epochs=0)
    (start,) = tmp_path.glob("start-*")
    assert start.name != complete[2].name


def test_a_random_start_ignores_the_adversary(train, tmp_path):
    result = train(tmp_path / "run", init="random", epochs=0)
    assert result["pretraining"] is None and result["pretrain_accuracy"] is None
    assert not list(tmp_path.glob("start-*"))
    keras.utils.set_random_seed(0)
    fresh = tiny_network("", (28, 28, 3), 10).get_weights()
    assert sorted(w.sum() for w in fresh) == pytest.approx(
        sorted(v.sum() for v in variables(tmp_path / "run", "initial").values())
    )


def test_a_start_of_another_architecture(complete, tmp_path):
    start = starts.read(complete[2])
    network = tiny_network("", (28, 28, 3), 10)
    wanted = {**start.result["architecture"], "model": "resnet50", "num_classes": 100}
    with pytest.raises(ValueError) as caught:
        starts.load(start, network, wanted)
    message = str(caught.value)
    assert "\n" not in message
    assert "model resnet18 instead of resnet50, num_classes 10 instead of 100" in message


def test_a_start_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="holds no complete pre-trained start"):
        starts.read(tmp_path)


# --- resuming -------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage, epoch", [("start", 4), ("run", 2), ("run", 4)])
def test_in_parts_equals_in_full(complete, train, tmp_path, monkeypatch, stage, epoch):
    """Killed while it pre-trains or trains, after metrics and before the checkpoint."""
    result, run_dir, start = complete
    log = RunDirectory.log

    def log_and_die(directory, row):
        log(directory, row)
        if directory.path.name.startswith(stage) and row["epoch"] == epoch:
            raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(RunDirectory, "log", log_and_die)
        with contextlib.suppress(KilledError):
            train(tmp_path / "run")
    assert not (tmp_path / "run" / "result.json").exists()
    again = train(tmp_path / "run")
    for name, one in (("run", run_dir), (start.name, start)):
        assert rows(one) == rows(tmp_path / name)
        assert_same_weights(variables(one), variables(tmp_path / name))
    kept = [key for key in result if key not in TIMES]
    assert {k: again[k] for k in kept} == {k: result[k] for k in kept}


# --- what it trains on, and how -------------------------------------------------------------------

DATA = {"dataset": "digits", "train_split": "train", "test_split": "test", "train_examples": 50,
        "batch_size": 20, "seed": 0}  # fmt: skip


def test_random_labels_are_those_of_the_copies():
    data = relabelled.random_labels(**DATA, replicas=2, zero_out=0.1, zero_unit="entries")
    assert data.images.shape == (100, 28, 28, 3)
    assert data.facts["zeroing"]["entries_per_copy"] == [235, 235]  # int(0.1 * 2352)
    assert abs(data.facts["correct_labels"] - 0.1) < 4 * (0.1 * 0.9 / 100) ** 0.5
    assert len(np.unique(data.labels)) == 10


@pytest.fixture
def white(monkeypatch):
    """Stands for CIFAR-10: white images of 32x32."""
    images = Images(np.full((400, 32, 32, 3), 255, np.uint8), np.zeros(400, int), np.arange(400))
    monkeypatch.setattr(relabelled, "splits", lambda *_: (images, images))
    return {**DATA, "dataset": "cifar10"}


def test_black_is_black_before_normalisation(white):
    """A zeroed entry ends at -mean / std of its channel, by the authors' constants."""
    data = relabelled.random_labels(**white, replicas=1, zero_out=0.5, zero_unit="pixels")
    images, black = np.asarray(data.images), [-0.4914 / 0.2023, -0.4822 / 0.1994, -0.4465 / 0.2010]
    zeroed = np.isclose(images, black, rtol=1e-5).all(-1)
    np.testing.assert_array_equal(zeroed.sum((1, 2)), 512)
    assert images[~zeroed].min() > 0


def test_normalisation_by_channel():
    """Datasets without the authors' constants have mean 0 and deviation 1 in each channel."""
    images = np.asarray(relabelled.true_labels(**DATA).images, np.float64)
    np.testing.assert_allclose(images.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(images.std((0, 1, 2)), 1, atol=1e-5)


def test_an_unshuffled_epoch_goes_by_the_data():
    data = relabelled.true_labels(**DATA, shuffle=False)
    seen = np.concatenate([labels for _, labels in data.train.epoch(3)])
    np.testing.assert_array_equal(seen, np.resize(data.labels, 60))


def test_crops_are_padded_by_four(white):
    """Of 9 x 9 shifts, a white image shows up to 4 black rows at one edge or the other."""
    data = relabelled.true_labels(**white, augment=True)
    images = np.concatenate([images for images, _ in data.train.epoch(1)])[:400]
    dark = images[..., 0] < 0
    for lines in (dark.all(2), dark.all(1)):  # rows, columns
        first, last = lines[:, :16].sum(1), lines[:, 16:].sum(1)
        assert set(zip(first, last)) == {(max(n, 0), max(-n, 0)) for n in range(-4, 5)}


def test_the_rate_drops_after_the_epochs():
    """350 epochs of 391 steps, after 150 and 250: the first step of epoch 151 is at the new rate"""
    schedule = optimizers.step_decay(0.1, 0.1, [150, 250], 391)
    for epoch, rate in ((1, 0.1), (150, 0.1), (151, 0.01), (250, 0.01), (251, 0.001), (350, 0.001)):
        for number in ((epoch - 1) * 391, epoch * 391 - 1):
            assert float(schedule(number)) == pytest.approx(rate)


def test_three_steps_by_hand(tmp_path):
    """w <- w + v, v <- m v - lr (g + l2 w), on all weights, betas and biases too; g is 0 here."""
    inputs = keras.Input((28, 28, 3))
    x = keras.layers.Dense(10, bias_initializer="ones")(keras.layers.Flatten()(inputs))
    norm = batch_norm("norm")
    model = keras.Model(inputs, 0.0 * norm(x))
    norm.beta.assign([0.5] * 10)
    data = relabelled.true_labels(**DATA)
    assert data.train.steps == 3
    before = [v.numpy() for v in model.trainable_variables]
    assert len(before) == 4 and all(np.abs(value).max() > 0 for value in before)
    recipes.fit_by_sgd(
        model, data.train, data.evaluations, RunDirectory(tmp_path / "run", {}), epochs=1,
        learning_rate=0.1, drop_at=[], learning_rate_drop=0.1, momentum=0.9, l2=0.5, eval_every=1,
        precision="float32", xla=False, strategy=get_strategy("default"), environment={},
        checkpoint_every=1,
    )  # fmt: skip
    for value, variable in zip(before, model.trainable_variables):
        velocity = 0.0
        for _ in range(3):
            velocity = 0.9 * velocity - 0.1 * 0.5 * value
            value = value + velocity
        np.testing.assert_allclose(variable, value, rtol=1e-5, atol=1e-7)


def test_batch_statistics_are_used_and_not_kept():
    keras.utils.set_random_seed(0)
    model = tiny_network("", (28, 28, 3), 10)
    data = relabelled.true_labels(**DATA)
    evaluate = step.make_evaluate(model, get_strategy("default"), batch_statistics=True)
    before = model.get_weights()
    found = evaluate(data.test_batches)
    for one, other in zip(before, model.get_weights()):
        np.testing.assert_array_equal(one, other)
    lost, seen = 0.0, 0.0
    for images, labels, weights in data.test_batches.dataset():
        losses = step.cross_entropy(labels, model(images, training=True))
        lost += float(tf.reduce_sum(weights * losses))
        seen += float(tf.reduce_sum(weights))
    assert found["loss"] == pytest.approx(lost / seen, rel=1e-5)
    running = step.make_evaluate(model, get_strategy("default"))(data.test_batches)
    assert abs(found["loss"] / running["loss"] - 1) > 1e-3


def test_a_start_that_is_not_reached_is_said(train, tmp_path, capsys):
    result = train(tmp_path / "run", epochs=0, pretrain_epochs=1, eval_every=1)
    assert not result["pretraining"]["reached"]
    assert "has not reached its pretrain_accuracy" in capsys.readouterr().out
    whole = train(tmp_path / "whole", epochs=0, pretrain_epochs=1, pretrain_accuracy=0.0)
    assert whole["pretraining"]["reached"] and whole["pretraining"]["epochs"] == 1
    assert "not reached" not in capsys.readouterr().out


def test_networks_without_a_path_norm_are_refused_before_they_train(train, tmp_path, monkeypatch):
    def clipped(name, input_shape, num_classes, **options):
        network = tiny_network(name, input_shape, num_classes)
        return keras.Sequential([network.input, *network.layers[1:], keras.layers.ReLU(6.0)])

    monkeypatch.setattr(models, "build", clipped)
    with pytest.raises(ValueError, match="no path norm through"):
        train(tmp_path / "run")
    assert not list(tmp_path.glob("*/checkpoints/*"))


def test_a_rate_that_never_drops(train, tmp_path):
    result = train(tmp_path / "run", init="random", drop_at=[])
    assert result["epochs"] == 4 and optimizers.step_decay(0.1, 0.1, [], 391) == 0.1


def test_workers_wait_for_the_chiefs_result(tmp_path, monkeypatch):
    """A worker that has trained along goes on only when result.json, written last, is there."""
    path, looks = tmp_path / "start", []

    def look(seconds):
        looks.append(seconds)
        if len(looks) == 2:
            (path / "checkpoints").mkdir(parents=True)
            (path / "checkpoints" / "final.index").touch()
            (path / "result.json").write_text(json.dumps({"status": "complete"}))

    monkeypatch.setattr(starts.time, "sleep", look)
    found = starts.find_or_train(path, {}, lambda _: {"status": "complete"}, chief=False)
    assert len(looks) == 2 and found.result["status"] == "complete"


def test_on_several_devices(complete, train, tmp_path, mirrored):
    """Two virtual CPUs: the same numbers up to rounding, start, hand-over and norms included."""
    result = train(tmp_path / "run", strategy="mirrored")
    # Sums over two replicas are rounded otherwise; 16 steps at a rate of 0.1 keep that small.
    for name in ("train_loss", "distance"):
        assert result[name] == pytest.approx(complete[0][name], rel=1e-3)
    for name in ("frobenius", "log10_path_l2"):
        assert result["norms"][name] == pytest.approx(complete[0]["norms"][name], rel=1e-3)


def test_sharpness_is_measured_where_asked(complete, train):
    """The largest eigenvalue at the end, on the first images: a number with its residual."""
    run_dir = complete[1].parent / "sharp"
    measured = train(run_dir, sharpness_examples=20)["sharpness"]
    assert measured["converged"] and measured["value"] > 0
    assert "sharpness" not in complete[0]


def test_sharpness_is_that_of_float32_weights_wherever_they_trained(train, tmp_path, mirrored):
    """Half-precision products would be off by 1e-2, not by Lanczos's tolerance of 1e-4."""
    results = [
        train(tmp_path / kind, init="random", epochs=0, sharpness_examples=40, **{flag: kind})
        for flag, kind in (("strategy", "default"), ("strategy", "mirrored"),
                           ("precision", "mixed_bfloat16"))
    ]  # fmt: skip
    plain, *others = (result["sharpness"]["value"] for result in results)
    assert others == pytest.approx([plain, plain], rel=1e-3)


def test_a_run_can_be_measured_later(complete):
    """The network at its end on the whole training set: its accuracy is the run's."""
    trained = measurement.open_run(str(complete[1]), data_dir=None, download=False, examples=60)
    images, labels = trained.data
    predicted = np.argmax(trained.network(images, training=False), axis=-1)
    assert (predicted == labels).mean() == pytest.approx(complete[0]["train_accuracy"])


def test_run_takes_every_setting():
    """The experiment's arguments are the flags of the same names: none is forgotten or unused."""
    parameters = set(inspect.signature(bad_minima.run).parameters)
    settings = set(common_flags.settings({**SETTINGS, "run_dir": None}))
    supplied = {*common_flags.PLACES, "checkpoint_every", "run_directory", "environment"}
    assert parameters == settings | supplied


def test_waiting_for_a_start_that_another_process_trains(tmp_path, monkeypatch, capsys):
    """It is held at first; once it is let go it is complete, and nothing is trained."""
    holder = RunDirectory(tmp_path / "start", {"seed": 0})
    holder.begin(0, {})

    def finish(seconds):
        (tmp_path / "start" / "checkpoints").mkdir()
        (tmp_path / "start" / "checkpoints" / "final.index").touch()
        holder.finish({"status": "complete", "architecture": {}})

    monkeypatch.setattr("time.sleep", finish)
    start = starts.find_or_train(tmp_path / "start", {"seed": 0}, train=pytest.fail)
    assert start.result["status"] == "complete"
    assert "waiting: another process is writing" in capsys.readouterr().out


def test_a_start_whose_weights_were_left_out(tmp_path):
    """As in outputs/reference, which keeps results but no checkpoints."""
    directory = RunDirectory(tmp_path / "start", {})
    directory.begin(0, {})
    directory.finish({"status": "complete", "architecture": {}})
    directory.close()
    for find in (starts.read, lambda path: starts.find_or_train(path, {}, train=pytest.fail)):
        with pytest.raises(ValueError, match="without its weights"):
            find(tmp_path / "start")


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags, problem",
    [
        (["--zero_out=1"], "zero_out=1.0 must lie in [0, 1)"),
        (["--replicas=0"], "replicas=0 must be 1 or more"),
        (["--replicas=2", "--zero_out=0"], "at most 0.55 can be fitted, not 0.9999"),
        (["--drop_at=5,x"], "drop_at=5,x must be a list of rising epochs"),
        (["--pretrain_drop_at=250,150"], "must be a list of rising epochs"),
        (["--width=0"], "width=0 leaves no network"),
        (["--model=alexnet", "--width=0.5"], "alexnet has no width; choose from resnet18"),
    ],
    ids=str,
)
def test_wrong_settings_end_in_one_line(python, tmp_path, flags, problem):
    done = python("-m", "repro.bad_minima", "--init=adversarial", f"--run_dir={tmp_path}/r", *flags)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and problem in line
    assert not (tmp_path / "r").exists()


def test_a_copy_of_a_start_can_be_named(complete, train, tmp_path):
    shutil.copytree(complete[2], tmp_path / "moved")
    result = train(tmp_path / "run", start=str(tmp_path / "moved"), epochs=0)
    assert result["pretraining"]["directory"] == "moved"


def test_flags_that_mean_nothing_are_none(monkeypatch):
    """A random start has no adversary; a start that is named is not trained."""
    seen = []
    monkeypatch.setattr(common_flags, "run_binary", lambda *arguments: seen.append(arguments[1]))
    for changes in ({"init": "random"}, {"init": "random", "start": "somewhere"}, {}):
        values = {**SETTINGS, "run_dir": None, **changes}
        monkeypatch.setattr(common_flags, "values", lambda values=values: values)
        bad_minima.main(["bad_minima"])
    random, named, trained = seen
    assert all(random[name] is None for name in (*bad_minima.PRETRAINING, *bad_minima.HANDOVER))
    assert (named["init"], named["replicas"]) == ("adversarial", None)
    assert named["reset_batch_norm"] is False and trained["replicas"] == 1
