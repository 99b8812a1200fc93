"""Draw a figure or table of a paper: run what is missing, draw, judge the claims.

    tools/reproduce randomization/fig1a --scale=cpu --data_dir=DIR

A figure is one file, configs/<binary>/<figure>.toml. Settings come from its tables [flags], [grid],
[scale.NAME] and [[scale.NAME.runs]], later ones winning; a list of values is an axis of the grid,
and there is one run per combination. `runs_of` names a figure whose runs are looked at anew.
"""

import argparse
import concurrent.futures
import hashlib
import itertools
import json
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

CONFIGS = Path(__file__).parents[2] / "configs"
SCALES = ("smoke", "cpu", "paper")


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


def run_name(flags: dict) -> str:
    """Return a name of the run that says its main settings and stands for all of them."""
    names = ("mode", "from", "to", "curve", "model", "dataset", "corruption", "init", "protocol",
             "teacher")  # fmt: skip
    if "mode" in flags or "from" in flags:  # what a stage is about
        names = ("stage", *names)
    shown = [flags.get(name) for name in names]
    if flags.get("width"):
        shown.append(f"m{flags['width']}")
    if flags.get("corrupt_prob"):
        shown.append(f"p{flags['corrupt_prob']:.3g}")
    if flags.get("train_examples"):
        shown.append(f"n{flags['train_examples']}")
    augment = flags.get("augment")
    shown += ["augment" if augment is True else augment, f"seed{flags.get('seed', 0)}"]
    digits = hashlib.sha256(json.dumps(flags, sort_keys=True).encode()).hexdigest()[:8]
    return "-".join([str(part).replace(",", "+") for part in shown if part] + [digits])


def command(config: dict, flags: dict, run_dir: Path, passed: Iterable[str]) -> list[str]:
    """Return the command line of a run."""
    listed = [
        f"--{name}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in flags.items()
    ]
    return [sys.executable, "-m", config["binary"], *listed, *passed, f"--run_dir={run_dir}"]


def run_missing(config: dict, runs: dict[Path, dict], passed: list[str], jobs: int) -> list[Path]:
    """Run what is not complete and return the directories of runs that failed."""
    missing = [path for path in runs if not (path / "result.json").exists()]
    print(f"{len(runs)} runs, {len(runs) - len(missing)} complete")

    def start(numbered: tuple[int, Path]) -> Path | None:
        number, path = numbered
        print(f"[{number}/{len(missing)}] {path.name}", flush=True)
        path.mkdir(parents=True, exist_ok=True)
        with (path / "log.txt").open("a") as log:
            output = {"stdout": log, "stderr": log} if jobs > 1 else {}
            done = subprocess.run(command(config, runs[path], path, passed), **output)
        return path if done.returncode else None

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return [path for path in pool.map(start, enumerate(missing, start=1)) if path is not None]


def draw(config: dict, name: str, scale: str, paths: Iterable[Path], output_dir: Path) -> int:
    """Draw a figure from complete runs, judge its claims, print both; return the number of runs."""
    from repro.reporting import claims, figures, results

    found = [run for run in map(results.load, paths) if run is not None]
    runs = figures.showable(config["paper"], found)
    if len(runs) < len(found):
        print(f"{len(found) - len(runs)} of {len(found)} runs diverged and are left out")
    if not runs:
        return 0
    stem = output_dir / "figures" / f"{name.replace('/', '-')}-{scale}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    for file in figures.draw(config["figure"], runs, config["title"], stem):
        print(f"drew {file}")
    paper = figures.CLAIMS[config["paper"]]
    records = claims.judge([paper[id_] for id_ in config["claims"]], runs, scale)
    stem.with_suffix(".json").write_text(
        json.dumps({"title": config["title"], "name": name, "scale": scale, "runs": len(runs),
                    "protocol": results.protocol(runs), "claims": records}, indent=1) + "\n"
    )  # fmt: skip
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
    try:
        config = load_config(arguments.name)
        expanded = expand(config, arguments.scale)
    except ValueError as error:
        sys.exit(f"error: {error}")
    passed = [
        f"--{flag}={value}" for flag in ("data_dir", "download", "strategy")
        if (value := getattr(arguments, flag)) is not None
    ]  # fmt: skip
    home = arguments.output_dir / config["binary"].split(".")[-1]
    runs = {home / run_name(flags): flags for flags in expanded}
    if arguments.dry_run:
        for path, flags in runs.items():
            print(shlex.join(["python", *command(config, flags, path, passed)[1:]]))
        return
    failed = [] if arguments.draw_only else run_missing(config, runs, passed, arguments.jobs)
    drawn = draw(config, arguments.name, arguments.scale, runs, arguments.output_dir)
    if failed:
        names = ", ".join(path.name for path in failed)
        sys.exit(f"error: {len(failed)} of {len(runs)} runs failed ({names}); "
                 "run the same command again to go on")
    if not drawn:
        sys.exit("error: no run is complete, so there is nothing to draw")


if __name__ == "__main__":
    main()
