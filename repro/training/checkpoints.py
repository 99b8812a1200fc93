"""Checkpoints from which a run goes on as if it had never stopped, bit for bit."""

import logging
import os
import re
import tempfile
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from etils import epath

from repro import files
from repro.training import checksums

logger = logging.getLogger(__name__)

# What TensorFlow raises for damaged files: a file cut short is an IndexError.
UNREADABLE = (tf.errors.OpError, ValueError, AssertionError, IndexError, OSError, KeyError)


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
        self._variables = [*model.variables, *tf.nest.flatten(dict(others or {}))]
        self._variables += [] if optimizer is None else optimizer.variables
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
        listed = epath.Path(self._directory) / "checkpoint"
        files.check(listed, files.LARGEST)  # TensorFlow reads the list of checkpoints whole
        self._manager = tf.train.CheckpointManager(self._checkpoint, self._directory, max_to_keep=2)
        self._sums = checksums.Checksums(self._shared) if chief else None

    def copy(self) -> list[tf.Tensor]:
        """Return what training changes, but `step` and `total`, as it is now, in memory."""
        kept = (v.value if isinstance(v, keras.Variable) else v for v in self._variables)
        return [tf.identity(variable) for variable in kept]

    def put_back(self, copy: list[tf.Tensor]) -> None:
        """Write what `copy` returned into the variables."""
        for variable, value in zip(self._variables, copy, strict=True):
            variable.assign(value)

    def save(self, position: int) -> None:
        """Save the state after so many whole pieces of work."""
        self._position.assign(position)
        self._add_sum(self._manager.save())

    def keep(self, name: str) -> str:
        """Keep the present state under a name, such as `initial` or `final`; return its path."""
        path = self._checkpoint.write(os.path.join(self._directory, name))
        self._add_sum(path)
        return path

    def kept(self, name: str) -> bool:
        """Whether there is a state under a name; half of one, which a kill may leave, is none."""
        path = os.path.join(self._directory, name)
        if not tf.io.gfile.exists(f"{path}.index"):
            return False
        try:
            tf.train.load_checkpoint(path)  # the index, which is written last
        except UNREADABLE:
            return False
        return True

    def restore(self) -> int:
        """Restore the newest readable checkpoint and return its position, 0 where there is none.

        An unreadable checkpoint, or one of another run, is skipped with a warning, and the one
        before is used.

        Raises:
          ValueError: none is readable, nor is the one that the run began with.
        """
        paths = self._saved()
        for path in paths:
            try:
                self._read(path)
                return int(self._position.numpy())
            except UNREADABLE as error:
                reason = str(error).split("\n")[0]
                logger.warning("%s is unreadable (%s): using the one before", path, reason)
        if paths:
            try:
                self.restore_named("initial")
            except UNREADABLE as error:
                raise ValueError(
                    f"no checkpoint in {self._shared} is readable: remove that folder, and the "
                    "same command begins again"
                ) from error
            logger.warning("no checkpoint in %s is readable; starting again", self._shared)
        return 0

    def _saved(self) -> list[str]:
        """Return the checkpoints there are, the newest first, whatever TensorFlow's list says."""
        folder = epath.Path(self._shared)
        names = [file.name for file in folder.glob("ckpt-*.*")] if folder.is_dir() else []
        found = (re.fullmatch(r"ckpt-(\d+)\.(index|data-.*)", name) for name in names)
        numbers = {int(match[1]) for match in found if match}
        return [os.path.join(self._shared, f"ckpt-{n}") for n in sorted(numbers, reverse=True)]

    def restore_named(self, name: str) -> None:
        """Restore a state kept by `keep`."""
        self._read(os.path.join(self._shared, name))

    def _read(self, path: str) -> None:
        check(path)
        self._checkpoint.restore(path).assert_existing_objects_matched()

    def _add_sum(self, path: str) -> None:
        """Record what a checkpoint is: its index has the sums of all that it holds."""
        if self._sums is not None:
            index = epath.Path(f"{path}.index")
            self._sums.add(index.name, files.read(index))


def check(path: str | os.PathLike) -> None:
    """Raise ValueError where a checkpoint is not the one that the run saved under this name."""
    index = epath.Path(f"{os.fspath(path)}.index")
    if not checksums.Checksums(index.parent).fits(index.name, files.read(index)):
        raise ValueError(f"{path} {checksums.FAULT}")
    for data in index.parent.glob(f"{index.stem}.data-*"):  # of which only what is due is read
        files.check(data)
