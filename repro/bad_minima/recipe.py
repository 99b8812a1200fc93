"""How Liu et al. 2020 train, on true labels and, in Algorithm 1, on random ones."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from repro import curvature_on_request, models, norms
from repro.bad_minima.data import TrainingData
from repro.bad_minima.kept import Kept
from repro.bad_minima.settings import ZERO_LOGITS, Images
from repro.training import loop, optimizers, sam, step
from repro.training.runs import Job


def build(
    settings: Images, data: TrainingData, strategy: tf.distribute.Strategy
) -> tuple[keras.Model, dict]:
    """Return the network for some data in its initial state, the same every time, and its shape.

    Raises:
      ValueError: its norms could not be measured at the end.
    """
    keras.utils.set_random_seed(settings.seed)
    options = {} if settings.width is None else {"width": settings.width}
    if settings.initializer:
        options["initializer"] = settings.initializer.removesuffix("_zero_logits")
    with strategy.scope():
        network = models.build(settings.model, data.image_shape, data.num_classes, **options)
        if settings.initializer == ZERO_LOGITS:
            last = network.get_layer("logits")
            last.set_weights([tf.zeros_like(weight.value) for weight in last.weights])
    norms.check_paths(network)  # before hours of training, not after them
    return network, {
        "model": settings.model,
        "width": settings.width,
        "image_shape": list(data.image_shape),
        "num_classes": data.num_classes,
    }


def fit_by_sgd(
    settings: Images,
    job: Job,
    network: keras.Model,
    data: TrainingData,
    measures: Mapping[str, Callable[[], Mapping]],
    *,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    stop_accuracy: float | None = None,
    sam_rho: float | None = None,
    kept: Kept | None = None,
) -> dict:
    """Train by SGD as Liu et al. 2020 do; return `status`, counts, and the last accuracies.

    The rate drops by a factor after given epochs; L2 acts on all weights, those of batch norm and
    biases too. Metrics begin with a row for epoch 0, the start. Goes on where it was broken off.

    Args:
      settings: the schedule: epochs, learning_rate, drop_at, learning_rate_drop, eval_every.
      job: the run.
      network: at its start; built under the job's strategy.
      data: what it trains and is evaluated on.
      measures: name -> function of nothing that returns more quantities by name; one named like a
        split takes the place of its loss and accuracy.
      weight_decay: gradient of the L2 term over the weight.
      sam_rho: of sharpness-aware minimisation; None: plain SGD.
      stop_accuracy: of `train`, ends training before its epochs are over.
      kept: what is kept of the weights on the way.
    """
    with job.strategy.scope():
        schedule = optimizers.step_decay(
            settings.learning_rate, settings.learning_rate_drop, settings.drop_at, data.train.steps
        )
        optimizer = optimizers.sgd(schedule, momentum, settings.precision)
        optimizer.build(network.trainable_variables)  # before restoring, see checkpoints.py
    accuracies = step.make_evaluate(network, job.strategy)
    sharp = curvature_on_request.along(
        settings, network, step.cross_entropy, (data.images, data.labels)
    )
    measured = dataclasses.replace(data, evaluations={**data.evaluations, **measures})

    def evaluate(what):
        return what() if callable(what) else accuracies(what)

    def first():
        quantities = {
            f"{name}/{quantity}": value
            for name, what in measured.evaluations.items()
            for quantity, value in evaluate(what).items()
        }
        return {"epoch": 0, "step": 0, **quantities, "seconds": 0.0}

    l2 = {"weight_decay": weight_decay, "decayed": network.trainable_variables}
    of = network, optimizer, job.strategy
    if sam_rho:
        train_steps = sam.make_train_steps(*of, rho=sam_rho, **l2)
    else:
        train_steps = step.make_train_steps(*of, xla=settings.xla, **l2)
    outcome = loop.fit(
        job,
        network,
        optimizer,
        data=lambda epoch: measured,
        train_steps=train_steps,
        evaluate=evaluate,
        stop=loop.Stop(settings.epochs, train_accuracy=stop_accuracy),
        eval_every=settings.eval_every,
        first=first,
        keep=kept and kept.keep,
        others=sharp and sharp.variables(),
        along=_rows([each.row for each in (sharp, kept) if each]),
    )
    headline = loop.headline(outcome)
    if outcome["status"] == "complete":
        headline |= curvature_on_request.at_end(
            settings,
            network,
            step.cross_entropy,
            (data.images, data.labels),
            weight_decay=weight_decay,
        )
    return headline


def _rows(rows: Sequence[Callable[[int], Mapping]]) -> Callable[[int], dict] | None:
    """Return one function of an epoch that returns what all of them do; None for none of them."""

    def together(epoch: int) -> dict:
        return {name: value for row in rows for name, value in row(epoch).items()}

    return together if rows else None
