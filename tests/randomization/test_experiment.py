"""The randomization binary: what a run trains on, records, and how it resumes."""

import contextlib
import json
import logging
import math
import re
import shutil

import keras
import numpy as np
import pytest

from repro import models
from repro.data import datasets, pipeline
from repro.data.corruption import corrupt
from repro.models.layers import batch_norm
from repro.randomization import experiment
from repro.training.runs import RunDirectory

TIMES = ("seconds", "start", "end")


class KilledError(BaseException):
    """Stands for a kill; no handler of ordinary errors may catch it."""


@pytest.fixture
def killed_in_epoch(monkeypatch, quick):
    """Run until an epoch's metrics are written, and die before its checkpoint is."""

    def run(epoch, run_dir, **flags):
        log = RunDirectory.log

        def log_and_die(directory, row):
            log(directory, row)
            if row["epoch"] == epoch:
                raise KilledError

        with monkeypatch.context() as patched:
            patched.setattr(RunDirectory, "log", log_and_die)
            with contextlib.suppress(KilledError):
                quick(run_dir, **flags)
        assert not (run_dir / "result.json").exists()

    return run


def without_times(result):
    return {key: value for key, value in result.items() if key not in TIMES}


# --- what a run leaves ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def complete(quick, tmp_path_factory):
    """A run with label noise, and its directory."""
    run_dir = tmp_path_factory.mktemp("complete") / "run"
    flags = {"corruption": "partial_labels", "corrupt_prob": 0.4, "epochs": 3}
    return quick(run_dir, **flags), run_dir, flags


def test_result_has_what_others_build_on(complete):
    result, run_dir, _ = complete
    assert result == json.loads((run_dir / "result.json").read_text())
    assert result["status"] == "complete"
    assert (result["epochs"], result["steps"]) == (3, 3 * math.ceil(300 / 64))
    assert result["parameters"] == 1_209_866
    assert (result["train_examples"], result["test_examples"]) == (300, 359)
    for share in ("train_accuracy", "test_accuracy", "test_accuracy_corrupted_labels"):
        assert 0 <= result[share] <= 1
    assert result["train_loss"] > 0
    assert result["seconds"] > 0
    settings = result["settings"]
    assert settings["corrupt_prob"] == 0.4
    assert settings["weight_decay"] == 0.0
    assert "run_dir" not in settings
    assert set(result["whitening"]) == {"mean", "std", "constant_image"}
    # 4 sigma of 300 labels, each wrong with probability 0.4 * 9/10
    assert abs(result["wrong_labels"] - 0.36) < 4 * math.sqrt(0.36 * 0.64 / 300)


def test_metrics_lines(complete, metrics_of):
    result, run_dir, _ = complete
    lines = metrics_of(run_dir)
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert [line["step"] for line in lines] == [5, 10, 15]
    for line in lines:
        for name in ("train/loss", "train/accuracy", "test/loss", "test/accuracy"):
            assert np.isfinite(line[name])
    for key in ("train_loss", "train_accuracy", "test_accuracy"):
        assert result[key] == lines[-1][key.replace("_", "/", 1)]


def test_files_of_the_run_directory(complete):
    _, run_dir, _ = complete
    names = {path.name for path in run_dir.iterdir()}
    assert {"flags.cfg", "environment.json", "metrics.jsonl", "result.json"} <= names
    assert any(name.startswith("events.") for name in names)
    assert not any(name.endswith(".partial") for name in names)
    points = {path.stem for path in (run_dir / "checkpoints").glob("*.index")}
    assert points == {"initial", "final", "ckpt-2", "ckpt-3"}


def test_initial_point_is_before_the_first_step(complete, state_of):
    start, end = (state_of(complete[1], name) for name in ("initial", "final"))
    assert set(start) == set(end)
    for name, value in start.items():
        if name.split("/")[0] in ("step", "total"):  # of the epoch at work: there is none
            assert not value.any() and not end[name].any()
        else:
            assert (value != end[name]).any(), name
        if name.startswith(("position", "optimizer/_iterations", "optimizer/_variables")):
            assert not value.any(), name  # epochs, steps and momenta begin at zero


def test_a_complete_run_returns_at_once(complete, quick, capsys):
    result, run_dir, flags = complete
    before = {path: path.stat().st_mtime_ns for path in run_dir.rglob("*")}
    before.pop(run_dir / "lock")
    assert quick(run_dir, **flags) == result
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "complete already" in capsys.readouterr().out


