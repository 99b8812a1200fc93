"""What a run directory says of itself: not its numbers alone, but where they come from."""

import dataclasses
import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from repro import files
from repro.reporting.results import Run, check_inside

CURRENT, CHANGED, EARLIER = "current", "changed", "earlier"
KINDS = {  # what environment.json and its `machine` have, where they have it
    **dict.fromkeys(("command", "start", "end", "commit", "strategy", "processor"), str),
    **dict.fromkeys(("code", "versions", "machine"), Mapping),
    "cpus": int,
    "memory_gib": int | float,
    "gpus": list,
}
CODE = {
    CURRENT: "made by the code as it is now",
    CHANGED: "made before the modules changed that are named",
    EARLIER: "made by earlier code, which recorded no fingerprint of itself",
}


@dataclasses.dataclass(frozen=True)
class Found:
    """A run directory as it is: complete, going on, broken off, or unreadable."""

    paper: str
    path: Path
    settings: dict
    result: dict | None  # None: not complete
    metrics: list[dict]
    environment: dict
    problem: str = ""  # why it cannot be read, in one line

    @property
    def run(self) -> Run:
        """The run as figures and claims take it."""
        return Run(self.path, self.settings, self.result or {}, self.metrics)

    @property
    def status(self) -> str:
        """`complete`, `diverged`, `not complete`, `unreadable`."""
        if self.problem:
            return "unreadable"
        if self.result is None:
            return "not complete"
        return str(self.result.get("status") or "complete")


def read(paper: str, path: Path, settings: Callable[[Path], Mapping]) -> Found:
    """Read a run directory; what is damaged is said in `problem`, not raised.

    Nothing is read that a symbolic link leads to, out of the directory or of the output folder.

    Args:
      paper: whose run it is.
      path: of the directory, <output folder>/<paper>/<run>.
      settings: path -> settings by name; raises ValueError or OSError where they cannot be read.
    """
    said, result, metrics, environment, problem = {}, None, [], {}, ""
    try:
        check_inside(path.parents[1], path)
        check_inside(path, *path.iterdir())
        metrics = rows(path / "metrics.jsonl")
        said = dict(settings(path))
        result = _json(path / "result.json")
        environment = _checked(_json(path / "environment.json") or {})
    except (ValueError, OSError) as error:
        result, problem = None, f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Found(paper, path, said, result, metrics, environment, problem)


def rows(file: Path) -> list[dict]:
    """Return the rows of metrics.jsonl, up to a line that is still being written."""
    found = []
    for line in files.read(file).splitlines() if file.exists() else []:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(row, dict) or not isinstance(row.get("epoch"), int):
            break
        found.append(row)
    return found


def record(found: Found, code: Mapping[str, str], needs: Sequence[str] = ()) -> dict:
    """Return what the ledger says of a run, as JSON has it.

    Args:
      found: the run.
      code: module -> fingerprint of the code as it is now.
      needs: names of the runs that it started from.
    """
    environment, result = found.environment, found.result or {}
    state, changed = _code_state(environment.get("code"), code)
    versions = environment.get("versions") or {}
    last = found.metrics[-1] if found.metrics else {}
    return {
        "paper": found.paper,
        "name": found.path.name,
        "status": found.status,
        "problem": found.problem,
        "stage": found.settings.get("stage", ""),
        "settings": {k: v for k, v in found.settings.items() if v is not None and k != "stage"},
        "seed": found.settings.get("seed"),
        "results": {k: v for k, v in result.items() if isinstance(v, int | float | str)},
        "last": {k: v for k, v in last.items() if isinstance(v, int | float)},
        "seconds": _seconds(result, last, environment),
        "start": environment.get("start"),
        "end": environment.get("end"),
        "commit": environment.get("commit"),
        "dirty": environment.get("dirty"),
        "code": state,
        "changed": changed,
        "machine": machine(environment),
        "versions": {k: versions[k] for k in ("tensorflow", "keras", "numpy") if k in versions},
        "command": environment.get("command"),
        "needs": sorted(set(needs)),
    }


def machine(environment: Mapping) -> str:
    """Describe in a line what a run was computed on, as far as it was recorded."""
    said = environment.get("machine") or {}
    cpus = environment.get("cpus")
    parts = [
        ", ".join(said.get("gpus") or []),
        said.get("processor") or "",
        f"{cpus} CPUs" if cpus else "",
        f"{said['memory_gib']:g} GiB" if said.get("memory_gib") else "",
        f"strategy {environment['strategy']}"
        if environment.get("strategy", "default") != "default"
        else "",
    ]
    return ", ".join(part for part in parts if part)


def _seconds(result: Mapping, last: Mapping, environment: Mapping) -> float | None:
    """Return how long a run took: what it says, alone or by phase, or from its start to its end."""
    said = result.get("seconds", last.get("seconds"))
    if isinstance(said, Mapping):
        said = sum(value for value in said.values() if isinstance(value, int | float))
    if isinstance(said, int | float):
        return said
    try:
        start, end = (datetime.datetime.fromisoformat(environment[k]) for k in ("start", "end"))
        seconds = (end - start).total_seconds()
    except (KeyError, TypeError, ValueError):
        return None
    return seconds if seconds >= 0 else None  # the clock was set back in between


def _code_state(made: Mapping[str, str] | None, now: Mapping[str, str]) -> tuple[str, list[str]]:
    if made is None:
        return EARLIER, []
    changed = sorted(name for name, digits in made.items() if now.get(name) != digits)
    return (CHANGED if changed else CURRENT), changed


def _json(file: Path) -> dict | None:
    if not file.exists():
        return None
    try:
        value = json.loads(files.read(file))
        json.dumps(value, ensure_ascii=False).encode()  # or no page could hold it
    except (ValueError, RecursionError, OSError) as error:
        raise ValueError(f"{file.name} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{file.name} is no JSON object")
    return value


def _checked(environment: Mapping) -> Mapping:
    """Return what environment.json says; raise ValueError where runs write nothing like it."""
    machine_ = environment.get("machine")
    said = {**(machine_ if isinstance(machine_, Mapping) else {}), **environment}
    wrong = [name for name, kind in KINDS.items() if not isinstance(said.get(name), kind | None)]
    if not wrong and not all(isinstance(name, str) for name in said.get("gpus") or ()):
        wrong = ["gpus"]
    if wrong:
        raise ValueError(f"environment.json is none of a run: look at its {', '.join(wrong)}")
    return environment
