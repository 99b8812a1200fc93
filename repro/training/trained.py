"""What a finished run has trained, opened for any instrument."""

import dataclasses
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf
from etils import epath

from repro.settings import Settings, read
from repro.training import checkpoints


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network as a run left it, the loss it was trained on, and what it was trained on."""

    network: keras.Model
    loss: Callable  # targets, outputs -> losses [b]
    data: tuple[np.ndarray, np.ndarray]  # inputs [n, ...], targets [n, ...] of training examples
    settings: Settings


def read_complete(stages: Mapping[str, type[Settings]], path: epath.Path) -> Settings:
    """Return the settled settings of a complete run, from the flags.cfg in its directory.

    Args:
      stages: the paper's classes by stage.
      path: of the directory, local or remote.

    Raises:
      ValueError: the run is not complete, or its flags are none of the paper's.
    """
    if not (path / "result.json").exists():
        raise ValueError(f"{path} holds no complete run: there is no result.json")
    return read(stages, path)


def restore(network: keras.Model, path: epath.PathLike, state: str = "final") -> None:
    """Give a network the weights, and batch norm's statistics, that a run saved.

    Args:
      network: built as the run built it.
      path: the run's directory.
      state: name of the state, as `keep` of its checkpoints named it.

    Raises:
      ValueError: the run left no network behind, or a damaged one.
    """
    path = epath.Path(path)
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
