"""The loop around steps: when it ends, and how many steps it asks for at a time."""

import os
import signal
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro.training import loop, optimizers, runs, step
from repro.training.checkpoints import Checkpoints

BATCHES = types.SimpleNamespace(steps=137, batch_size=1, epoch=None)


def test_stops_after_the_last_epoch():
    stop = loop.Stop(epochs=3)
    assert not stop.reached({"epoch": 2, "train/loss": 0.0, "train/accuracy": 1.0})
    assert stop.reached({"epoch": 3})


@pytest.mark.parametrize(
    ("stop", "short", "enough"),
    [
        (loop.Stop(9, train_loss=0.1), {"train/loss": 0.11}, {"train/loss": 0.1}),
        (loop.Stop(9, train_accuracy=0.9), {"train/accuracy": 0.89}, {"train/accuracy": 0.9}),
    ],
)
def test_stops_at_a_criterion_and_not_without_evaluation(stop, short, enough):
    assert not stop.reached({"epoch": 1})
    assert not stop.reached({"epoch": 1, **short})
    assert stop.reached({"epoch": 1, **enough})


class Progress:
    """What checkpoints hold of an epoch at work."""

    def __init__(self, step=0, total=0.0):
        self.step = tf.Variable(step, dtype=tf.int64)
        self.total = tf.Variable(total, dtype=tf.float64)


def train(train_steps, strategy, monkeypatch, store):
    monkeypatch.setattr(type(strategy), "distribute_datasets_from_function", lambda *_: [])
    return loop.train_epoch(1, BATCHES, train_steps, strategy, loop.Progress(1), store)


def steps_asked_for(strategy, monkeypatch, seconds):
    """Train an epoch on a machine whose calls take so long; return the sizes of the calls."""
    clock, asked, store = iter(range(10**6)), [], Progress()
    monkeypatch.setattr(loop.time, "perf_counter", lambda: next(clock) * seconds)

    def train_steps(_, steps):
        asked.append(int(steps))
        return tf.cast(steps, tf.float64), steps

    assert train(train_steps, strategy, monkeypatch, store) == BATCHES.steps
    assert float(store.total) == sum(asked) == BATCHES.steps
    return asked


def test_calls_grow_until_they_take_a_second(monkeypatch):
    """A call of any size takes 0.5 s here: the next asks for twice as much."""
    asked = steps_asked_for(tf.distribute.get_strategy(), monkeypatch, 0.5)
    assert asked == [1, 2, 4, 8, 16, 32, 64, 10]


def test_slow_steps_are_asked_for_one_by_one(monkeypatch):
    """So that a signal is looked at after each."""
    asked = steps_asked_for(tf.distribute.get_strategy(), monkeypatch, 3.0)
    assert asked == [1] * BATCHES.steps


def test_workers_ask_for_the_same_steps_whatever_their_clocks_say(monkeypatch):
    """Else their all-reduces, matched by iteration of the loop, wait for each other for ever."""
    worker = object.__new__(tf.distribute.MultiWorkerMirroredStrategy)
    slow, quick = (steps_asked_for(worker, monkeypatch, seconds) for seconds in (3.0, 0.01))
    assert slow == quick


def test_the_loop_ends_at_a_loss_that_is_not_finite(monkeypatch):
    left, store = [5], Progress()

    def train_steps(_, steps):
        done = min(int(steps), left[0])
        left[0] -= done
        return tf.constant(2.0 * done, tf.float64), tf.constant(done)

    assert train(train_steps, tf.distribute.get_strategy(), monkeypatch, store) == 5
    assert float(store.total) == 10.0


