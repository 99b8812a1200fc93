"""The training loop: epochs of steps and evaluations, until a stop criterion is met."""

import dataclasses
import sys
import time
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from repro.training.checkpoints import Checkpoints
from repro.training.resume import resume, stop_if_asked
from repro.training.runs import Job
from repro.training.step import CallLength


@dataclasses.dataclass(frozen=True)
class Stop:
    """When training ends: after `epochs`, or once the whole training set meets a criterion."""

    epochs: int
    train_loss: float | None = None
    train_accuracy: float | None = None

    def reached(self, row: Mapping) -> bool:
        """Whether training ends after the epoch of `row`, evaluated or not."""
        fitted = self.train_loss is not None and row.get("train/loss", np.inf) <= self.train_loss
        right = (
            self.train_accuracy is not None
            and row.get("train/accuracy", -np.inf) >= self.train_accuracy
        )
        return fitted or right or row.get("epoch", 0) >= self.epochs


def fit(
    job: Job,
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    *,
    data: Callable,
    train_steps: Callable,
    evaluate: Callable,
    stop: Stop,
    eval_every: int = 1,
    first: Callable[[], Mapping] | None = None,
    keep: Callable[[int], None] | None = None,
    others: Mapping | None = None,
    along: Callable[[int], Mapping] | None = None,
) -> dict:
    """Train until `stop` and return the last row of metrics, with `status`.

    Picks up the run where it was left, in the midst of an epoch too. A row is one JSON line of
    metrics.jsonl: `epoch`, `step`, `seconds` of computing so far, `train/running_loss` (mean over
    the minibatches of the epoch), and for each evaluated split `split/loss` and `split/accuracy`
    over all its un-augmented examples.

    Args:
      job: the run.
      network, optimizer: what training changes, built under the job's strategy.
      data: epoch (from 1) -> what it trains on, `train` (with `steps`, `batch_size` and
        `epoch(number, context, start)`), and `evaluations`, name of a split -> batches, as in
        repro.randomization.data.EpochData.
      train_steps, evaluate: as step.make_train_steps and step.make_evaluate return them.
      stop: criterion, looked at after every epoch.
      eval_every: epochs between two evaluations; there is one after the last epoch.
      first, keep: see resume.
      others: name -> variables that training changes beside the network's, for checkpoints.
      along: epoch, 0 before the first -> more quantities of its row.

    Returns:
      The last row, its `status` `complete`, or `diverged` with the `step` whose loss, or
      after which the loss over the training set, was not finite.
    """
    store = Checkpoints(
        job.checkpoints, network, optimizer=optimizer, others=others, chief=job.directory.chief
    )
    progress = Progress(stop.epochs)

    def piece(epoch: int, before: Mapping) -> dict:
        start, today = time.perf_counter(), data(epoch)
        done = train_epoch(epoch, today.train, train_steps, job.strategy, progress, store)
        step = (epoch - 1) * today.train.steps + done
        if done < today.train.steps:
            progress.say(f"loss is not finite at step {step + 1} (epoch {epoch}): diverged")
            return {**before, "status": "diverged", "epoch": epoch, "step": step + 1}
        row = {"epoch": epoch, "step": step, "train/running_loss": float(store.total) / done}
        evaluated = epoch % eval_every == 0 or epoch >= stop.epochs
        for split, batches in today.evaluations.items() if evaluated else ():
            for quantity, value in evaluate(batches).items():
                row[f"{split}/{quantity}"] = value
            stop_if_asked()
        if not np.isfinite(row.get("train/loss", 0.0)):  # the last step's update went too far
            progress.say(f"loss is not finite after step {step} (epoch {epoch}): diverged")
            return {**before, "status": "diverged", "epoch": epoch, "step": step}
        row |= along(epoch) if along else {}
        store.step.assign(0)
        store.total.assign(0.0)
        row["seconds"] = round(before.get("seconds", 0.0) + time.perf_counter() - start, 2)
        if evaluated:
            progress.epoch(row, today.train)
        return row

    beginning = {"epoch": 0, "step": 0, "seconds": 0.0}

    def looked_at() -> dict:
        return {**(first() if first else beginning), **along(0)}

    begin = looked_at if along else first
    outcome = resume(job, store, piece, stop.reached, first=begin, keep=keep)
    return {**beginning, **outcome}


def headline(outcome: Mapping) -> dict:
    """Return what every result.json says of what `fit` returned; None for what was not measured."""
    return {
        "status": outcome["status"],
        "epochs": outcome["epoch"],
        "steps": outcome["step"],
        "train_loss": outcome.get("train/loss"),
        "train_accuracy": outcome.get("train/accuracy"),
        "test_accuracy": outcome.get("test/accuracy"),
        "seconds": outcome["seconds"],
    }


def train_epoch(
    epoch: int, batches, train_steps: Callable, strategy, progress: "Progress", store: Checkpoints
) -> int:
    """Train what is left of an epoch; return its number of steps with a finite loss.

    `store.step` and `store.total` say how many steps are behind it, and the sum of their losses.
    """
    done = int(store.step)
    iterator = iter(
        strategy.distribute_datasets_from_function(
            lambda context: batches.epoch(epoch, context, start=done)
        )
    )
    calls = CallLength(isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy))
    while int(store.step) < batches.steps:
        wanted = calls.next(batches.steps - int(store.step))
        loss, steps = train_steps(iterator, tf.constant(wanted))
        store.total.assign_add(loss)
        store.step.assign_add(tf.cast(steps, tf.int64))
        if int(steps) < wanted:
            break
        progress.steps(int(store.step), batches.steps, float(store.total) / int(store.step))
        stop_if_asked()
    return int(store.step)


class Progress:
    """Keras's progress bar with rate and time left on a terminal, and a line an epoch anywhere."""

    def __init__(self, epochs: int):
        self._epochs, self._terminal = epochs, sys.stdout.isatty()
        self._start, self._first_epoch, self._bar = time.perf_counter(), None, None

    def steps(self, done: int, steps: int, loss: float) -> None:
        if self._terminal:
            if self._bar is None:
                self._bar = keras.utils.Progbar(steps, unit_name="step", stateful_metrics=["loss"])
            self._bar.update(done, [("loss", loss)])
            if done == steps:
                self._bar = None

    def epoch(self, row: Mapping, batches) -> None:
        if self._first_epoch is None:
            self._first_epoch = row["epoch"] - 1
        per_epoch = (time.perf_counter() - self._start) / (row["epoch"] - self._first_epoch)
        rate = batches.steps * batches.batch_size / per_epoch
        left = per_epoch * (self._epochs - row["epoch"])
        values = (
            f"{name} {row[name]:.4f}" for name in row if name.endswith(("/loss", "/accuracy"))
        )
        self.say(
            f"epoch {row['epoch']}/{self._epochs}  {'  '.join(values)}  "
            f"{rate:,.0f} images/s  at most {_duration(left)} left"
        )

    def say(self, text: str) -> None:
        print(text, flush=True)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds:02d}s"
