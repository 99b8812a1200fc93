"""The loop around steps: when it ends, and how many steps it asks for at a time."""

import types

import pytest
import tensorflow as tf

from repro.training import loop

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
