"""Draw a figure or table of a paper: run what is missing, draw, judge the claims.

    tools/reproduce randomization/fig1a --scale=cpu --data_dir=DIR

A figure is one file, configs/<paper>/<figure>.toml. Settings come from its tables [flags], [grid],
[scale.NAME] and [[scale.NAME.runs]], later ones winning; a list of values is an axis of the grid,
and there is one run per combination. `runs_of` names a figure whose runs are looked at anew. Runs
are named by their settings, so whatever made them before, they are not made again.
"""

import argparse
import concurrent.futures
import dataclasses
import itertools
import json
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from repro import papers
from repro import settings as settings_
from repro.settings import CONFIGS, Place, as_dict, fields

SCALES = ("smoke", "cpu", "paper")
PLACES = {field.name for field, _ in fields(Place)}


@dataclasses.dataclass(frozen=True)
class Planned:
    """A run of a figure: its directory, its settings as settled, its command line."""

    path: Path
    settings: settings_.Settings
    command: list[str]


def load_config(name: str) -> dict:
    """Return the parsed configs/<name>.toml.

    Raises:
      ValueError: there is none; the message lists those there are.
    """
    file = CONFIGS / f"{name}.toml"
    if not file.exists():
        names = sorted(str(f.relative_to(CONFIGS).with_suffix("")) for f in CONFIGS.rglob("*.toml"))
        raise ValueError(f"unknown figure {name!r}; choose from {', '.join(names)}")
    return tomllib.loads(file.read_text())


def expand(config: dict, scale: str) -> list[dict]:
    """Return the flags of every run of a figure at a scale.

    Raises:
      ValueError: the figure has no such scale.
    """
    if "runs_of" in config:
        config = load_config(config["runs_of"])
    scales = config.get("scale", {})
    if scale not in scales:
        raise ValueError(f"no scale {scale!r}; this figure has {', '.join(scales)}")
    chosen = dict(scales[scale])
    groups = chosen.pop("runs", None) or config.get("runs") or [{}]
    runs = []
    for group in groups:
        flags = {**config.get("flags", {}), **config.get("grid", {}), **chosen, **group}
        axes = {k: value if isinstance(value, list) else [value] for k, value in flags.items()}
        runs += [dict(zip(axes, values)) for values in itertools.product(*axes.values())]
    return runs


def plan(paper: str, runs: Iterable[Mapping], output_dir: Path, passed: Mapping) -> list[Planned]:
    """Return the runs of a figure, each once, whatever the texts that say it.

    Args:
      paper: whose runs they are.
      runs: flags of each, as `expand` returns them.
      output_dir: where they land.
      passed: flags of this machine, such as data_dir and strategy, for all runs that have them.

    Raises:
      ValueError: flags that the paper does not take; the message says which.
    """
    stages, planned = papers.stages(paper), {}
    for flags in runs:
        own = {name: value for name, value in flags.items() if name not in PLACES}
        asked = settings_.from_dict(stages, own)
        known = {field.name for field, _ in fields(type(asked))} | PLACES
        extra = {name: value for name, value in passed.items() if name in known}
        asked = asked.replace(**{k: v for k, v in extra.items() if k not in PLACES})
        settled, _ = settings_.settle(asked)
        path = output_dir / paper / settings_.name(settled)
        lines = settings_.flag_lines({**flags, **extra, "output_dir": output_dir})
        command = [sys.executable, "-m", f"repro.{paper}", *lines]
        planned.setdefault(path, Planned(path, settled, command))
    return list(planned.values())


def run_missing(runs: Sequence[Planned], jobs: int) -> list[Planned]:
    """Make the runs that are not complete and return those that failed."""
    missing = [run for run in runs if not (run.path / "result.json").exists()]
    print(f"{len(runs)} runs, {len(runs) - len(missing)} complete")

    def start(numbered: tuple[int, Planned]) -> Planned | None:
        number, run = numbered
        print(f"[{number}/{len(missing)}] {run.path.name}", flush=True)
        run.path.mkdir(parents=True, exist_ok=True)
        with (run.path / "log.txt").open("a") as log:
            output = {"stdout": log, "stderr": log} if jobs > 1 else {}
            done = subprocess.run(run.command, **output)
        return run if done.returncode else None

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return [run for run in pool.map(start, enumerate(missing, start=1)) if run is not None]


def draw(
    config: Mapping, name: str, scale: str, planned: Iterable[Planned], output_dir: Path
) -> int:
    """Draw a figure from complete runs, judge its claims, print both; return the number of runs."""
    from repro.reporting import claims, figures, results

    paper = name.split("/")[0]
    found = [results.load(run.path, as_dict(run.settings)) for run in planned]
    found = [run for run in found if run is not None]
    runs = found
    if papers.module(paper, "figures").WITHOUT_DIVERGED:
        runs = [run for run in found if run.result["status"] != "diverged"]
    if len(runs) < len(found):
        print(f"{len(found) - len(runs)} of {len(found)} runs diverged and are left out")
    if not runs:
        return 0
    stem = output_dir / "figures" / f"{name.replace('/', '-')}-{scale}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    for file in figures.draw(papers.figure(paper, config["figure"]), runs, config["title"], stem):
        print(f"drew {file}")
    known = papers.claims(paper)
    records = claims.judge([known[id_] for id_ in config["claims"]], runs, scale)
    stem.with_suffix(".json").write_text(
        json.dumps({"title": config["title"], "name": name, "scale": scale, "runs": len(runs),
                    "protocol": results.protocol(runs), "claims": records}, indent=1) + "\n"
    )
    print(claims.as_text(records))
    return len(runs)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tools/reproduce", description=__doc__.split("\n")[0])
    parser.add_argument("name", help="a figure or table, such as randomization/fig1a")
    parser.add_argument("--scale", choices=SCALES, default="cpu")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs"))
    parser.add_argument("--data_dir", help="where tensorflow-datasets keeps prepared data")
    parser.add_argument("--download", choices=("true", "false"), help="may missing data be fetched")
    parser.add_argument("--strategy", help="how runs are distributed, see the binary")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--dry_run", action="store_true", help="list the commands and stop")
    parser.add_argument("--draw_only", action="store_true", help="draw from the runs there are")
    arguments = parser.parse_args()
    passed = {name: getattr(arguments, name) for name in ("data_dir", "download", "strategy")}
    passed = {name: value for name, value in passed.items() if value is not None}
    try:
        config = load_config(arguments.name)
        expanded = expand(config, arguments.scale)
        paper = arguments.name.split("/")[0]
        runs = plan(paper, expanded, arguments.output_dir, passed)
    except ValueError as error:
        sys.exit(f"error: {error}")
    if arguments.dry_run:
        for run in runs:
            print(shlex.join(["python", *run.command[1:]]))
        return
    failed = [] if arguments.draw_only else run_missing(runs, arguments.jobs)
    drawn = draw(config, arguments.name, arguments.scale, runs, arguments.output_dir)
    if failed:
        names = ", ".join(run.path.name for run in failed)
        sys.exit(f"error: {len(failed)} of {len(runs)} runs failed ({names}); "
                 "run the same command again to go on")
    if not drawn:
        sys.exit("error: no run is complete, so there is nothing to draw")


if __name__ == "__main__":
    main()
