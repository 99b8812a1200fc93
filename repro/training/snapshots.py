"""The state of a run that is a few arrays: written whole or not at all, read back bit for bit."""

import logging
import os
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np
from etils import epath

logger = logging.getLogger(__name__)

UNREADABLE = (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
POSITION = "_position"


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
                with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                    state = dict(arrays)
                position = int(state.pop(POSITION))
            except UNREADABLE as error:
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
        self._directory.mkdir(parents=True, exist_ok=True)
        partial = self._directory / f"{name}.partial"
        with partial.open("wb") as file:
            np.savez(file, **self.state, **{POSITION: np.array(position)})
        partial.replace(self._directory / name)
