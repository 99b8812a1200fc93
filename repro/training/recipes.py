"""Whole recipes of training, for binaries that train several networks in one run."""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace

import keras
import tensorflow as tf

from repro.training import checkpoints, loop, optimizers, step
from repro.training.runs import RunDirectory


def fit_by_sgd(
    network: keras.Model,
    batches,
    evaluations: Mapping[str, object | Callable[[], dict]],
    directory: RunDirectory,
    *,
    epochs: int,
    learning_rate: float,
    drop_at: Sequence[int | str],
    learning_rate_drop: float,
    momentum: float = 0.0,
    l2: float = 0.0,
    stop_accuracy: float | None = None,
    eval_every: int,
    precision: str,
    xla: bool,
    strategy: tf.distribute.Strategy,
    environment: Mapping,
    checkpoint_every: int,
) -> dict:
    """Train by SGD as Liu et al. 2020 do; return `status`, counts, and the last accuracies.

    The rate drops by a factor after given epochs; L2 acts on all weights, those of batch norm and
    biases too. Metrics begin with a row for epoch 0, the start. Goes on where it was broken off.

    Args:
      network: at its start; built under `strategy`.
      batches: what it trains on, as pipeline.TrainBatches.
      evaluations: name -> batches to measure loss and accuracy on, or a function that returns
        quantities by name.
      directory: of the run.
      drop_at: epochs after which the rate is multiplied by `learning_rate_drop`.
      l2: gradient of the penalty over the weight.
      stop_accuracy: of `train`, ends training before `epochs`.
      environment, eval_every, checkpoint_every: see loop.fit.
    """
    with strategy.scope():
        schedule = optimizers.step_decay(
            learning_rate, learning_rate_drop, [int(epoch) for epoch in drop_at], batches.steps
        )
        optimizer = optimizers.sgd(schedule, momentum, precision)
        optimizer.build(network.trainable_variables)  # before restoring, see checkpoints.py
    accuracies = step.make_evaluate(network, strategy)

    def evaluate(what):
        return what() if callable(what) else accuracies(what)

    if not directory.metrics():
        first = {
            f"{name}/{quantity}": value
            for name, what in evaluations.items() for quantity, value in evaluate(what).items()
        }  # fmt: skip
        directory.log({"epoch": 0, "step": 0, **first, "seconds": 0.0})
    today = SimpleNamespace(train=batches, evaluations=evaluations)
    outcome = loop.fit(
        data=lambda epoch: today,
        train_steps=step.make_train_steps(
            network, optimizer, strategy, weight_decay=l2, decayed=network.trainable_variables,
            xla=xla,
        ),
        evaluate=evaluate,
        strategy=strategy,
        stop=loop.Stop(epochs, train_accuracy=stop_accuracy),
        run=directory,
        checkpoints=checkpoints.Checkpoints(
            directory.path / "checkpoints", network, optimizer, chief=directory.chief
        ),
        environment=environment,
        eval_every=eval_every,
        checkpoint_every=checkpoint_every,
    )  # fmt: skip
    return loop.headline(outcome)
