"""The run directory: the one contract between training, tools and report.

    outputs/<paper>/<readable settings>-<8 hex of all settings>/
      flags.cfg          what the run is; `--flagfile` replays it
      environment.json   versions, code, machine, devices, command, start and end
      metrics.jsonl      one JSON object a line, names are `split/quantity`
      events.*           the same for TensorBoard, made from metrics.jsonl, with settings and result
      checkpoints/       see checkpoints.py and snapshots.py
      arrays.npz         what figures need beyond metrics, where there is any
      result.json        written last, by rename: the run is complete
      checksums.txt      tells damage, and files of other runs, see checksums.py

All paths may be remote (`gs://`); only the chief of several workers writes.
"""

import dataclasses
import datetime
import io
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from etils import epath

from repro import files
from repro.fields import PLACES, flag_lines, read_flag_file
from repro.training import checksums, locks, trackers


class RunDirectoryError(RuntimeError):
    """A run directory cannot be used: it is of other settings, or damaged."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What an experiment works with beside its settings: where it runs, and where it writes."""

    directory: "RunDirectory"
    strategy: Any  # the tf.distribute.Strategy of this process
    data_dir: str | None = None  # where tensorflow-datasets keeps prepared data
    download: bool = True  # whether it may download what is missing
    checkpoint_every: int = 1  # pieces of work between two checkpoints
    need: Callable | None = None  # settings -> RunDirectory of that complete run, made if missing

    @property
    def checkpoints(self) -> epath.Path:
        """The folder of the run's checkpoints."""
        return self.directory.path / "checkpoints"


