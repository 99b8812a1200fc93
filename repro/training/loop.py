"""The training loop: epochs of steps and evaluations, until a stop criterion is met."""

import dataclasses
import time
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from repro.training.checkpoints import Checkpoints
from repro.training.progress import Progress
from repro.training.resume import resume, stop_if_asked
from repro.training.runs import Job
from repro.training.step import CallLength
from repro.training.strategy import steps_between_checks


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
        done = train_epoch(
            epoch,
            today.train,
            train_steps,
            job.strategy,
            progress,
            store,
            check_every=steps_between_checks(job.strategy),
        )
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
    epoch: int,
    batches,
    train_steps: Callable,
    strategy,
    progress: Progress,
    store: Checkpoints,
    check_every: int = 1,
) -> int:
    """Train what is left of an epoch; return its number of steps with a finite loss.

    `store.step` and `store.total` say how many steps are behind it, and the sum of their losses.
    With `check_every` above 1 the losses are looked at after so many steps, as one sum. If that is
    not finite, the steps are taken again from the state before them, and each is looked at: so the
    same step is named, whatever `check_every` is.
    """

    def batches_from(start: int):
        return iter(
            strategy.distribute_datasets_from_function(
                lambda context: batches.epoch(epoch, context, start=start)
            )
        )

    iterator = batches_from(int(store.step))
    calls = CallLength(isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy))
    while (done := int(store.step)) < batches.steps:
        left = batches.steps - done
        if check_every == 1:
            wanted = calls.next(left)
            loss, steps = train_steps(iterator, tf.constant(wanted))
        else:
            wanted, before = calls.next(min(left, check_every)), store.copy()
            loss, steps = train_steps(iterator, tf.constant(wanted), look=False)
            if not np.isfinite(loss):
                store.put_back(before)
                iterator = batches_from(done)
                loss, steps = train_steps(iterator, tf.constant(wanted))
        store.total.assign_add(loss)
        store.step.assign_add(tf.cast(steps, tf.int64))
        if int(steps) < wanted:
            break
        progress.steps(int(store.step), batches.steps, float(store.total) / int(store.step))
        stop_if_asked()
    return int(store.step)
