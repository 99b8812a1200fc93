"""The run directory: the one contract between training, tools and report.

    outputs/<binary>/<readable settings>-<8 hex of all settings>/
      flags.cfg          what the run is; `--flagfile` replays it
      environment.json   versions, commit, devices, command, start and end
      metrics.jsonl      one JSON object per evaluation
      events.*           the same numbers for TensorBoard
      checkpoints/       see checkpoints.py
      arrays.npz         what figures need beyond metrics, where there is any
      result.json        written last, by rename: the run is complete

All paths may be remote (`gs://`); only the chief of several workers writes.
"""

import datetime
import errno
import hashlib
import json
import os
from collections.abc import Mapping

from etils import epath

PLACES_COMMENT = "# where things are, not what is computed"


class RunDirectoryError(RuntimeError):
    """A run directory cannot be used: other settings, another process, no space."""


class HeldError(RunDirectoryError):
    """Another process holds the run directory."""


def settings_hash(settings: Mapping) -> str:
    """Return 8 hexadecimal digits that stand for all settings of a run.

    None does not count, so that a new flag whose default is None leaves the names of old runs.
    """
    said = {name: value for name, value in settings.items() if value is not None}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:8]


def flag_lines(settings: Mapping) -> list[str]:
    """Return settings as lines of an absl flag file; None is left to the flag's default."""
    lines = []
    for name, value in settings.items():
        if isinstance(value, list | tuple):
            value = ",".join(map(str, value))
        if value is not None:
            lines.append(f"--{name}={str(value).lower() if isinstance(value, bool) else value}")
    return lines


def find(home: str | os.PathLike, settings: Mapping) -> epath.Path | None:
    """Return the directory below `home` of a run with these settings, complete or not."""
    lines, home = flag_lines(settings), epath.Path(home)
    for path in sorted(home.iterdir()) if home.exists() else ():
        file = path / "flags.cfg"
        if file.exists() and file.read_text().split(PLACES_COMMENT)[0].splitlines() == lines:
            return path
    return None


class RunDirectory:
    """A run's directory, held by one process at a time."""

    def __init__(
        self,
        path: str | os.PathLike,
        settings: Mapping,
        *,
        places: Mapping | None = None,
        chief: bool = True,
        wait: bool = False,
    ):
        """Make the directory or take it up again.

        Args:
          path: of the directory, local or remote.
          settings: everything the result depends on, JSON values by flag name.
          places: flags that say where data is; recorded, but no part of the run's identity.
          chief: whether this process writes; other workers only read.
          wait: wait for another process that holds it, rather than raise.

        Raises:
          RunDirectoryError: it was made with other settings.
          HeldError: another process holds it.
        """
        self.path, self.chief = epath.Path(path), chief
        self.settings = dict(settings)
        self._lock = self._writer = None
        if not chief:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        self._take_lock(wait)
        self._write_or_compare_flags(places or {})

    # --- what a finished run left -------------------------------------------------------------

    def result(self) -> dict | None:
        """Return the result of a complete run, else None."""
        file = self.path / "result.json"
        return json.loads(file.read_text()) if file.exists() else None

    def metrics(self) -> list[dict]:
        """Return the rows of metrics.jsonl; a last line cut off by a kill is left out."""
        file = self.path / "metrics.jsonl"
        rows = []
        for line in file.read_text().splitlines() if file.exists() else []:
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return rows

    # --- writing --------------------------------------------------------------------------------

    def begin(self, epoch: int, environment: Mapping) -> None:
        """Start or go on after `epoch`: drop later metrics, note the environment."""
        if not self.chief:
            return
        kept = [row for row in self.metrics() if row["epoch"] <= epoch]
        self._write("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in kept))
        self._environment = {**environment, "start": _now(), "resumed_after_epoch": epoch or None}
        self._write_json("environment.json", self._environment)

    def log(self, row: Mapping) -> None:
        """Append a row of metrics named `split/quantity`, with `epoch` and `step`."""
        if not self.chief:
            return
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        self._summarize(row)

    def save_arrays(self, **arrays) -> None:
        """Write arrays.npz, for figures."""
        import numpy as np

        if self.chief:
            with (self.path / "arrays.npz").open("wb") as file:
                np.savez_compressed(file, **arrays)

    def finish(self, result: Mapping) -> dict:
        """Write result.json, the mark of completion, and return it."""
        result = dict(result)
        if self.chief:
            self._write_json("environment.json", {**self._environment, "end": _now()})
            self._write_json("result.json", result)
        self.close()
        return result

    def close(self) -> None:
        """Let go of the directory."""
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            self._lock.close()
        self._lock = self._writer = None

    # --- details --------------------------------------------------------------------------------

    def _take_lock(self, wait: bool) -> None:
        if "://" in str(self.path):  # remote stores have no locks
            return
        import fcntl

        self._lock = open(self.path / "lock", "w")  # noqa: SIM115 (held until close)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            self._lock.close()
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise HeldError(
                    f"another process is writing to {self.path}; wait for it or use --run_dir"
                ) from error
            raise

    def _write_or_compare_flags(self, places: Mapping) -> None:
        file, lines = self.path / "flags.cfg", flag_lines(self.settings)
        if not file.exists():
            places = [PLACES_COMMENT, *flag_lines(places)]
            self._write("flags.cfg", "\n".join([*lines, *places]) + "\n")
            return
        made_with = file.read_text().split(PLACES_COMMENT)[0].splitlines()
        if made_with != lines:
            different = sorted(set(made_with) ^ set(lines))
            self.close()
            raise RunDirectoryError(
                f"{self.path} was made with other settings ({' '.join(different)}); "
                "use another --run_dir"
            )

    def _write(self, name: str, text: str) -> None:
        """Write a file whole or not at all."""
        partial = self.path / f"{name}.partial"
        partial.write_text(text)
        partial.replace(self.path / name)

    def _write_json(self, name: str, value: Mapping) -> None:
        self._write(name, json.dumps(value, indent=1) + "\n")

    def _summarize(self, row: Mapping) -> None:
        import tensorflow as tf

        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self.path))
        with self._writer.as_default(step=row["step"]):
            for name, value in row.items():
                if "/" in name:
                    tf.summary.scalar(name, value)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
