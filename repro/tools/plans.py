"""From the TOMLs in configs/ to runs: which there are, what each is called, what makes it.

A figure is one file, configs/<paper>/<figure>.toml. Settings come from its tables [flags], [grid],
[scale.NAME] and [[scale.NAME.runs]], later ones winning; a list of values is an axis of the grid,
and there is one run per combination. `runs_of` names a figure whose runs are looked at anew.
"""

import dataclasses
import itertools
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from repro import files, papers
from repro import settings as settings_
from repro.fields import fields, flag_lines
from repro.settings import CONFIGS, Place, Settings

SCALES = ("smoke", "cpu", "paper")
PLACES = {field.name for field, _ in fields(Place)}
ELSEWHERE = {"output_dir", "run_dir", "profile_dir", "wandb_project"}  # no TOML may send runs there


@dataclasses.dataclass(frozen=True)
class Planned:
    """A run of a figure: its directory, its settings as settled, its command line."""

    path: Path
    settings: Settings
    command: list[str]

    @property
    def complete(self) -> bool:
        """Whether it has its result."""
        return (self.path / "result.json").exists()


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure or table at a scale, and its runs."""

    name: str
    config: Mapping
    runs: Sequence[Planned]


def figures(names: Iterable[str], scale: str, configs: Path = CONFIGS) -> list[str]:
    """Return the figures that names stand for: `all`, papers, or figures as `paper/figure`.

    Figures of a paper, or of all, that have no such scale are left out.

    Raises:
      ValueError: a name stands for nothing; the message lists what there is.
    """
    known = _known(configs)
    chosen = []
    for name in names:
        if name in known:
            chosen.append(name)
            continue
        found = [one for one in known if name in ("all", one.split("/")[0])]
        if not found:
            raise _unknown(name, configs)
        chosen += [
            one
            for one in found
            if scale in with_runs(load_config(one, configs), configs).get("scale", {})
        ]
    return list(dict.fromkeys(chosen))


def _known(configs: Path) -> list[str]:
    return sorted(str(f.relative_to(configs).with_suffix("")) for f in configs.rglob("*.toml"))


def _unknown(name: str, configs: Path) -> ValueError:
    """Return the error that lists what there is: of the paper named, else of all."""
    known, paper = _known(configs), name.split("/")[0]
    near = [one for one in known if one.split("/")[0] == paper]
    papers_ = [] if near else ["all", *papers.PAPERS]
    return ValueError(
        f"unknown figure {name!r}; choose from {', '.join([*papers_, *(near or known)])}"
    )


def load_config(name: str, configs: Path = CONFIGS) -> dict:
    """Return the parsed configs/<name>.toml.

    Raises:
      ValueError: there is none, and the message lists those there are; or it is no TOML, or not one
        of a figure.
    """
    file = configs / f"{name}.toml"
    if not file.resolve().is_relative_to(configs.resolve()) or not file.exists():
        raise _unknown(name, configs)
    try:
        config = tomllib.loads(files.read(file).decode())
    except (ValueError, RecursionError, OSError) as error:
        raise ValueError(f"{file} is no TOML: {error}") from error
    for fault in _faults(config):
        raise ValueError(f"{file}: {fault}")
    return config


def _faults(config: Mapping) -> Iterator[str]:
    """Yield what makes a TOML not one of a figure."""
    for key in ("title", "figure"):
        if not isinstance(config.get(key), str):
            yield f"`{key}` must be there, and a text"
    claims = config.get("claims")
    if not (isinstance(claims, list) and all(isinstance(claim, str) for claim in claims)):
        yield "`claims` must be a list of claims, which may be empty"
    if not isinstance(config.get("runs_of", ""), str):
        yield "`runs_of` must be the name of a figure"
    scales = config.get("scale", {})
    if not (isinstance(scales, dict) and all(isinstance(each, dict) for each in scales.values())):
        yield "scales are tables, [scale.NAME]"
        return
    for key in ("flags", "grid"):
        if not isinstance(config.get(key, {}), dict):
            yield f"[{key}] must be a table of flags"
    for runs in (config.get("runs", []), *(each.get("runs", []) for each in scales.values())):
        if not (isinstance(runs, list) and all(isinstance(run, dict) for run in runs)):
            yield "`runs` are tables of flags, [[runs]] or [[scale.NAME.runs]]"


def with_runs(config: Mapping, configs: Path = CONFIGS) -> Mapping:
    """Return the config that says a figure's runs: its own, or that of the one in `runs_of`."""
    return load_config(config["runs_of"], configs) if "runs_of" in config else config


def expand(config: Mapping, scale: str, configs: Path = CONFIGS) -> list[dict]:
    """Return the flags of every run of a figure at a scale.

    Raises:
      ValueError: the figure has no such scale.
    """
    config = with_runs(config, configs)
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
        for name in ELSEWHERE & set(flags):
            raise ValueError(f"{name} is for the command line alone, not for a figure's TOML")
        own = {name: value for name, value in flags.items() if name not in PLACES}
        asked = settings_.from_dict(stages, own)
        known = {field.name for field, _ in fields(type(asked))} | PLACES
        extra = {name: value for name, value in passed.items() if name in known}
        asked = asked.replace(**{k: v for k, v in extra.items() if k not in PLACES})
        settled, _ = settings_.settle(asked)
        path = output_dir / paper / settings_.name(settled)
        lines = flag_lines({**flags, **extra, "output_dir": output_dir})
        command = [sys.executable, "-m", f"repro.{paper}", *lines]
        planned.setdefault(path, Planned(path, settled, command))
    return list(planned.values())


def with_needed(runs: Iterable[Planned], output_dir: Path, places: Mapping) -> list[Planned]:
    """Return runs and all that they need from others, each once, what is needed first.

    Args:
      runs: planned; what a run needs, such as its start, its settings say (`needs`).
      output_dir: where they land.
      places: flags of a Place for the needed ones.
    """
    ordered: dict[Path, Planned] = {}

    def add(run: Planned) -> None:
        if run.path in ordered:
            return
        for needed in run.settings.needs():
            settled, _ = settings_.settle(needed)
            path = output_dir / settled.paper / settings_.name(settled)
            flags = settings_.as_dict(settled) | dict(places) | {"output_dir": output_dir}
            command = [sys.executable, "-m", f"repro.{settled.paper}"]
            add(Planned(path, settled, [*command, *flag_lines(flags)]))
        ordered.setdefault(run.path, run)

    for run in runs:
        add(run)
    return list(ordered.values())


def needed_paths(run: Planned) -> set[Path]:
    """Return the directories of the runs that a run needs, beside its own."""
    settled = [settings_.settle(needed)[0] for needed in run.settings.needs()]
    output_dir = run.path.parent.parent
    return {output_dir / needed.paper / settings_.name(needed) for needed in settled}
