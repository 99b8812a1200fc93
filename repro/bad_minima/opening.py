"""Open what a complete run has trained, for any instrument."""

import os

import keras
import tensorflow as tf
from etils import epath

from repro.bad_minima import blobs, kept, planar, toy
from repro.bad_minima import data as relabelled
from repro.bad_minima.recipe import build
from repro.bad_minima.settings import STAGES, Toy, Train
from repro.training import step, trained


def open_run(
    path: str | os.PathLike,
    data_dir: str | None = None,
    download: bool = True,
    examples: int | None = None,
    epoch: int | None = None,
) -> trained.Trained:
    """Return the network of a complete run of any stage, its loss, and what it was trained on.

    A run of `pretrain` is opened with the random labels it fitted, one of `toy` with the network
    that vanilla SGD reached from the adversarial start, and the blobs' true labels.

    Args:
      path: the run's directory.
      data_dir, download: where its data is now, and whether it may be fetched.
      examples: the first so many of its training examples; None: all.
      epoch: the network as it was kept after this epoch, see --keep_weights; None: at its end.

    Raises:
      ValueError: there is no complete run, or one that left no network, or kept none of the epoch.
      datasets.MissingDataError: its dataset is not there.
    """
    path = epath.Path(path)
    settings = trained.read_complete(STAGES, path)
    if isinstance(settings, Toy):
        if epoch is not None:
            raise ValueError(f"{path} is of the toy, which keeps no weights on the way")
        return _toy(path, settings, examples)
    prepare = relabelled.true_labels if isinstance(settings, Train) else relabelled.random_labels
    data = prepare(settings, data_dir, download)
    network, _ = build(settings, data, tf.distribute.get_strategy())
    if epoch is None:
        trained.restore(network, path)
    else:
        kept.load(network, path / "checkpoints", epoch)
    examples_kept = (data.images[:examples].numpy(), data.labels[:examples])
    return trained.Trained(network, step.cross_entropy, examples_kept, settings)


def _toy(path: epath.Path, settings: Toy, examples: int | None) -> trained.Trained:
    """Return the toy's network in the bad minimum, as a Keras model of points [n, 2]."""
    state = toy.read_state(path, "adversarial_vanilla")
    layers = [keras.layers.Dense(size, activation="relu") for size in planar.SIZES[1:-1]]
    network = keras.Sequential(
        [keras.Input(planar.SIZES[:1]), *layers, keras.layers.Dense(planar.SIZES[-1])]
    )
    network.set_weights([state[name] for name in planar.WEIGHTS])
    points, truth = blobs.two_blobs(settings.per_class, settings.seed)
    return trained.Trained(network, logistic_loss, (points[:examples], truth[:examples]), settings)


def logistic_loss(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Return the logistic loss of each point, [n], for labels 0 or 1 [n] and logits [n, 1]."""
    return tf.nn.sigmoid_cross_entropy_with_logits(labels, logits[:, 0])
