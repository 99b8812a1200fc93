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


def steps_asked_for(strategy, monkeypatch, seconds):
    """Train an epoch on a machine whose steps take so long; return the sizes of the calls."""
    monkeypatch.setattr(type(strategy), "distribute_datasets_from_function", lambda *_: [])
    clock, asked = iter(range(10**6)), []
    monkeypatch.setattr(loop.time, "perf_counter", lambda: next(clock) * seconds)

    def train_steps(_, steps):
        asked.append(int(steps))
        return float(steps), steps

    mean_loss, done = loop.train_epoch(1, BATCHES, train_steps, strategy, loop.Progress(1))
    assert (mean_loss, done) == (1.0, BATCHES.steps)
    assert sum(asked) == BATCHES.steps
    return asked


def test_calls_grow_until_they_take_a_second(monkeypatch):
    """A call of any size takes 0.5 s here: the next asks for twice as much."""
    asked = steps_asked_for(tf.distribute.get_strategy(), monkeypatch, 0.5)
    assert asked == [1, 2, 4, 8, 16, 32, 64, 10]


def test_workers_ask_for_the_same_steps_whatever_their_clocks_say(monkeypatch):
    """Else their all-reduces, matched by iteration of the loop, wait for each other for ever."""
    worker = object.__new__(tf.distribute.MultiWorkerMirroredStrategy)
    slow, quick = (steps_asked_for(worker, monkeypatch, seconds) for seconds in (3.0, 0.01))
    assert slow == quick


def test_the_loop_ends_at_a_loss_that_is_not_finite(monkeypatch):
    strategy = tf.distribute.get_strategy()
    monkeypatch.setattr(type(strategy), "distribute_datasets_from_function", lambda *_: [])
    left = [5]

    def train_steps(_, steps):
        done = min(int(steps), left[0])
        left[0] -= done
        return 2.0 * done, done

    assert loop.train_epoch(1, BATCHES, train_steps, strategy, loop.Progress(1)) == (2.0, 5)
