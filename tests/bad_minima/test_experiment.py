"""Liu et al.'s binary: what a run trains on and measures, its starts, and how it resumes."""

import json
import shutil
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro import models
from repro.bad_minima import data as relabelled
from repro.bad_minima import opening, recipe, starts
from repro.bad_minima.settings import HANDOVER, PRETRAINING, STAGES, Pretrain, Train
from repro.command_line import parse
from repro.data import datasets
from repro.data.datasets import Images
from repro.models.layers import batch_norm
from repro.settings import as_dict, name, settle
from repro.training import optimizers, step
from repro.training.runs import Job, RunDirectory
from repro.training.strategy import get_strategy

TIMES = ("seconds", "start", "end", "pretraining")
SETTINGS = Train(
    dataset="digits",
    train_examples=60,
    init="adversarial",
    epochs=4,
    drop_at=(2, 3),
    batch_size=32,
    eval_every=2,
    pretrain_epochs=4,
    pretrain_drop_at=(3,),
    sharpness_examples=0,
)


@pytest.fixture(scope="module")
def train(make, tiny_network):
    """train(run_dir, **changes of SETTINGS) -> result of a tiny network."""

    def run(run_dir, **changes):
        return make(SETTINGS.replace(**changes), run_dir)

    return run


def rows(run_dir):
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines]


@pytest.fixture(scope="module")
def variables(tiny_network):
    """variables(run_dir, name): weights and moving statistics in a checkpoint, by path."""

    def read(directory, name="final"):
        network = tiny_network("", (28, 28, 3), 10)
        saved = tf.train.Checkpoint(model=network).restore(str(directory / "checkpoints" / name))
        saved.assert_existing_objects_matched().expect_partial()
        return {v.path: v.numpy() for v in network.variables}

    return read


def assert_same_weights(one, other):
    assert set(one) == set(other)
    for path, value in one.items():
        np.testing.assert_array_equal(value, other[path], err_msg=path)


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
    """A row an epoch; every second one is evaluated, the start and the end among them."""
    result, run_dir, start = complete
    lines = rows(run_dir)
    assert [line["epoch"] for line in lines] == [0, 1, 2, 3, 4]
    assert ["test/loss" in line for line in lines] == [True, False, True, False, True]
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


def test_weights_and_statistics_are_handed_over(complete, variables):
    """All of the model's variables, moving statistics too, which pre-training has changed."""
    _, run_dir, start = complete
    before, after = variables(start), variables(run_dir, "initial")
    assert_same_weights(before, after)
    statistics = [v for v in after.values() if v.shape == (4,)]
    assert len(statistics) == 4  # gamma, beta, moving mean, moving variance
    assert all((v != 0).any() and (v != 1).any() for v in statistics)


def test_statistics_can_be_forgotten(complete, train, variables, tmp_path):
    _, _, start = complete
    train(tmp_path / "run", start=str(start), reset_batch_norm=True, epochs=0)
    before, after = variables(start), variables(tmp_path / "run", "initial")
    changed = [path for path in before if (before[path] != after[path]).any()]
    assert len(changed) == 2
    values = {tuple(after[path]) for path in changed}
    assert values == {(0,) * 4, (1,) * 4}


def test_a_start_is_found_again(complete, train):
    """Other training, same pre-training: no second start, and its files stay as they are."""
    _, run_dir, start = complete
    before = {path: path.stat().st_mtime_ns for path in start.rglob("*") if path.name != "lock"}
    result = train(run_dir.parent / "other", momentum=0.9, weight_decay=1e-3, epochs=1)
    assert result["pretraining"]["directory"] == start.name
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list(run_dir.parent.glob("start-*"))) == 1


def test_a_start_is_a_run_of_its_own(complete, make):
    """Made by its own stage it is the run that training asks for, to the bit."""
    settings, _ = settle(SETTINGS.pretraining())
    start = complete[2]
    assert start.name == name(settings) and settings.stage == "pretrain"
    result = json.loads((start / "result.json").read_text())
    assert result["settings"] == as_dict(settings)
    assert make(settings, output_dir=str(start.parent), run_dir=str(start)) == result


