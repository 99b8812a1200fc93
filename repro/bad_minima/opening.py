"""Open what a complete run has trained, for any instrument."""

import os

import keras
import numpy as np
import tensorflow as tf
from etils import epath

from repro.bad_minima import blobs, planar
from repro.bad_minima import data as relabelled
from repro.bad_minima.recipe import build
from repro.bad_minima.settings import STAGES, Pretrain, Toy, Train
from repro.settings import from_dict, read_flag_file
from repro.training import step, trained
from repro.training.trained import Trained


def open_run(
    path: str | os.PathLike,
    data_dir: str | None = None,
    download: bool = True,
    examples: int | None = None,
) -> Trained:
    """Return the network of a complete run of any stage, its loss, and what it was trained on.

    A run of `pretrain` is opened with the random labels it fitted, one of `toy` with the network
    that vanilla SGD reached from the adversarial start, and the blobs' true labels.

    Args:
      path: the run's directory.
      data_dir, download: where its data is now, and whether it may be fetched.
      examples: the first so many of its training examples; None: all.

    Raises:
      ValueError: there is no complete run, or one that left no network.
      datasets.MissingDataError: its dataset is not there.
    """
    path = epath.Path(path)
    trained.check_complete(path)
    settings = from_dict(STAGES, read_flag_file(path / "flags.cfg"))
    if isinstance(settings, Toy):
        return _toy(path, settings, examples)
    prepare = relabelled.true_labels if isinstance(settings, Train) else relabelled.random_labels
    data = prepare(settings, data_dir, download)
    network, _ = build(settings, data, tf.distribute.get_strategy())
    trained.restore(network, path)
    kept = (data.images[:examples].numpy(), data.labels[:examples])
    return Trained(network, step.cross_entropy, kept, settings)
