"""Reading run directories: what a run was asked to do, what it measured, what it ended with."""

import csv
import dataclasses
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from repro import arrays, files


class DamagedError(ValueError):
    """A run directory's files cannot be read."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A complete run: its `settings` by name, the rows of its metrics.jsonl, its result.json."""

    path: Path
    settings: dict
    result: dict
    metrics: list[dict]

    def curve(self, quantity: str) -> tuple[list[int], list[float]]:
        """Return epochs and values of a quantity such as `train/loss`."""
        rows = [row for row in self.metrics if quantity in row]
        return [row["epoch"] for row in rows], [row[quantity] for row in rows]

    def arrays(self) -> dict:
        """Return the arrays of arrays.npz by name.

        Raises:
          DamagedError: it cannot be read; never does it hold pickled objects.
        """
        file = self.path / "arrays.npz"
        try:
            return arrays.read(files.read(file, files.ARRAYS))
        except (ValueError, OSError) as error:
            raise DamagedError(f"{file} cannot be read: {error}") from error

    def first_epoch(
        self, quantity: str, *, at_most: float = math.inf, at_least: float = -math.inf
    ) -> int | None:
        """Return the first epoch whose value is within the bounds; None if there is none."""
        for epoch, value in zip(*self.curve(quantity)):
            if at_least <= value <= at_most:
                return epoch
        return None


def check_inside(folder: Path, *files: Path) -> None:
    """Raise DamagedError where a symbolic link leads one of these files out of a folder."""
    whole = Path(os.path.realpath(folder))
    for file in files:
        if not Path(os.path.realpath(file)).is_relative_to(whole):
            raise DamagedError(f"{file} leads out of {folder} by a symbolic link: remove the link")


def load(path: Path, settings: Mapping) -> Run | None:
    """Read a run directory; None if the run is not complete.

    Args:
      path: of the directory.
      settings: of the run by name, as repro.settings.as_dict returns them.

    Raises:
      DamagedError: its files are not what runs write, or lie elsewhere.
    """
    if path.is_dir():
        check_inside(path, *path.iterdir())
    if not (path / "result.json").exists():
        return None
    metrics = path / "metrics.jsonl"
    try:
        result = json.loads(files.read(path / "result.json"))
        lines = files.read(metrics).splitlines() if metrics.exists() else []
        rows = [json.loads(line) for line in lines]
        json.dumps([result, rows], ensure_ascii=False).encode()  # or no page could hold it
    except (ValueError, RecursionError, OSError) as error:
        raise DamagedError(f"result.json or metrics.jsonl of {path} is damaged: {error}") from error
    if not all(isinstance(value, dict) for value in (result, *rows)):
        raise DamagedError(f"result.json or metrics.jsonl of {path} holds no objects of JSON")
    return Run(path, dict(settings), result, rows)


def select(runs: Iterable[Run], **settings) -> list[Run]:
    """Return the runs with these settings."""
    return [run for run in runs if all(run.settings.get(k) == v for k, v in settings.items())]


def only(runs: Iterable[Run], **settings) -> Run | None:
    """Return the first run with these settings, the one of the lowest seed; None without any."""
    found = sorted(select(runs, **settings), key=lambda run: run.settings.get("seed", 0))
    return found[0] if found else None


def distinct(runs: Iterable[Run], setting: str) -> list:
    """Return the distinct values of a setting, in order of first appearance."""
    return list(dict.fromkeys(run.settings.get(setting) for run in runs))


def protocol(runs: Sequence[Run]) -> str:
    """Describe in one line what runs have in common: data, sizes, epochs, precision, seeds.

    Runs that describe their protocol themselves are quoted, words that differ side by side.
    """
    if all("protocol" in run.result for run in runs):
        return _side_by_side([run.result["protocol"] for run in runs])

    def values(name):
        return "/".join(str(v) for v in distinct(runs, name) if v is not None)

    examples = sorted({run.result["train_examples"] for run in runs})
    tested = sorted({run.result["test_examples"] for run in runs})
    network = values("model") + (f" (width {values('width')})" if values("width") else "")
    parts = [
        f"{network} on {values('dataset')}" if values("model") else "",
        f"{_join(examples)} training and {_join(tested)} test images" if any(tested) else "",
        f"at most {values('epochs')} epochs" if values("epochs") else "",
        f"at most {values('iterations')} steps" if values("iterations") else "",
        f"batch {values('batch_size')}" if values("batch_size") else "",
        _tuned(runs),
        _pretraining(values),
        values("precision"),
        f"seed {values('seed')}",
    ]
    return ", ".join(part for part in parts if part)


def _tuned(runs: Sequence[Run]) -> str:
    """Say which settings were found by a sweep rather than said by the paper or a default."""
    found: dict[str, set] = {}
    for run in runs:
        for name, origin in (run.result.get("unsaid") or {}).items():
            if origin == "tuned":
                found.setdefault(name, set()).add(run.settings[name])
    values = (f"{name} {'/'.join(map(str, sorted(found[name])))}" for name in sorted(found))
    return f"tuned {' and '.join(values)}" if found else ""


def _pretraining(values) -> str:
    """Describe the adversarial starts of Liu et al.'s runs, if there are any."""
    if not values("replicas"):
        return ""
    return (
        f"adversarial starts from R={values('replicas')} random-label copies of each image with "
        f"N={values('zero_out')} of the {values('zero_unit')} black, trained at most "
        f"{values('pretrain_epochs')} epochs"
    )


def read_columns(file: Path) -> dict[str, list[float]]:
    """Return the columns of a digitised figure's CSV file; NaN for no point."""
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    return {key: [float(row[key] or "nan") for row in rows] for key in rows[0]}


def _side_by_side(texts: Sequence[str]) -> str:
    """Return texts as one, such as `width 4/5, seed 0`, or all of them where too much differs."""
    words = [re.split(r"(,? )", text) for text in dict.fromkeys(texts)]
    if len({len(each) for each in words}) > 1:
        return "; ".join(dict.fromkeys(texts))
    return "".join("/".join(dict.fromkeys(column)) for column in zip(*words))


def _join(numbers: Sequence[int]) -> str:
    return "/".join(f"{number:,}" for number in numbers)
