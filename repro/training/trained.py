"""What a finished run has trained, opened for any instrument."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from etils import epath

from repro.settings import Settings
from repro.training import checkpoints


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network as a run left it, the loss it was trained on, and what it was trained on."""

    network: keras.Model
    loss: Callable  # targets, outputs -> losses [b]
    data: tuple[np.ndarray, np.ndarray]  # inputs [n, ...], targets [n, ...] of training examples
    settings: Settings


def restore(network: keras.Model, path: epath.PathLike, state: str = "final") -> None:
    """Give a network the weights, and batch norm's statistics, that a run saved.

    Args:
      network: built as the run built it.
      path: the run's directory.
      state: name of the state, as `keep` of its checkpoints named it.

    Raises:
      ValueError: the run is not complete, left no network behind, or a damaged one.
    """
    path = epath.Path(path)
    if not (path / "result.json").exists():
        raise ValueError(f"{path} holds no complete run: there is no result.json")
    if not (path / "checkpoints" / f"{state}.index").exists():
        raise ValueError(
            f"{path} left no network behind: there is no checkpoints/{state}. Runs in "
            "outputs/reference keep only numbers; make the run again in another --output_dir"
        )
    file = path / "checkpoints" / state
    try:
        checkpoints.check(file)
        saved = tf.train.Checkpoint(model=network).restore(str(file))
        saved.expect_partial().assert_existing_objects_matched()
    except checkpoints.UNREADABLE as error:
        reason = str(error).split("\n")[0]
        raise ValueError(f"{file} is unreadable ({reason}): make the run again") from error