def test_what_the_paper_leaves_unsaid_is_filled_and_said(quick, tmp_path, capsys):
    unsaid = {"batch_size": None, "dropout_rate": None, "weight_decay": None}
    result = quick(tmp_path / "run", epochs=1, **unsaid)
    assert result["unsaid"] == dict.fromkeys(unsaid, "default")
    assert result["settings"]["batch_size"] == 128
    assert result["steps"] == math.ceil(300 / 128)
    assert "batch_size=128 (default)" in capsys.readouterr().out


# --- what a run trains and is measured on ---------------------------------------------------------


class DataSeenError(Exception):
    """Ends a run once its data has been seen."""


@pytest.fixture
def data_of(monkeypatch, quick, tmp_path):
    """Return what a run evaluates on, in order of making, and what it trains on first."""
    from repro.training import loop

    def get(**flags):
        evaluated, trained = [], []

        class Recorded(pipeline.EvaluationBatches):
            def __init__(self, whitened, labels, batch_size):
                evaluated.append((np.array(whitened), np.array(labels)))
                super().__init__(whitened, labels, batch_size)

        def stop(*_, data, **__):
            for epoch in (1, 2):
                images, labels = zip(*data(epoch).train.epoch(epoch))
                trained.append((np.concatenate(images), np.concatenate(labels)))
            raise DataSeenError

        with monkeypatch.context() as patched:
            patched.setattr(pipeline, "EvaluationBatches", Recorded)
            patched.setattr(loop, "fit", stop)
            with contextlib.suppress(DataSeenError):
                quick(tmp_path / "run", **flags)
        return evaluated, trained

    return get


@pytest.fixture(scope="module")
def digits():
    train, test = datasets.load("digits")
    return train.take(datasets.class_balanced_subset(train.labels, 300, 0)), test


def whitened(images):
    """Digits need no crop: /255 and whitening in float64."""
    x = images.astype(np.float64) / 255
    std = np.maximum(x.std((1, 2, 3), keepdims=True), 1 / np.sqrt(2352))
    return (x - x.mean((1, 2, 3), keepdims=True)) / std


def find(evaluated, images, labels):
    """Whether a set of these images and labels is evaluated on."""
    return any(
        np.array_equal(seen_labels, labels)
        and seen.shape == images.shape
        and np.allclose(seen, images, atol=1e-5)
        for seen, seen_labels in evaluated
    )


@pytest.mark.parametrize(
    ("corruption", "prob"),
    [("partial_labels", 0.5), ("shuffled_pixels", 0.0), ("random_pixels", 0.0), ("gaussian", 0.0)],
)
def test_train_and_test_are_corrupted_raw_then_whitened(data_of, digits, corruption, prob):
    """Training data is corrupted; the test images too, its labels clean and corrupted with p."""
    evaluated, trained = data_of(corruption=corruption, corrupt_prob=prob)
    seen, moments = [], datasets.channel_moments(datasets.load("digits")[0].images)
    for split in digits:
        images, labels = corrupt(
            split.images, split.labels, corruption, prob, 0, 10, ids=split.ids, moments=moments
        )
        seen.append((whitened(images), labels))
    (train_images, train_labels), (test_images, test_labels) = seen
    assert find(evaluated, train_images, train_labels)
    assert find(evaluated, test_images, digits[1].labels)
    assert find(evaluated, test_images, test_labels)
    if corruption == "partial_labels":
        assert (test_labels != digits[1].labels).any()
    order = pipeline.epoch_order(300, 64, 0, 1)
    np.testing.assert_allclose(trained[0][0], train_images[order], atol=1e-5)
    np.testing.assert_array_equal(trained[0][1], train_labels[order])


def test_corruption_is_the_same_in_every_epoch(data_of):
    _, ((_, first), (_, second)) = data_of(corruption="random_labels")
    orders = [pipeline.epoch_order(300, 64, 0, epoch) for epoch in (1, 2)]
    by_example = [dict(zip(o, labels)) for o, labels in zip(orders, (first, second))]
    assert by_example[0] == by_example[1]


def test_redraw_corrupts_afresh_at_every_access(data_of):
    _, ((_, first), (_, second)) = data_of(corruption="random_labels", redraw=True)
    orders = [pipeline.epoch_order(300, 64, 0, epoch) for epoch in (1, 2)]
    labels = []
    for order, drawn in zip(orders, (first, second)):
        by_example = np.empty(300, int)
        by_example[order] = drawn
        labels.append(by_example)
    # Two draws of ten classes agree for a tenth of the examples; 4 sigma.
    assert abs((labels[0] == labels[1]).mean() - 0.1) < 4 * math.sqrt(0.1 * 0.9 / 300)


# --- stopping -------------------------------------------------------------------------------------


