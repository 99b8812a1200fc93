"""The training loop: epochs of steps, evaluation, checkpoints, until a stop criterion is met."""

import dataclasses
import sys
import time
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from repro.training.checkpoints import Checkpoints
from repro.training.runs import RunDirectory

SECONDS_PER_CALL = 1.0  # of compiled steps, between two looks at the keyboard and the progress bar
# Several workers match their all-reduces by iteration of the compiled loop: they wait for each
# other for ever unless all ask for the same numbers of steps, whatever their clocks say.
STEPS_PER_CALL_OF_WORKERS = 50


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
        return fitted or right or row["epoch"] >= self.epochs


def fit(
    *,
    data: Callable,
    train_steps: Callable,
    evaluate: Callable,
    strategy: tf.distribute.Strategy,
    stop: Stop,
    run: RunDirectory,
    checkpoints: Checkpoints,
    environment: Mapping,
    eval_every: int = 1,
    checkpoint_every: int = 1,
    keep: Callable[[int], None] | None = None,
) -> dict:
    """Train until `stop` and return the last row of metrics, with `status`.

    Picks up the run where its last checkpoint left it. A row is one JSON line of metrics.jsonl:
    `epoch`, `step`, `seconds` of computing so far, `train/running_loss` (mean over the minibatches
    of the epoch), and for each evaluated split `split/loss` and `split/accuracy` over all its
    un-augmented examples.

    Args:
      data: epoch (from 1) -> what it trains on, `train` (with `steps`, `batch_size` and
        `epoch(number, context)`), and `evaluations`, name of a split -> batches, as in
        repro.data.randomized.EpochData.
      train_steps, evaluate: as step.make_train_steps and step.make_evaluate return them.
      strategy: that of this process.
      stop: criterion, looked at after every evaluation.
      run: where metrics go.
      checkpoints: restored from and saved to.
      environment: for the run's record.
      eval_every, checkpoint_every: epochs between two; the last epoch always has both.
      keep: called with every epoch once it is trained, to keep points of the trajectory; called
        again with the epochs that a resumed run repeats.

    Returns:
      The last row, its `status` `complete`, or `diverged` with the `step` whose loss, or
      after which the loss over the training set, was not finite.
    """
    epoch = checkpoints.restore_latest()
    if epoch == 0:
        checkpoints.save_named("initial")
    run.begin(epoch, environment)
    # All workers read the same rows, whether or not the chief has dropped later ones yet.
    rows = [row for row in run.metrics() if row["epoch"] <= epoch]
    row = rows[-1] if rows else {"epoch": 0, "seconds": 0.0}
    seconds, progress = row["seconds"], Progress(stop.epochs)
    while not (row["epoch"] == epoch and stop.reached(row)):
        epoch += 1
        start, today = time.perf_counter(), data(epoch)
        loss, done = train_epoch(epoch, today.train, train_steps, strategy, progress)
        step = (epoch - 1) * today.train.steps + done
        if done < today.train.steps:
            progress.say(f"loss is not finite at step {step + 1} (epoch {epoch}): diverged")
            return {**row, "status": "diverged", "epoch": epoch, "step": step + 1}
        before, row = row, {"epoch": epoch, "step": step, "train/running_loss": loss}
        evaluated = epoch % eval_every == 0 or epoch >= stop.epochs
        for split, batches in today.evaluations.items() if evaluated else ():
            for quantity, value in evaluate(batches).items():
                row[f"{split}/{quantity}"] = value
        if not np.isfinite(row.get("train/loss", 0.0)):  # the last step's update went too far
            progress.say(f"loss is not finite after step {step} (epoch {epoch}): diverged")
            return {**before, "status": "diverged", "epoch": epoch, "step": step}
        seconds += time.perf_counter() - start
        row["seconds"] = round(seconds, 2)
        if evaluated:
            run.log(row)
            progress.epoch(row, today.train)
        if keep is not None:
            keep(epoch)
        if epoch % checkpoint_every == 0 or stop.reached(row):
            checkpoints.save(epoch)
    checkpoints.save_named("final")
    return {**row, "status": "complete"}


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
    epoch: int, batches, train_steps: Callable, strategy, progress: "Progress"
) -> tuple[float, int]:
    """Train one epoch; return the mean minibatch loss and the number of steps with finite loss."""
    iterator = iter(
        strategy.distribute_datasets_from_function(lambda context: batches.epoch(epoch, context))
    )
    workers = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    total, done, chunk = 0.0, 0, STEPS_PER_CALL_OF_WORKERS if workers else 1
    while done < batches.steps:
        wanted, start = min(chunk, batches.steps - done), time.perf_counter()
        loss, steps = train_steps(iterator, tf.constant(wanted))
        total, done = total + float(loss), done + int(steps)
        if int(steps) < wanted:
            break
        if not workers:
            chunk = max(1, int(wanted * SECONDS_PER_CALL / (time.perf_counter() - start)))
        progress.steps(done, batches.steps, total / done)
    return total / max(done, 1), done


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
            f"{name} {row[name]:.4f}"
            for name in row if name.endswith(("/loss", "/accuracy"))
        )  # fmt: skip
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