def test_pretraining_settings_name_the_start(complete, train, tmp_path):
    train(tmp_path / "run", zero_out=0.2, epochs=0)
    (start,) = tmp_path.glob("start-*")
    assert start.name != complete[2].name


def test_a_random_start_ignores_the_adversary(train, variables, tiny_network, tmp_path):
    result = train(tmp_path / "run", init="random", epochs=0)
    assert result["pretraining"] is None and result["pretrain_accuracy"] is None
    assert not list(tmp_path.glob("start-*"))
    keras.utils.set_random_seed(0)
    fresh = tiny_network("", (28, 28, 3), 10).get_weights()
    assert sorted(w.sum() for w in fresh) == pytest.approx(
        sorted(v.sum() for v in variables(tmp_path / "run", "initial").values())
    )


def test_a_start_of_another_architecture(complete, tiny_network):
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


def test_a_copy_of_a_start_can_be_named(complete, train, tmp_path):
    shutil.copytree(complete[2], tmp_path / "moved")
    result = train(tmp_path / "run", start=str(tmp_path / "moved"), epochs=0)
    assert result["pretraining"]["directory"] == "moved"


def test_a_start_whose_weights_were_left_out(complete, train, tmp_path):
    """As in outputs/reference, which keeps results but no checkpoints."""
    shutil.copytree(complete[2], tmp_path / complete[2].name)
    shutil.rmtree(tmp_path / complete[2].name / "checkpoints")
    for changes in ({"start": str(tmp_path / complete[2].name)}, {}):
        with pytest.raises(ValueError, match="left no network behind"):
            train(tmp_path / f"run-{len(changes)}", **changes)


@pytest.mark.slow
def test_a_start_that_is_not_reached_is_said(train, tmp_path, capsys):
    result = train(tmp_path / "run", epochs=0, pretrain_epochs=1, eval_every=1)
    assert not result["pretraining"]["reached"]
    assert "has not reached the accuracy it was asked for" in capsys.readouterr().out
    whole = train(tmp_path / "whole", epochs=0, pretrain_epochs=1, pretrain_accuracy=0.0)
    assert whole["pretraining"]["reached"] and whole["pretraining"]["epochs"] == 1
    assert "not reached" not in capsys.readouterr().out


def test_a_start_that_others_make_is_waited_for(complete, train, tmp_path):
    """It is held at first; once it is let go it is complete, and nothing is trained."""
    made, held = complete[2], threading.Event()
    settings = as_dict(settle(SETTINGS.pretraining())[0])

    def make_it():
        holder = RunDirectory(tmp_path / made.name, settings)
        held.set()
        time.sleep(2)
        shutil.copytree(made / "checkpoints", tmp_path / made.name / "checkpoints")
        shutil.copy(made / "result.json", tmp_path / made.name)
        holder.close()

    other = threading.Thread(target=make_it)
    other.start()
    assert held.wait(timeout=60)
    result = train(tmp_path / "run", epochs=0)
    other.join()
    assert result["pretraining"]["seconds"] == complete[0]["pretraining"]["seconds"]
    assert not (tmp_path / made.name / "metrics.jsonl").exists()


# --- resuming -------------------------------------------------------------------------------------


SLOW = [pytest.param("run", epoch, marks=pytest.mark.slow) for epoch in (0, 4)]


@pytest.mark.parametrize("stage, epoch", [("start", 4), ("run", 2), *SLOW])
def test_in_parts_equals_in_full(complete, train, variables, killed, tmp_path, stage, epoch):
    """Killed while it pre-trains or trains, after metrics and before the checkpoint."""
    result, run_dir, start = complete
    with killed(epoch, stage):
        train(tmp_path / "run")
    assert not (tmp_path / "run" / "result.json").exists()
    again = train(tmp_path / "run")
    for directory, one in (("run", run_dir), (start.name, start)):
        assert rows(one) == rows(tmp_path / directory)
        assert_same_weights(variables(one), variables(tmp_path / directory))
    kept = [key for key in result if key not in TIMES]
    assert {k: again[k] for k in kept} == {k: result[k] for k in kept}