def test_an_epoch_goes_on_where_it_was_left(monkeypatch):
    """Only the steps that are left are asked for, and of the data."""
    store, asked, starts = Progress(step=100, total=50.0), [], []
    strategy = tf.distribute.get_strategy()
    monkeypatch.setattr(
        type(strategy), "distribute_datasets_from_function", lambda self, make: make(None)
    )
    batches = types.SimpleNamespace(
        steps=137,
        batch_size=1,
        epoch=lambda epoch, context, start: starts.append((epoch, start)) or [],
    )

    def train_steps(_, steps):
        asked.append(int(steps))
        return tf.cast(steps, tf.float64), steps

    done = loop.train_epoch(3, batches, train_steps, strategy, loop.Progress(1), store)
    assert (done, sum(asked), float(store.total)) == (137, 37, 87.0)
    assert starts == [(3, 100)]


# --- losses looked at now and then, as on a TPU ---------------------------------------------------


STEPS, BROKEN = 100, 137  # of an epoch; the step, over all epochs, whose images are not numbers


def planted(path, monkeypatch, check_every, ask):
    """Train with images that are NaN at step 137; return the outcome, the network and the store.

    ask: called before each call of the compiled loop, with the number of steps that it takes.
    """
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dropout(0.5), keras.layers.Dense(3)]
    network = keras.Sequential([keras.Input((5,)), *layers])
    optimizer = optimizers.sgd(0.1, 0.9)
    optimizer.build(network.trainable_variables)
    strategy = tf.distribute.get_strategy()
    train_steps = step.make_train_steps(network, optimizer, strategy)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, STEPS, 4, 5)).astype(np.float32)
    images[np.unravel_index(BROKEN - 1, (2, STEPS))] = np.nan
    labels = rng.integers(0, 3, (2, STEPS, 4))

    def epoch(number, context, start):
        arrays = images[number - 1, start:], labels[number - 1, start:]
        return tf.data.Dataset.from_tensor_slices(arrays)

    def take(iterator, steps, **options):
        ask(int(steps))
        return train_steps(iterator, steps, **options)

    batches = types.SimpleNamespace(steps=STEPS, batch_size=4, epoch=epoch)
    monkeypatch.setattr(loop, "steps_between_checks", lambda _: check_every)
    job = runs.Job(directory=runs.RunDirectory(path, {"seed": 0}), strategy=strategy)
    outcome = loop.fit(
        job,
        network,
        optimizer,
        data=lambda _: types.SimpleNamespace(train=batches, evaluations={}),
        train_steps=take,
        evaluate=None,
        stop=loop.Stop(3),
    )
    job.directory.close()
    return outcome, network, Checkpoints(job.checkpoints, network, optimizer=optimizer)


def test_a_late_look_names_the_step_that_an_early_one_names(tmp_path, monkeypatch):
    """Whatever is looked at together, to the bit: dropout's state too is put back before a replay.

    What is saved is the state before the epoch that broke.
    """
    asked, found = [], {}
    for every in (1, 64):
        path = tmp_path / str(every)
        outcome, network, store = planted(path, monkeypatch, every, asked.append)
        assert (outcome["status"], outcome["epoch"], outcome["step"]) == ("diverged", 2, BROKEN)
        broken = [v.numpy() for v in network.variables]
        assert store.restore() == 1 and int(store.step) == 0
        saved = [v.numpy() for v in network.variables]
        assert all(np.isfinite(array).all() for array in saved)
        found[every] = broken, saved, outcome["train/running_loss"]
    assert max(asked) > 10  # calls of more than one step, so that there was something to name
    for one, other in zip(found[1], found[64]):
        np.testing.assert_equal(one, other)


def test_a_signal_does_not_save_a_broken_state(tmp_path, monkeypatch):
    """SIGTERM comes while the steps are taken among which one breaks, and nobody has looked yet."""
    calls = []

    def ask(steps):
        calls.append(steps)
        if sum(calls) >= BROKEN > sum(calls[:-1]):
            os.kill(os.getpid(), signal.SIGTERM)

    outcome, network, store = planted(tmp_path, monkeypatch, 64, ask)
    assert outcome["status"] == "diverged" and outcome["step"] == BROKEN
    assert store.restore() == 1
    assert all(np.isfinite(v.numpy()).all() for v in network.variables)
