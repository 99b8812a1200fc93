"""Train one network on one corruption of a dataset.

Where this departs from the paper, or fills what it does not say:

* Batch size 128: not stated, but Figure 1a has one point every 391 = ceil(50000 / 128) steps.
* Initial weights: Glorot uniform, TensorFlow's default of the time; --initializer chooses.
* Dropout and weight decay act only when asked for; their sizes are not in the paper.
* The last batch of an epoch is filled up to full size (pipeline.epoch_order).
* Batch norm keeps moving statistics with momentum 0.9, see models/layers.py.
* `train/loss` and `train/accuracy` are measured after the epoch, in inference mode, on the whole
  training set without augmentation. Figure 1a draws `train/running_loss`, the epoch's minibatches:
  at a learning rate of 0.1 batch norm's moving statistics lag behind the weights.
"""

import itertools
import os

import keras
import numpy as np
from etils import epath

from repro import curvature_on_request, models
from repro.randomization import data as randomized
from repro.randomization import interpolation, theorem1
from repro.randomization.settings import STAGES, Kernel, Theorem1, Train
from repro.training import loop, optimizers, step, trained
from repro.training.runs import Job


def run(settings: Train | Kernel | Theorem1, job: Job) -> dict:
    """Do what the stage of the settings says and return the result of the run."""
    return RUNS[settings.stage](settings, job)


def train(settings: Train, job: Job) -> dict:
    """Train one network on one corruption of a dataset and return the result of the run."""
    s = settings
    keras.utils.set_random_seed(s.seed)
    data = randomized.prepare(s, job.data_dir, job.download)

    # Network and optimiser, made where they will train.
    steps_per_epoch = -(-data.facts["train_examples"] // s.batch_size)
    with job.strategy.scope():
        network = build(s, data)
        rate = optimizers.exponential_decay(s.learning_rate, s.learning_rate_decay, steps_per_epoch)
        optimizer = optimizers.sgd(rate, s.momentum, s.precision)
        optimizer.build(network.trainable_variables)  # before restoring, see checkpoints.py

    def epoch_data(epoch: int) -> randomized.EpochData:
        today = data.epoch(epoch)
        if s.test_every is None or epoch % s.test_every == 0:
            return today
        return randomized.EpochData(today.train, {"train": today.evaluations["train"]})

    evaluate = step.make_evaluate(network, job.strategy)
    decayed = network.trainable_variables if s.decayed == "all" else step.kernels(network)
    part = first_examples(data, s.curvature_examples) if s.curvature_examples else ()
    sharp = curvature_on_request.along(s, network, step.cross_entropy, part)
    outcome = loop.fit(
        job,
        network,
        optimizer,
        data=epoch_data,
        train_steps=step.make_train_steps(
            network,
            optimizer,
            job.strategy,
            weight_decay=s.weight_decay,
            decayed=decayed,
            xla=s.xla,
        ),
        evaluate=evaluate,
        stop=loop.Stop(s.epochs, s.stop_train_loss, s.stop_train_accuracy),
        eval_every=s.eval_every,
        others=sharp and sharp.variables(),
        along=sharp and sharp.row,
    )
    if outcome["status"] == "complete" and "test/accuracy" not in outcome:
        outcome["test/accuracy"] = evaluate(data.epoch(1).evaluations["test"])["accuracy"]
    minimum = {}
    if outcome["status"] == "complete":
        minimum = curvature_on_request.at_end(
            s,
            network,
            step.cross_entropy,
            part,
            weight_decay=s.weight_decay,
            decayed=decayed,
        )
    with_corrupted_labels = evaluate(data.test_with_corrupted_labels)
    return {
        **loop.headline(outcome),
        "test_accuracy_corrupted_labels": with_corrupted_labels["accuracy"],
        "parameters": sum(v.value.shape.num_elements() for v in network.trainable_variables),
        **minimum,
        **data.facts,
    }


RUNS = {"train": train, "kernel": interpolation.run, "theorem1": theorem1.run}


def build(settings: Train, data: randomized.RandomizedData) -> keras.Model:
    """Return the network of a run, as it is before training."""
    options = {"dropout_rate": settings.dropout_rate}
    if settings.initializer is not None:
        options["initializer"] = settings.initializer
    return models.build(settings.model, data.image_shape, data.num_classes, **options)


def open_run(
    path: str | os.PathLike,
    data_dir: str | None = None,
    download: bool = True,
    examples: int | None = None,
) -> trained.Trained:
    """Return what a complete run has trained, its loss, and the data it trained on.

    Args:
      path: the run's directory.
      data_dir, download: where its data is now, as for datasets.load.
      examples: no more than so many training examples, the first ones; None: all.

    Returns:
      images float32 [n, 28, 28, 3], whitened and corrupted as in training, labels int64 [n].

    Raises:
      ValueError: the run is not complete, or left no network.
    """
    settings = trained.read_complete(STAGES, epath.Path(path))
    if settings.stage != "train":
        raise ValueError(f"{path} left no network behind: --stage={settings.stage} trains none")
    data = randomized.prepare(settings, data_dir, download)
    network = build(settings, data)
    trained.restore(network, path)
    pair = first_examples(data, examples)
    return trained.Trained(network, step.cross_entropy, pair, settings)


def first_examples(
    data: randomized.RandomizedData, examples: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first training images, whitened and corrupted, and labels; None: all of them."""
    batches = data.epoch(1).evaluations["train"].dataset()
    rows = batches.unbatch().filter(lambda image, label, weight: weight > 0).as_numpy_iterator()
    images, labels, _ = zip(*itertools.islice(rows, examples))
    return np.stack(images), np.array(labels)