# --- what it trains on, and how -------------------------------------------------------------------

DATA = {"dataset": "digits", "train_examples": 50, "batch_size": 20}


def true_labels(**changes):
    return relabelled.true_labels(Train(**{**DATA, **changes}), None, False)


def random_labels(**changes):
    return relabelled.random_labels(Pretrain(**{**DATA, **changes}), None, False)


def test_random_labels_are_those_of_the_copies():
    data = random_labels(replicas=2)
    assert data.images.shape == (100, 28, 28, 3)
    assert data.facts["zeroing"]["entries_per_copy"] == [235, 235]  # int(0.1 * 2352)
    assert abs(data.facts["correct_labels"] - 0.1) < 4 * (0.1 * 0.9 / 100) ** 0.5
    assert len(np.unique(data.labels)) == 10


@pytest.fixture
def white(monkeypatch):
    """Stands for CIFAR-10: white images of 32x32."""
    images = Images(np.full((400, 32, 32, 3), 255, np.uint8), np.zeros(400, int), np.arange(400))
    monkeypatch.setattr(datasets, "splits", lambda *_, **__: (images, images))
    return "cifar10"


def test_black_is_black_before_normalisation(white):
    """A zeroed entry ends at -mean / std of its channel, by the authors' constants."""
    data = random_labels(dataset=white, zero_out=0.5, zero_unit="pixels")
    images, black = np.asarray(data.images), [-0.4914 / 0.2023, -0.4822 / 0.1994, -0.4465 / 0.2010]
    zeroed = np.isclose(images, black, rtol=1e-5).all(-1)
    np.testing.assert_array_equal(zeroed.sum((1, 2)), 512)
    assert images[~zeroed].min() > 0


