"""Adversarial starts: networks that fit random labels, runs of their own, made only once."""

import dataclasses
import os
from collections.abc import Mapping

import keras
import tensorflow as tf
from etils import epath

from repro.bad_minima import adversarial
from repro.bad_minima import data as relabelled
from repro.bad_minima.recipe import build, fit_by_sgd
from repro.bad_minima.settings import Pretrain, Train
from repro.training import trained
from repro.training.runs import Job, RunDirectory


@dataclasses.dataclass(frozen=True)
class Start:
    """A complete run: its directory and its result.json, which describes its `architecture`."""

    path: epath.Path
    result: dict


def pretrain(settings: Pretrain, job: Job) -> dict:
    """Fit random labels on copies of the images, Algorithm 1; return the result of the start."""
    s = settings
    data = relabelled.random_labels(s, job.data_dir, job.download)
    network, architecture = build(s, data, job.strategy)
    outcome = fit_by_sgd(s, job, network, data, {}, stop_accuracy=s.stop_train_accuracy or None)
    fitted = outcome["train_accuracy"]
    ceiling = 1.0 if s.zero_out else adversarial.fit_ceiling(s.replicas, data.num_classes)
    return {
        **outcome,
        "reached": fitted is not None and fitted >= s.stop_train_accuracy,
        "ceiling": ceiling,
        "architecture": architecture,
        **data.facts,
    }


def find_or_make(settings: Train, job: Job) -> Start | None:
    """Return the start of a run: the one that is named, or found by its settings, or made now.

    None for a random start. Waits while another process makes it.

    Raises:
      ValueError: no complete start is in the directory that is named.
      RuntimeError: pre-training diverged.
    """
    if settings.init == "random":
        return None
    if settings.start:
        start = read(settings.start)
    else:
        directory = job.need(settings.pretraining())
        start = Start(directory.path, directory.result())
    if start.result["status"] == "diverged":
        raise RuntimeError(f"pre-training in {start.path} diverged: lower its learning rate")
    if not start.result.get("reached", True):
        print(
            f"the start in {start.path} has not reached the accuracy it was asked for: "
            f"{start.result['train_accuracy']:.2%}",
            flush=True,
        )
    return start


def read(path: str | os.PathLike) -> Start:
    """Return the start in a directory.

    Raises:
      ValueError: no complete pre-trained start is there.
    """
    directory = RunDirectory(path)
    result = directory.result()
    if result is None or "architecture" not in result:
        raise ValueError(f"{path} holds no complete pre-trained start")
    return Start(directory.path, result)


def load(
    start: Start, model: keras.Model, architecture: Mapping, *, reset_batch_norm: bool = False
) -> None:
    """Give a network the weights and the batch-norm statistics of a start; the optimiser's none.

    Args:
      start: what was trained.
      model: gets its weights.
      architecture: of `model`, to be compared with that of the start.
      reset_batch_norm: put moving means back to 0 and variances to 1, as the JAX rerun did.

    Raises:
      ValueError: the start is of another architecture, or its weights are not there, as in
        outputs/reference.
    """
    made_for = start.result["architecture"]
    different = [
        f"{name} {made_for.get(name)} instead of {value}"
        for name, value in architecture.items()
        if made_for.get(name) != value
    ]
    if different:
        raise ValueError(
            f"the start in {start.path} is of another architecture: {', '.join(different)}"
        )
    trained.restore(model, start.path)
    for layer in model.layers if reset_batch_norm else ():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(tf.zeros_like(layer.moving_mean.value))
            layer.moving_variance.assign(tf.ones_like(layer.moving_variance.value))