def test_stops_once_the_training_set_is_fitted(quick, tmp_path, metrics_of):
    """Judged on the whole training set: the first row that meets it is the last."""
    result = quick(tmp_path / "run", epochs=50, stop_train_accuracy=0.9, learning_rate=0.05)
    accuracies = [row["train/accuracy"] for row in metrics_of(tmp_path / "run")]
    assert result["status"] == "complete"
    assert result["epochs"] == len(accuracies) < 50
    assert accuracies[-1] >= 0.9 > max(accuracies[:-1], default=0)
    assert result["train_accuracy"] == accuracies[-1]


def test_stops_at_a_training_loss(quick, tmp_path, metrics_of):
    result = quick(tmp_path / "run", epochs=50, stop_train_loss=0.8, learning_rate=0.05)
    losses = [row["train/loss"] for row in metrics_of(tmp_path / "run")]
    assert result["epochs"] == len(losses) < 50
    assert losses[-1] <= 0.8 < min(losses[:-1], default=math.inf)


def test_evaluates_every_so_often_and_at_the_end(quick, tmp_path, metrics_of):
    """There is a row for every epoch, and in some what was measured after it."""
    quick(tmp_path / "run", epochs=5, eval_every=2)
    rows = metrics_of(tmp_path / "run")
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    assert all("train/running_loss" in row for row in rows)
    assert [row["epoch"] for row in rows if "test/accuracy" in row] == [2, 4, 5]


def test_rare_evaluation_and_checkpoints_change_no_number(
    quick, tmp_path, complete, metrics_of, state_of
):
    _, run_dir, flags = complete
    quick(tmp_path / "run", **flags, eval_every=3, checkpoint_every=2)
    rows, rare = metrics_of(run_dir), metrics_of(tmp_path / "run")
    assert rare[-1] == rows[-1]
    assert [row["train/running_loss"] for row in rare] == [
        row["train/running_loss"] for row in rows
    ]
    final, again = state_of(run_dir), state_of(tmp_path / "run")
    for name in final:
        if not name.startswith("save_counter"):
            np.testing.assert_array_equal(final[name], again[name], err_msg=name)


def test_divergence_ends_the_run_with_the_step_named(quick, tmp_path, capsys):
    result = quick(tmp_path / "run", learning_rate=1e30, epochs=5)
    assert result["status"] == "diverged"
    assert 1 < result["steps"] <= 25
    assert result["epochs"] == math.ceil(result["steps"] / 5)
    said = capsys.readouterr().out
    assert re.search(rf"not finite (at|after) step {result['steps']} .*diverged", said)
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == result


def test_divergence_in_the_very_last_step_is_noticed(quick, tmp_path, metrics_of):
    """The last step's loss is finite, the weights it leaves are not."""
    result = quick(tmp_path / "run", learning_rate=1e38, epochs=1, batch_size=300)
    assert (result["status"], result["steps"]) == ("diverged", 1)
    json.loads((tmp_path / "run" / "result.json").read_text(), parse_constant=pytest.fail)  # NaN
    assert metrics_of(tmp_path / "run") == []


# --- resuming -------------------------------------------------------------------------------------

REGULARISED = {"dropout_rate": 0.3, "weight_decay": 1e-3}


