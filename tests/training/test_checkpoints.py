"""Checkpoints hold everything that training changes, and survive damage to the newest."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro.models.layers import batch_norm
from repro.training.checkpoints import Checkpoints
from repro.training.optimizers import sgd


class Trained:
    """A network with dropout and batch norm, its optimiser and its checkpoints."""

    def __init__(self, directory, seed=0, **options):
        keras.utils.set_random_seed(seed)
        self.model = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(8),
                batch_norm("norm"),
                keras.layers.Dropout(0.5, name="dropout"),
                keras.layers.Dense(3),
            ]
        )
        self.optimizer = sgd(0.1, 0.9)
        self.optimizer.build(self.model.trainable_variables)
        self.checkpoints = Checkpoints(directory, self.model, optimizer=self.optimizer, **options)

    def step(self):
        with tf.GradientTape() as tape:
            outputs = self.model(tf.random.stateless_normal((5, 4), [0, 0]), training=True)
            loss = tf.reduce_mean((outputs - 1) ** 2)
        weights = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)

    def state(self):
        """Everything that the next step depends on; step() makes dropout draw."""
        return [v.numpy() for v in [*self.model.variables, *self.optimizer.variables]]


def assert_same(one, other):
    assert len(one) == len(other)
    for value, again in zip(one, other):
        np.testing.assert_array_equal(value, again)


@pytest.fixture
def states(tmp_path):
    """Save after epochs 1 to 3; return the states by epoch. Epoch 0 is the initial one."""
    trained = Trained(tmp_path)
    trained.checkpoints.keep("initial")
    states = {0: trained.state()}
    for epoch in (1, 2, 3):
        trained.step()
        trained.checkpoints.save(epoch)
        states[epoch] = trained.state()
    return states


def damage(tmp_path, epoch, how):
    data, index = tmp_path / f"ckpt-{epoch}.data-00000-of-00001", tmp_path / f"ckpt-{epoch}.index"
    if how == "truncated":
        data.write_bytes(data.read_bytes()[:100])
    elif how == "garbage":
        data.write_bytes(np.random.default_rng(0).bytes(data.stat().st_size))
    elif how == "no data":
        data.unlink()
    elif how == "no index":
        index.unlink()
    elif how == "empty index":
        index.write_bytes(b"")


def test_nothing_to_restore_is_epoch_0(tmp_path):
    trained = Trained(tmp_path)
    before = trained.state()
    assert trained.checkpoints.restore() == 0
    assert_same(trained.state(), before)


def test_training_goes_on_as_if_never_stopped(tmp_path, states):
    """Weights, momentum, step count, moving statistics and the draws of dropout."""
    fresh = Trained(tmp_path, seed=1)
    assert fresh.checkpoints.restore() == 3
    assert_same(fresh.state(), states[3])
    uninterrupted = Trained(tmp_path / "other")
    for _ in range(5):
        uninterrupted.step()
    for _ in range(2):
        fresh.step()
    assert_same(fresh.state(), uninterrupted.state())


def test_the_state_of_dropout_counts(tmp_path, states):
    """The state under test does change in training: else the tests here would show nothing."""
    variables = Trained(tmp_path / "other").model.variables
    paths = [v.path.split("/")[-1] for v in variables]
    changed = {
        path for path, one, other in zip(paths, states[1], states[2]) if (one != other).any()
    }
    assert changed == {
        "kernel",
        "bias",
        "gamma",
        "beta",
        "moving_mean",
        "moving_variance",
        "seed_generator_state",
    }


def test_the_last_two_and_named_ones_are_kept(tmp_path, states):
    epochs = sorted(path.stem for path in tmp_path.glob("*.index"))
    assert epochs == ["ckpt-2", "ckpt-3", "initial"]


def test_named_points(tmp_path, states):
    fresh = Trained(tmp_path, seed=1)
    fresh.checkpoints.restore_named("initial")
    assert_same(fresh.state(), states[0])


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_half_of_a_named_point_is_none_and_is_kept_anew(tmp_path, share):
    """As a kill in the midst of its index leaves it: a run that goes on must not build on it."""
    trained, index = Trained(tmp_path), tmp_path / "initial.index"
    assert not trained.checkpoints.kept("initial")
    trained.checkpoints.keep("initial")
    assert trained.checkpoints.kept("initial")
    index.write_bytes(index.read_bytes()[: int(share * index.stat().st_size)])
    assert not trained.checkpoints.kept("initial")
    trained.checkpoints.keep("initial")
    assert trained.checkpoints.kept("initial")
    fresh = Trained(tmp_path, seed=1)
    fresh.checkpoints.restore_named("initial")
    assert_same(fresh.state(), trained.state())


@pytest.mark.parametrize("how", ["truncated", "garbage", "no data", "no index", "empty index"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, states, how, caplog):
    damage(tmp_path, 3, how)
    fresh = Trained(tmp_path, seed=1)
    with caplog.at_level(logging.WARNING):
        assert fresh.checkpoints.restore() == 2
    assert_same(fresh.state(), states[2])
    assert "ckpt-3 is unreadable" in caplog.text
    assert "using the one before" in caplog.text


def test_with_no_readable_checkpoint_training_starts_again(tmp_path, states, caplog):
    damage(tmp_path, 3, "garbage")
    damage(tmp_path, 2, "truncated")
    fresh = Trained(tmp_path, seed=1)
    with caplog.at_level(logging.WARNING):
        assert fresh.checkpoints.restore() == 0
    assert_same(fresh.state(), states[0])
    assert "starting again" in caplog.text


def test_how_far_a_piece_has_come_is_saved_too(tmp_path):
    """Steps and their losses, for a piece of work that is stopped in its midst."""
    trained, fresh = Trained(tmp_path), Trained(tmp_path, seed=1)
    trained.checkpoints.step.assign(7)
    trained.checkpoints.total.assign(1 / 3)
    trained.checkpoints.save(4)
    assert fresh.checkpoints.restore() == 4
    assert (int(fresh.checkpoints.step), float(fresh.checkpoints.total)) == (7, 1 / 3)


def test_other_variables_are_saved_by_name(tmp_path):
    """One, or a list of them."""

    def tracked(value):
        return {"shift": tf.Variable(value), "list": [tf.Variable(2 * value), tf.Variable(value)]}

    others, fresh = tracked(3.0), tracked(0.0)
    Trained(tmp_path, others=others).checkpoints.save(1)
    assert Trained(tmp_path, others=fresh).checkpoints.restore() == 1
    assert [float(v) for v in (fresh["shift"], *fresh["list"])] == [3.0, 6.0, 3.0]


def test_a_network_alone_has_checkpoints_too(tmp_path):
    model = Trained(tmp_path / "unused").model
    Checkpoints(tmp_path / "run", model).save(1)
    before = model.get_weights()
    model.set_weights([0 * value for value in before])
    assert Checkpoints(tmp_path / "run", model).restore() == 1
    assert_same(model.get_weights(), before)


def test_saving_goes_on_after_a_fall_back(tmp_path, states):
    damage(tmp_path, 3, "truncated")
    fresh = Trained(tmp_path, seed=1)
    fresh.checkpoints.restore()
    fresh.step()
    fresh.checkpoints.save(3)
    again = Trained(tmp_path, seed=2)
    assert again.checkpoints.restore() == 3
    assert_same(again.state(), states[3])


def test_other_workers_read_the_chiefs_and_write_elsewhere(tmp_path, states):
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    worker = Trained(tmp_path, seed=1, chief=False)
    assert worker.checkpoints.restore() == 3
    assert_same(worker.state(), states[3])
    worker.checkpoints.save(4)
    worker.checkpoints.keep("final")
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
