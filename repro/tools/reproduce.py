"""Draw figures and tables of the papers: run what is missing, draw, judge the claims.

    tools/reproduce randomization/fig1a --scale=cpu --data_dir=DIR
    tools/reproduce bad_minima --scale=smoke
    tools/reproduce all --scale=smoke --jobs=2
    tools/reproduce all --scale=paper --executor=ray --gpus_per_run=1

Runs are named by their settings, so whatever made them before, they are not made again, and figures
that look at the same runs share them. What runs need from others, such as a start, is made first.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from repro import papers
from repro.launch import one_line_errors
from repro.settings import CONFIGS, as_dict
from repro.tools import plans
from repro.tools.execute import Failed, execute
from repro.tools.executors import flags as executors
from repro.tools.plans import SCALES, Figure, Planned

# Flags of this machine, and of who watches, that all runs get which have them.
PASSED = ("data_dir", "download", "strategy", "wandb_project")


def read_figures(
    names: Sequence[str], scale: str, output_dir: Path, passed: dict, seeds: int | None = None
) -> list[Figure]:
    """Return the figures that names stand for, each with its planned runs.

    Args:
      names, scale: as for plans.figures.
      output_dir: where runs land.
      passed: flags of this machine for all runs, see plans.plan.
      seeds: make every run with so many seeds, from 0; None: those of the configs.

    Raises:
      ValueError: an unknown name, or flags that a paper does not take.
    """
    found = []
    for name in plans.figures(names, scale, CONFIGS):
        config = plans.load_config(name, CONFIGS)
        flags = plans.expand(config, scale, CONFIGS)
        if seeds is not None:
            flags = [{**run, "seed": seed} for run in flags for seed in range(seeds)]
        if "wandb_project" in passed:
            passed = {**passed, "wandb_group": name}
        paper = name.split("/")[0]
        try:
            papers.figure(paper, config["figure"])
            unknown = {*config["claims"]} - {*papers.claims(paper)}
            if unknown:
                raise ValueError(f"{paper} has no claims {', '.join(sorted(unknown))}")
            runs = plans.plan(paper, flags, output_dir, passed)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        found.append(Figure(name, config, runs))
    return found


def draw(figure: Figure, scale: str, output_dir: Path) -> int:
    """Draw a figure from its complete runs, judge its claims, print both.

    Returns:
      the number of runs that were drawn.

    Raises:
      results.DamagedError: a run's files cannot be read.
    """
    from repro.reporting import claims, figures, results
    from repro.tools import runs as runs_
    from repro.tools import verdicts
    from repro.training import checksums

    paper, config = figure.name.split("/")[0], figure.config
    for run in figure.runs:
        try:
            checksums.check(run.path)
        except ValueError as error:
            raise results.DamagedError(str(error)) from error
    loaded = [results.load(run.path, as_dict(run.settings)) for run in figure.runs]
    complete = [run for run in loaded if run is not None]
    runs = verdicts.counted(paper, complete)
    if len(runs) < len(complete):
        print(f"{len(complete) - len(runs)} of {len(complete)} runs diverged and are left out")
    if not runs:
        return 0
    stem = output_dir / "figures" / f"{figure.name.replace('/', '-')}-{scale}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    results.check_inside(output_dir, stem.parent, *stem.parent.glob(f"{stem.name}.*"))
    for file in figures.draw(papers.figure(paper, config["figure"]), runs, config["title"], stem):
        print(f"drew {file}")
    everywhere = runs_.complete(output_dir, paper)
    record = verdicts.record(
        figure.name, config["title"], config["claims"], scale, complete, everywhere
    )
    partial = stem.with_suffix(".json.partial")
    partial.write_text(json.dumps(record, indent=1) + "\n")
    partial.replace(stem.with_suffix(".json"))
    print(claims.as_text(record["claims"]))
    return len(runs)


@one_line_errors()
def main() -> None:
    arguments = _arguments()
    passed = {name: getattr(arguments, name) for name in PASSED}
    passed = {name: value for name, value in passed.items() if value is not None}
    output_dir, scale = arguments.output_dir, arguments.scale
    try:
        figures = read_figures(arguments.names, scale, output_dir, passed, arguments.seeds)
    except ValueError as error:
        sys.exit(f"error: {error}")
    if arguments.only:
        figures = [figure for figure in figures if arguments.only in figure.name]
    places = {name: value for name, value in passed.items() if name in plans.PLACES}
    runs = plans.with_needed((run for figure in figures for run in figure.runs), output_dir, places)
    if arguments.dry_run:
        for run in runs:
            done = "  # complete" if run.complete else ""
            print(shlex.join(["python", *run.command[1:]]) + done)
        return
    failed = [] if arguments.draw_only else _made(runs, arguments)
    drawn = [_drawn(figure, scale, output_dir) for figure in figures]
    undrawn = [figure.name for figure, done in zip(figures, drawn) if not done]
    if undrawn and arguments.draw_only:
        sys.exit(
            f"error: nothing to draw for {', '.join(undrawn)} in {output_dir}. Without --draw_only "
            "runs that are missing are made; --output_dir=outputs/reference has the committed ones"
        )
    _end(failed, undrawn)


def _made(runs: Sequence[Planned], arguments: argparse.Namespace) -> list[Failed]:
    """Make the runs that are missing where the arguments say, and return those that failed."""
    if all(run.complete for run in runs):  # then no cluster is needed either
        return execute(runs, None)
    try:
        executor = executors.executor(arguments, arguments.output_dir / "slurm")
    except RuntimeError as error:
        sys.exit(f"error: {error}")
    return execute(runs, executor)


def _drawn(figure: Figure, scale: str, output_dir: Path) -> bool:
    """Draw one of several figures; say what hinders it, and return whether it is drawn."""
    from repro.reporting.results import DamagedError

    print(f"--- {figure.name}")
    try:
        if draw(figure, scale, output_dir):
            return True
        print("no run is complete, so there is nothing to draw")
    except DamagedError as error:
        print(f"error: {error}")
    return False


def _end(failed: Sequence[Failed], undrawn: Sequence[str]) -> None:
    """Say at the end what failed, with the commands that repeat it, and exit with status 1."""
    for one in failed:
        print(
            f"FAILED {one.run.path.name}: {one.reason}\n  see {one.run.path / 'log.txt'}; "
            f"again: {shlex.join(['python', *one.run.command[1:]])}"
        )
    if failed or undrawn:
        reasons = [f"{len(failed)} runs failed"] if failed else []
        reasons += [f"nothing to draw for {', '.join(undrawn)}"] if undrawn else []
        sys.exit(f"error: {'; '.join(reasons)}. Run the same command again to go on")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/reproduce", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add(
        "names",
        nargs="+",
        metavar="NAME",
        help="all, a paper, or a figure or table, such as randomization/fig1a",
    )
    add("--scale", choices=SCALES, default="cpu")
    add("--only", help="of these, only figures whose name has this text")
    add("--seeds", type=int, help="make every run with so many seeds, instead of the configs' own")
    add("--output_dir", type=Path, default=Path("outputs"))
    add("--data_dir", help="where tensorflow-datasets keeps prepared data")
    add("--download", choices=("true", "false"), help="may missing data be fetched")
    add(
        "--strategy",
        help="how runs are distributed, see the binary; runs of stages that have no such flag, "
        "whose help says why, are made without it",
    )
    add("--wandb_project", help="send runs to this project of Weights & Biases, grouped by figure")
    add(
        "--dry_run",
        action="store_true",
        help="list the commands, which of them are complete, and stop",
    )
    add("--draw_only", action="store_true", help="draw from the runs there are")
    executors.define(parser)
    arguments = parser.parse_args()
    if arguments.executor != "local":  # other machines start elsewhere
        arguments.output_dir = arguments.output_dir.resolve()
    return arguments


if __name__ == "__main__":
    main()