@pytest.fixture(scope="module")
def uninterrupted(quick, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("uninterrupted") / "run"
    return quick(run_dir, **REGULARISED), run_dir


@pytest.mark.parametrize("epoch", [1, 3])
def test_in_parts_equals_in_full(
    uninterrupted, killed_in_epoch, quick, tmp_path, epoch, metrics_of, assert_same_run
):
    """The killed run's last row has no checkpoint: it is dropped and computed again."""
    result, run_dir = uninterrupted
    killed_in_epoch(epoch, tmp_path / "run", **REGULARISED)
    assert len(metrics_of(tmp_path / "run")) == epoch
    resumed = quick(tmp_path / "run", **REGULARISED)
    assert without_times(resumed) == without_times(result)
    assert_same_run(tmp_path / "run", run_dir)


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(
            {
                "augment": (
                    "crop",
                    "flip",
                    "brightness",
                    "saturation",
                    "hue",
                    "contrast",
                    "rotation",
                )
            },
            marks=pytest.mark.slow,
        ),
        pytest.param({"redraw": True, "corruption": "random_pixels"}, marks=pytest.mark.slow),
        pytest.param(
            {"eval_every": 2, "checkpoint_every": 3, "epochs": 8, "dropout_rate": 0.3},
            marks=pytest.mark.slow,
        ),
        pytest.param({"precision": "mixed_bfloat16"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_in_parts_equals_in_full_with(
    flags, killed_in_epoch, quick, tmp_path, metrics_of, assert_same_run
):
    whole = quick(tmp_path / "whole", **flags)
    killed_in_epoch(flags.get("epochs", 4) - 2, tmp_path / "parts", **flags)
    parts = quick(tmp_path / "parts", **flags)
    assert without_times(parts) == without_times(whole)
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def small_network_with_batch_norm(name, input_shape, num_classes, dropout_rate):
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Conv2D(4, 5, 3),
            batch_norm("norm"),
            keras.layers.ReLU(),
            keras.layers.Dropout(dropout_rate),
            keras.layers.Flatten(),
            keras.layers.Dense(num_classes),
        ]
    )


@pytest.mark.slow
def test_batch_norm_in_parts_equals_in_full(
    killed_in_epoch, quick, tmp_path, monkeypatch, assert_same_run
):
    monkeypatch.setattr(models, "build", small_network_with_batch_norm)
    whole = quick(tmp_path / "whole", **REGULARISED)
    killed_in_epoch(3, tmp_path / "parts", **REGULARISED)
    assert without_times(quick(tmp_path / "parts", **REGULARISED)) == without_times(whole)
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_a_damaged_checkpoint_costs_an_epoch_and_no_number(
    uninterrupted, killed_in_epoch, quick, tmp_path, caplog, assert_same_run
):
    result, run_dir = uninterrupted
    killed_in_epoch(4, tmp_path / "run", **REGULARISED)
    data = tmp_path / "run" / "checkpoints" / "ckpt-3.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with caplog.at_level(logging.WARNING):
        resumed = quick(tmp_path / "run", **REGULARISED)
    assert "ckpt-3 is unreadable" in caplog.text
    assert without_times(resumed) == without_times(result)
    assert_same_run(tmp_path / "run", run_dir)


@pytest.mark.slow
def test_a_run_without_any_readable_checkpoint_starts_again(
    uninterrupted, killed_in_epoch, quick, tmp_path, caplog, metrics_of
):
    killed_in_epoch(3, tmp_path / "run", **REGULARISED)
    for data in (tmp_path / "run" / "checkpoints").glob("ckpt-*.data*"):
        data.write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        quick(tmp_path / "run", **REGULARISED)
    assert "starting again" in caplog.text
    assert metrics_of(tmp_path / "run") == metrics_of(uninterrupted[1])


def test_a_run_killed_between_the_last_epoch_and_the_result(
    uninterrupted, quick, tmp_path, assert_same_run
):
    """All epochs are there, the result is not: nothing is trained again."""
    result, run_dir = uninterrupted
    shutil.copytree(run_dir, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    assert without_times(quick(tmp_path / "run", **REGULARISED)) == without_times(result)
    assert_same_run(tmp_path / "run", run_dir)


@pytest.mark.slow
def test_same_seed_same_run_other_seed_other_run(
    complete, quick, tmp_path, metrics_of, assert_same_run
):
    _, run_dir, flags = complete
    quick(tmp_path / "same", **flags)
    assert_same_run(tmp_path / "same", run_dir)
    quick(tmp_path / "other", **flags, seed=1)
    assert metrics_of(tmp_path / "other") != metrics_of(run_dir)


# --- opening --------------------------------------------------------------------------------------


@pytest.mark.parametrize("examples", [None, 100])
def test_a_finished_run_opens_as_what_it_trained(complete, examples):
    """The network, and the corrupted data: its loss and accuracy on them are the result's."""
    result, run_dir, _ = complete
    opened = experiment.open_run(run_dir, examples=examples)
    images, labels = opened.data
    assert images.shape == (examples or 300, 28, 28, 3) and labels.shape == (examples or 300,)
    assert (opened.settings.corrupt_prob, opened.settings.epochs) == (0.4, 3)
    if examples is None:
        outputs = opened.network(images, training=False)
        losses = opened.loss(labels, outputs)
        assert float(np.mean(losses)) == pytest.approx(result["train_loss"], rel=1e-5)
        right = np.argmax(outputs, axis=1) == labels
        assert right.mean() == pytest.approx(result["train_accuracy"], abs=1.01 / 300)
    else:
        whole = experiment.open_run(run_dir).data
        np.testing.assert_array_equal(images, whole[0][:examples])


def test_what_left_no_network_cannot_be_opened(complete, tmp_path):
    """A run that is not complete, and one of outputs/reference, which keeps numbers alone."""
    shutil.copytree(complete[1], tmp_path / "run")
    for file in (tmp_path / "run" / "checkpoints").glob("final*"):
        file.unlink()
    with pytest.raises(ValueError, match="left no network behind"):
        experiment.open_run(tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(ValueError, match=r"no complete run: there is no result\.json"):
        experiment.open_run(tmp_path / "run")