class RunDirectory:
    """A run's directory, held by one process at a time."""

    def __init__(
        self,
        path: str | os.PathLike,
        settings: Mapping | None = None,
        *,
        places: Mapping | None = None,
        environment: Mapping | None = None,
        chief: bool = True,
        wait: bool = False,
    ):
        """Make the directory or take it up again.

        Args:
          path: of the directory, local or remote.
          settings: everything the result depends on, JSON values by flag name; None: only read.
          places: flags that say where data is; recorded, but no part of the run's identity.
          environment: what environment.json says of versions and machine.
          chief: whether this process writes; other workers only read.
          wait: wait for another process that holds it, rather than raise.

        Raises:
          RunDirectoryError: it was made with other settings, or holds a symbolic link, or what is
            neither a file nor a folder.
          ValueError: its flags.cfg is damaged.
          locks.HeldError: another process holds it.
        """
        self.path, self.chief = epath.Path(path), chief and settings is not None
        self.settings = dict(settings or {})
        self._environment = dict(environment or {})
        self._lock = self._writer = None
        self._sums = checksums.Checksums(self.path)
        self.watch: Callable[[Mapping], None] | None = None  # gets all rows too
        if not self.chief:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            checksums.check_places(self.path)
        except ValueError as error:
            raise RunDirectoryError(f"{error}, or use another --run_dir") from error
        self._lock = locks.take(self.path, wait=wait)
        try:
            self._write_or_compare_flags(places or {})
        except BaseException:
            self.close()
            raise

    # --- what a run left ------------------------------------------------------------------------

    def result(self) -> dict | None:
        """Return the result of a complete run, else None.

        Raises:
          RunDirectoryError: result.json is no JSON object, or not the one that was written.
        """
        file = self.path / "result.json"
        if not file.exists():
            return None
        again = "remove it, and the same command makes it again"
        try:
            content = files.read(file)
            result = json.loads(content)
        except (ValueError, RecursionError, OSError) as error:
            raise RunDirectoryError(f"{file} is damaged ({error}): {again}") from error
        if not isinstance(result, dict):
            raise RunDirectoryError(f"{file} holds no result: {again}")
        if not self._sums.fits("result.json", content):
            raise RunDirectoryError(f"{file} {checksums.FAULT}: {again}")
        if self._sums.lost():
            trust = "remove it, if you trust the other files"
            raise RunDirectoryError(f"{self.path / checksums.NAME} {checksums.FAULT}: {trust}")
        return result

    def metrics(self) -> list[dict]:
        """Return the rows of metrics.jsonl; what follows a line that is no row is left out."""
        file, known = self.path / "metrics.jsonl", self._sums.known()
        rows = []
        for line in files.read(file).splitlines() if file.exists() else []:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                break
            if not isinstance(row, dict) or not isinstance(row.get("epoch"), int):
                break
            if not self._sums.fits("metrics.jsonl", line, known):
                break
            rows.append(row)
        return rows

    # --- writing --------------------------------------------------------------------------------

    def begin(self, position: int) -> list[dict]:
        """Start or go on after a position, and return the rows of metrics up to there.

        Later rows are dropped, from what TensorBoard shows too.

        Args:
          position: the last piece of work that is kept; rows name theirs as `epoch`.

        Raises:
          RunDirectoryError: its row is not there, so that the file must have been damaged.
        """
        kept = [row for row in self.metrics() if row["epoch"] <= position]
        if position and (not kept or kept[-1]["epoch"] != position):
            raise RunDirectoryError(
                f"{self.path / 'metrics.jsonl'} is damaged, as the row of epoch {position} cannot "
                f"be read: remove {self.path}, and the same command makes it again"
            )
        if not self.chief:
            return kept
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        lines = [json.dumps(row).encode() for row in kept]
        if "metrics.jsonl" not in self._sums.known():
            self._sums.add("metrics.jsonl", *lines)
        self._replace("metrics.jsonl", b"".join(line + b"\n" for line in lines))
        for events in self.path.glob("events.*"):
            events.unlink()
        for row in kept:
            self._summarize(row)
        self._environment |= {"start": _now(), "resumed_after_epoch": position or None}
        self._write_json("environment.json", self._environment)
        return kept

    def log(self, row: Mapping) -> None:
        """Append a row of metrics named `split/quantity`, with `epoch` and `step`."""
        if not self.chief:
            return
        line = json.dumps(row, default=_plain)
        self._sums.add("metrics.jsonl", line.encode())
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(f"{line}\n")
        self._summarize(row)

    def save_arrays(self, **arrays) -> None:
        """Write arrays.npz, for figures, whole or not at all."""
        import numpy as np

        if not self.chief:
            return
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        self.write("arrays.npz", content.getvalue())

    def write(self, name: str, content: bytes) -> None:
        """Write a file of results whole or not at all; a reader will see what is damaged of it."""
        if not self.chief:
            return
        self._sums.add(name, content)
        self._replace(name, content)

    def finish(self, result: Mapping) -> dict:
        """Write result.json, the mark of completion, and return it."""
        result = dict(result)
        if self.chief:
            rows = self.metrics()
            last = {"step": rows[-1]["step"] if rows else 0}
            self._write_events(last | trackers.final_metrics(result))
            self._environment |= {"end": _now()}
            self._write_json("environment.json", self._environment)
            metrics = self.path / "metrics.jsonl"
            if metrics.exists():
                self._sums.add(checksums.ALL_METRICS, metrics.read_bytes())
            self._write_json("result.json", result)
        self.close()
        return result

    def record(self, **facts) -> None:
        """Add facts to what environment.json will say."""
        self._environment |= facts

    def close(self) -> None:
        """Let go of the directory."""
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            self._lock.release()
        self._lock = self._writer = None

    # --- details --------------------------------------------------------------------------------

    def _write_or_compare_flags(self, places: Mapping) -> None:
        file, lines = self.path / "flags.cfg", flag_lines(self.settings)
        if not file.exists():
            text = "\n".join([*lines, PLACES, *flag_lines(places)]) + "\n"
            self._replace("flags.cfg", text.encode())
            return
        made_with = {f"--{name}={value}" for name, value in read_flag_file(file).items()}
        if made_with != set(lines):
            different = sorted(made_with ^ set(lines))
            raise RunDirectoryError(
                f"{self.path} was made with other settings ({' '.join(different)}); "
                "use another --run_dir"
            )

    def _replace(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        partial = self.path / f"{name}.partial"
        partial.write_bytes(content)
        partial.replace(self.path / name)

    def _write_json(self, name: str, value: Mapping) -> None:
        self.write(name, (json.dumps(value, indent=1, default=_plain) + "\n").encode())

    def _summarize(self, row: Mapping) -> None:
        """Pass a row of metrics on to those who watch."""
        self._write_events(row)
        if self.watch is not None:
            self.watch(row)

    def _write_events(self, row: Mapping) -> None:
        """Add a row to what TensorBoard shows, the first one after the settings."""
        import tensorflow as tf
        from tensorboard.plugins.hparams import api

        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self.path))
            with self._writer.as_default(step=0):
                api.hparams(trackers.hparams(self.settings), trial_id=self.path.name)
        with self._writer.as_default(step=row["step"]):
            for name, value in row.items():
                if "/" in name:
                    tf.summary.scalar(name, value)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _plain(value):
    """Return a scalar of NumPy as JSON has it; an hour's result must not be lost to its type."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    raise TypeError(f"{type(value).__name__} {value!r} is nothing that JSON has")