def test_normalisation_by_channel():
    """Datasets without the authors' constants have mean 0 and deviation 1 in each channel."""
    images = np.asarray(true_labels().images, np.float64)
    np.testing.assert_allclose(images.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(images.std((0, 1, 2)), 1, atol=1e-5)


def test_an_unshuffled_epoch_goes_by_the_data():
    data = true_labels(shuffle=False)
    seen = np.concatenate([labels for _, labels in data.train.epoch(3)])
    np.testing.assert_array_equal(seen, np.resize(data.labels, 60))


def test_crops_are_padded_by_four(white):
    """Of 9 x 9 shifts, a white image shows up to 4 black rows at one edge or the other."""
    data = true_labels(dataset=white, augment=("crop", "flip"))
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


def test_six_steps_by_hand(tmp_path):
    """v <- m v + g + l2 w, w <- w - lr v, on all weights, betas and biases too; g is 0 here.

    The rate drops after three steps, and acts on the old velocity at once.
    """
    inputs = keras.Input((28, 28, 3))
    x = keras.layers.Dense(10, bias_initializer="ones")(keras.layers.Flatten()(inputs))
    norm = batch_norm("norm")
    model = keras.Model(inputs, 0.0 * norm(x))
    norm.beta.assign([0.5] * 10)
    data = true_labels()
    assert data.train.steps == 3
    before = [v.numpy() for v in model.trainable_variables]
    assert len(before) == 4 and all(np.abs(value).max() > 0 for value in before)
    settings = Train(**DATA, epochs=2, drop_at=(1,), eval_every=2)
    directory = RunDirectory(tmp_path / "run", as_dict(settings))
    job = Job(directory=directory, strategy=get_strategy("default"))
    recipe.fit_by_sgd(settings, job, model, data, {}, momentum=0.9, weight_decay=0.5)
    for value, variable in zip(before, model.trainable_variables):
        velocity = 0.0
        for rate in (0.1, 0.1, 0.1, 0.01, 0.01, 0.01):
            velocity = 0.9 * velocity + 0.5 * value
            value = value - rate * velocity
        np.testing.assert_allclose(variable, value, rtol=1e-5, atol=1e-7)


def test_batch_statistics_are_used_and_not_kept(tiny_network):
    keras.utils.set_random_seed(0)
    model = tiny_network("", (28, 28, 3), 10)
    data = true_labels()
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


def test_every_evaluation_can_take_batch_statistics(train, tmp_path):
    """The rows' test accuracy is then the one that the result gives beside running statistics."""
    result = train(tmp_path / "run", init="random", epochs=1, batch_statistics=True)
    assert rows(tmp_path / "run")[-1]["test/accuracy"] == result["test_accuracy_batch_statistics"]


def test_networks_without_a_path_norm_are_refused_before_they_train(
    train, tiny_network, tmp_path, monkeypatch
):
    def clipped(name, input_shape, num_classes, **options):
        network = tiny_network(name, input_shape, num_classes)
        return keras.Sequential([network.input, *network.layers[1:], keras.layers.ReLU(6.0)])

    monkeypatch.setattr(models, "build", clipped)
    with pytest.raises(ValueError, match="no path norm through"):
        train(tmp_path / "run")
    assert not list(tmp_path.glob("*/checkpoints/*"))


def test_a_rate_that_never_drops(train, tmp_path):
    result = train(tmp_path / "run", init="random", drop_at=())
    assert result["epochs"] == 4 and optimizers.step_decay(0.1, 0.1, [], 391) == 0.1


@pytest.mark.slow
def test_on_several_devices(train, tmp_path, mirrored, monkeypatch):
    """Two virtual CPUs in float64: the same numbers, start, hand-over and norms included.

    Sums over two replicas are rounded otherwise, 2^-53 an operation, over 16 steps.
    """
    monkeypatch.setattr(
        keras.mixed_precision,
        "set_global_policy",  # launch calls it with --precision, which has no float64
        lambda _: keras.config.set_dtype_policy("float64"),
    )
    one, two = (train(tmp_path / kind / "run", strategy=kind) for kind in ("default", "mirrored"))
    for quantity in ("train_loss", "distance"):
        assert two[quantity] == pytest.approx(one[quantity], rel=1e-12)
    for reading in ("frobenius", "log10_path_l2"):
        assert two["norms"][reading] == pytest.approx(one["norms"][reading], rel=1e-12)


def test_sharpness_is_measured_where_asked(complete, train):
    """The largest eigenvalue at the end, on the first images: a number with its residual."""
    run_dir = complete[1].parent / "sharp"
    measured = train(run_dir, sharpness_examples=20)["sharpness"]
    assert measured["converged"] and measured["value"] > 0
    assert "sharpness" not in complete[0]


@pytest.mark.slow
def test_sharpness_is_that_of_float32_weights_wherever_they_trained(train, tmp_path, mirrored):
    """Half-precision products would be off by 1e-2, not by Lanczos's tolerance of 1e-4."""
    results = [
        train(tmp_path / kind, init="random", epochs=0, sharpness_examples=40, **{flag: kind})
        for flag, kind in (
            ("strategy", "default"),
            ("strategy", "mirrored"),
            ("precision", "mixed_bfloat16"),
        )
    ]
    plain, *others = (result["sharpness"]["value"] for result in results)
    assert others == pytest.approx([plain, plain], rel=1e-3)


def test_a_run_can_be_opened_later(complete):
    """The network at its end on the whole training set: its accuracy is the run's."""
    trained = opening.open_run(complete[1], download=False)
    images, labels = trained.data
    predicted = np.argmax(trained.network(images, training=False), axis=-1)
    assert len(labels) == 60 and trained.settings.stage == "train"
    assert (predicted == labels).mean() == pytest.approx(complete[0]["train_accuracy"])
    few = opening.open_run(complete[1], download=False, examples=7)
    np.testing.assert_array_equal(few.data[0], images[:7])


def test_a_start_can_be_opened_later(complete):
    """With the random labels that it was trained on."""
    trained = opening.open_run(complete[2], download=False)
    images, labels = trained.data
    predicted = np.argmax(trained.network(images, training=False), axis=-1)
    accuracy = complete[0]["pretrain_accuracy"]
    assert (predicted == labels).mean() == pytest.approx(accuracy)
    assert trained.settings.stage == "pretrain"


def test_a_run_that_left_no_network_cannot_be_opened(complete, tmp_path):
    with pytest.raises(ValueError, match="no complete run"):
        opening.open_run(tmp_path)
    shutil.copytree(complete[1], tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    with pytest.raises(ValueError, match="left no network behind"):
        opening.open_run(tmp_path / "run", download=False)


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags, problem",
    [
        (["--init=adversarial", "--zero_out=1"], "--zero_out=1 must be below 1"),
        (["--init=adversarial", "--replicas=0"], "--replicas=0 must be 1 or more"),
        (
            ["--init=adversarial", "--replicas=2", "--zero_out=0"],
            "0.55 can be fitted, not 0.9999: choose a --zero_out above 0, or a --pretrain_accuracy",
        ),
        (["--stage=pretrain", "--replicas=2", "--zero_out=0"], "or a --stop_train_accuracy up to"),
        (["--drop_at=5,x"], "--drop_at=x is no whole number"),
        (["--init=adversarial", "--pretrain_drop_at=250,150"], "must be a list of rising epochs"),
        (["--width=0"], "--width=0.0 must be above 0"),
        (["--model=alexnet", "--width=0.5"], "alexnet has no width; choose from resnet18"),
        (["--stage=pretrain", "--init=random"], "--init is not for --stage=pretrain"),
        (["--l2=5e-4"], "--l2 is gone: say --weight_decay"),
        (["--dataset=imagenet2012"], "--dataset=imagenet2012 is none of cifar10"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_said_in_one_line(flags, problem):
    with pytest.raises(ValueError) as caught:
        settings, _ = parse(STAGES, flags)
        settle(settings)
    assert problem in str(caught.value) and "\n" not in str(caught.value)


def test_augment_alone_is_crops_and_flips():
    assert parse(STAGES, ["--augment"])[0].augment == ("crop", "flip")
    assert parse(STAGES, ["--augment=flip"])[0].augment == ("flip",)
    assert parse(STAGES, [])[0].augment == ()


def test_what_means_nothing_is_no_part_of_a_run():
    """A random start has no adversary; a start that is named is not trained."""
    random, _ = settle(Train(replicas=5, start=None))
    assert all(getattr(random, field) is None for field in (*PRETRAINING, *HANDOVER))
    assert name(random) == name(settle(Train(replicas=1, pretrain_epochs=7))[0])
    named, _ = settle(Train(start="somewhere"))
    assert (named.init, named.replicas, named.reset_batch_norm) == ("adversarial", None, False)
    assert settle(Train(init="adversarial"))[0].replicas == 1


def test_equal_starts_have_one_name():
    """Whatever the unit of nothing, and whether the same images are named twice or once."""
    one = Train(init="adversarial", zero_out=0.0)
    other = one.replace(zero_unit="pixels", pretrain_split="train")
    assert name(settle(one)[0]) == name(settle(other)[0])
    assert settle(one.pretraining())[0] == settle(other.pretraining())[0]


def test_a_start_does_not_depend_on_the_training_from_it():
    one = Train(init="adversarial", pretrain_split="train[:100]")
    other = one.replace(
        train_split="train[100:]",
        momentum=0.9,
        weight_decay=0.1,
        augment=("flip",),
        epochs=7,
        learning_rate=0.5,
        drop_at=(1,),
        shuffle=False,
        sharpness_examples=0,
    )
    assert one.pretraining() == other.pretraining()
    assert one.pretraining() != one.replace(pretrain_learning_rate=0.5).pretraining()
