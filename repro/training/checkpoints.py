"""Checkpoints from which a run goes on as if it had never stopped, bit for bit."""

import logging
import os
import tempfile
from collections.abc import Sequence

import keras
import tensorflow as tf

logger = logging.getLogger(__name__)

# What TensorFlow raises for damaged files: a file cut short is an IndexError.
UNREADABLE = (tf.errors.OpError, ValueError, AssertionError, IndexError)


class Checkpoints:
    """The checkpoints of one run: the last two, and named points kept for good."""

    def __init__(
        self,
        directory: str | os.PathLike,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        chief: bool = True,
        others: Sequence[keras.Variable] = (),
    ):
        """Track everything that training changes.

        Args:
          directory: where they are written.
          model: its weights, and the states of its dropout layers, which neither
            `tf.train.Checkpoint(model)` nor `save_weights` holds.
          optimizer: built already (`optimizer.build`), else its slots are not restored exactly.
          chief: other workers must save too, but into a place that is thrown away.
          others: variables that training changes beside the model's, such as a curve's bends.
        """
        self._epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        seeds = [v for v in model.variables if "seed_generator" in v.path]
        self._checkpoint = tf.train.Checkpoint(
            model=model, optimizer=optimizer, epoch=self._epoch, seeds=[v.value for v in seeds],
            **({"others": [v.value for v in others]} if others else {}),
        )
        self._checkpoint.save_counter  # noqa: B018 (made on first look: `initial` must hold it too)
        self._directory = str(directory) if chief else tempfile.mkdtemp()
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(directory) if chief else self._directory, max_to_keep=2
        )
        self._shared = str(directory)

    def save(self, epoch: int) -> None:
        """Save the state after `epoch` epochs."""
        self._epoch.assign(epoch)
        self._manager.save(checkpoint_number=epoch)

    def save_named(self, name: str) -> str:
        """Keep the present state under a name, such as `initial` or `final`; return its path."""
        return self._checkpoint.write(os.path.join(self._directory, name))

    def restore_latest(self) -> int:
        """Restore the newest readable checkpoint and return its epoch, 0 where there is none.

        An unreadable checkpoint is skipped with a warning, and the one before is used.
        """
        state = tf.train.get_checkpoint_state(self._shared)
        paths = list(state.all_model_checkpoint_paths) if state else []
        for path in reversed(paths):
            try:
                self._checkpoint.restore(path).assert_existing_objects_matched()
                return int(self._epoch.numpy())
            except UNREADABLE as error:
                reason = str(error).split("\n")[0]
                logger.warning("%s is unreadable (%s): using the one before", path, reason)
        if paths:
            self.restore_named("initial")
            logger.warning("no checkpoint in %s is readable; starting again", self._shared)
        return 0

    def restore_named(self, name: str) -> None:
        """Restore a state kept by `save_named`."""
        path = os.path.join(self._shared, name)
        self._checkpoint.restore(path).assert_existing_objects_matched()
