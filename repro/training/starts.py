"""Pre-trained starts: runs of their own beside the runs that start from them, trained only once."""

import dataclasses
import os
import time
from collections.abc import Callable, Mapping

import keras
import tensorflow as tf
from etils import epath

from repro.training.runs import HeldError, RunDirectory

SECONDS_BETWEEN_LOOKS = 2  # at a start that another process trains or writes


@dataclasses.dataclass(frozen=True)
class Start:
    """A complete run: its directory and its result.json, which describes its `architecture`."""

    path: epath.Path
    result: dict


def find_or_train(
    path: str | os.PathLike,
    settings: Mapping,
    train: Callable[[RunDirectory], dict],
    *,
    chief: bool = True,
) -> Start:
    """Return the run at `path`; where it is not complete, train or take up its training.

    Waits while another process trains it.

    Args:
      path: of its directory, which names all `settings`.
      settings: everything the start depends on, for flags.cfg and result.json.
      train: run directory -> result, without settings.
      chief: whether this process writes.

    Raises:
      ValueError: its result is there, but not its weights, as in outputs/reference.
    """
    directory, waited = None, False
    while directory is None:
        try:
            directory = RunDirectory(path, settings, chief=chief)
        except HeldError as error:
            if not waited:
                print(f"waiting: {error}", flush=True)
            waited = True
            time.sleep(SECONDS_BETWEEN_LOOKS)
    result = directory.result()
    if result is None:
        result = directory.finish({**train(directory), "settings": dict(settings)})
        while not chief and directory.result() is None:  # the chief's, written last of all
            time.sleep(SECONDS_BETWEEN_LOOKS)
    directory.close()
    _check_weights(directory.path, result)
    return Start(directory.path, result)


def read(path: str | os.PathLike) -> Start:
    """Return the start in a directory.

    Raises:
      ValueError: no complete run is there, or one without its weights.
    """
    directory = RunDirectory(path, {}, chief=False)
    result = directory.result()
    if result is None or "architecture" not in result:
        raise ValueError(f"{path} holds no complete pre-trained start")
    _check_weights(directory.path, result)
    return Start(directory.path, result)


def _check_weights(path: epath.Path, result: Mapping) -> None:
    kept = (path / "checkpoints" / "final.index").exists()
    if result["status"] == "complete" and not kept:
        raise ValueError(
            f"{path} holds the result of a pre-trained start without its weights "
            "(checkpoints/final): remove it to train it again, or use another --output_dir"
        )


def load(
    start: Start, model: keras.Model, architecture: Mapping, *, reset_batch_norm: bool = False
) -> None:
    """Give a network the weights and the batch-norm statistics of a start; the optimiser's none.

    Args:
      start: what was trained.
      model: gets its weights.
      architecture: of `model`, to be compared with that of the start.
      reset_batch_norm: put moving means back to 0 and variances to 1, as seed 000 did.

    Raises:
      ValueError: the start is of another architecture.
    """
    trained = start.result["architecture"]
    different = [
        f"{name} {trained.get(name)} instead of {value}"
        for name, value in architecture.items() if trained.get(name) != value
    ]  # fmt: skip
    if different:
        raise ValueError(
            f"the start in {start.path} is of another architecture: {', '.join(different)}"
        )
    saved = tf.train.Checkpoint(model=model).restore(str(start.path / "checkpoints" / "final"))
    saved.assert_existing_objects_matched().expect_partial()
    for layer in model.layers if reset_batch_norm else ():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(tf.zeros_like(layer.moving_mean.value))
            layer.moving_variance.assign(tf.ones_like(layer.moving_variance.value))
