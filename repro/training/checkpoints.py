"""Checkpoints from which a run goes on as if it had never stopped, bit for bit."""

import logging
import os
import tempfile
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

logger = logging.getLogger(__name__)

# What TensorFlow raises for damaged files: a file cut short is an IndexError.
UNREADABLE = (tf.errors.OpError, ValueError, AssertionError, IndexError)


class Checkpoints:
    """The checkpoints of one run: the last two, and named points kept for good.

    A `resume.Store`. Beside what it is given it holds how far the piece at work has come: `step`
    (int64) and `total` (float64), which a piece that can be stopped in its midst keeps up to date
    and puts back to 0 at its end.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        model: keras.Model,
        *,
        optimizer: keras.optimizers.Optimizer | None = None,
        others: Mapping[str, Any] | None = None,
        chief: bool = True,
    ):
        """Track everything that training changes.

        Args:
          directory: where they are written.
          model: its weights, and the states of its dropout layers, which neither
            `tf.train.Checkpoint(model)` nor `save_weights` holds.
          optimizer: built already (`optimizer.build`), else its slots are not restored exactly.
          others: name -> tf.Variable, or a list of them, that training changes too.
          chief: other workers must save too, but into a place that is thrown away.
        """
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.total = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self._position = tf.Variable(0, dtype=tf.int64, trainable=False)
        seeds = [v.value for v in model.variables if "seed_generator" in v.path]
        tracked = dict(others or {}) | ({} if optimizer is None else {"optimizer": optimizer})
        self._checkpoint = tf.train.Checkpoint(
            model=model,
            seeds=seeds,
            position=self._position,
            step=self.step,
            total=self.total,
            **tracked,
        )
        self._checkpoint.save_counter  # noqa: B018 (made on first look: `initial` must hold it too)
        self._shared = str(directory)
        self._directory = self._shared if chief else tempfile.mkdtemp()
        self._manager = tf.train.CheckpointManager(self._checkpoint, self._directory, max_to_keep=2)

    def save(self, position: int) -> None:
        """Save the state after so many whole pieces of work."""
        self._position.assign(position)
        self._manager.save()

    def keep(self, name: str) -> str:
        """Keep the present state under a name, such as `initial` or `final`; return its path."""
        return self._checkpoint.write(os.path.join(self._directory, name))

    def kept(self, name: str) -> bool:
        """Whether there is a state under a name."""
        return tf.io.gfile.exists(os.path.join(self._directory, f"{name}.index"))

    def restore(self) -> int:
        """Restore the newest readable checkpoint and return its position, 0 where there is none.

        An unreadable checkpoint is skipped with a warning, and the one before is used.
        """
        state = tf.train.get_checkpoint_state(self._shared)
        paths = list(state.all_model_checkpoint_paths) if state else []
        for path in reversed(paths):
            try:
                self._checkpoint.restore(path).assert_existing_objects_matched()
                return int(self._position.numpy())
            except UNREADABLE as error:
                reason = str(error).split("\n")[0]
                logger.warning("%s is unreadable (%s): using the one before", path, reason)
        if paths:
            self.restore_named("initial")
            logger.warning("no checkpoint in %s is readable; starting again", self._shared)
        return 0

    def restore_named(self, name: str) -> None:
        """Restore a state kept by `keep`."""
        path = os.path.join(self._shared, name)
        self._checkpoint.restore(path).assert_existing_objects_matched()
