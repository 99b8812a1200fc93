"""The state of a run that is a few arrays: written whole or not at all, read back bit for bit."""

import io
import logging
import os
from collections.abc import Mapping

import numpy as np
from etils import epath

from repro import arrays, files
from repro.training import checksums

logger = logging.getLogger(__name__)

POSITION = "_position"


def read_arrays(file: epath.Path) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file that a run wrote, without pickled objects.

    Raises:
      ValueError: the file is damaged, or is not the one that the run wrote.
    """
    try:
        content = files.read(file, files.ARRAYS)
        found = arrays.read(content)
    except (ValueError, OSError) as error:
        raise ValueError(f"{file} is damaged: {' '.join(str(error).split())}") from error
    if not checksums.Checksums(file.parent).fits(file.name, content):
        raise ValueError(f"{file} {checksums.FAULT}")
    return found


def read_unnamed(file: epath.Path) -> list[np.ndarray]:
    """Return the weights that write_arrays wrote without names, in their order.

    Raises:
      ValueError: as read_arrays, or the file holds something else.
    """
    found = read_arrays(file)
    named = [found.get(f"arr_{place}") for place in range(len(found))]
    if not named or any(array is None or array.dtype.kind != "f" for array in named):
        raise ValueError(f"{file} holds something else than weights")
    return named


def write_arrays(file: epath.Path, *unnamed: np.ndarray, **named: np.ndarray) -> None:
    """Write an .npz file whole or not at all; read_arrays will see what is damaged of it."""
    content = io.BytesIO()
    np.savez(content, *unnamed, **named)
    checksums.Checksums(file.parent).add(file.name, content.getvalue())
    partial = file.parent / f"{file.name}.partial"
    partial.write_bytes(content.getvalue())
    partial.replace(file)


class Snapshots:
    """The saved states of one run, arrays by name: the last two, and named ones. A `resume.Store`.

    `state` is the present one, a dict that pieces of work replace and never change.
    """

    def __init__(
        self, directory: str | os.PathLike, start: Mapping[str, np.ndarray], *, chief: bool = True
    ):
        """Begin with the state `start`, until `restore` finds a later one in the directory."""
        self.state = dict(start)
        self._start, self._directory, self._chief = self.state, epath.Path(directory), chief

    def save(self, position: int) -> None:
        """Save the state after so many whole pieces of work, and keep the one before."""
        self._write(f"state-{position}.npz", position)
        if not self._chief:
            return
        saved = self._saved()  # those after this one are unreadable: restore has passed them over
        now = next(i for i, path in enumerate(saved) if path.name == f"state-{position}.npz")
        for path in [*saved[:now], *saved[now + 2 :]]:
            path.unlink()

    def keep(self, name: str) -> None:
        """Keep the present state under a name for good."""
        self._write(f"{name}.npz", -1)

    def kept(self, name: str) -> bool:
        """Whether there is a state under a name."""
        return (self._directory / f"{name}.npz").exists()

    def restore(self) -> int:
        """Restore the newest readable state and return its position, 0 where there is none.

        An unreadable one is skipped with a warning, and the one before is used.
        """
        for path in self._saved():
            try:
                state = read_arrays(path)
                position = int(state.pop(POSITION))
            except (ValueError, KeyError, TypeError) as error:
                logger.warning("%s is unreadable (%s): using the one before", path, error)
                continue
            self.state = state
            return position
        self.state = self._start
        return 0

    def _saved(self) -> list[epath.Path]:
        """Return the saved states there are, the newest first."""
        paths = self._directory.glob("state-*.npz") if self._directory.exists() else ()
        numbered = [(path.name[6:-4], path) for path in paths]
        kept = [(int(number), path) for number, path in numbered if number.isdigit()]
        return [path for _, path in sorted(kept, reverse=True)]

    def _write(self, name: str, position: int) -> None:
        if not self._chief:
            return
        state = {**self.state, POSITION: np.array(position)}
        write_arrays(self._directory / name, **state)
