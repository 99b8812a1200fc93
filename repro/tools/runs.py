"""List all runs there are: what was asked of each, what came of it, where it was made.

    tools/runs [--output_dir=outputs] [--paper=NAME]            names, states, times
    tools/runs --csv [--output_dir=outputs] > runs.csv          settings, results, provenance

A run that is going on, was broken off or cannot be read is listed too, and says so.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from repro import papers
from repro.launch import one_line_errors
from repro.reporting import evidence, rows
from repro.reporting.results import Run
from repro.settings import as_dict, name, settle


def find(output_dir: Path, only: str | None = None) -> Iterator[evidence.Found]:
    """Yield all run directories below a folder, paper by paper, by name.

    Args:
      output_dir: holds <paper>/<run>.
      only: one paper alone.
    """
    for paper in papers.PAPERS if only is None else (only,):
        for path in sorted((output_dir / paper).glob("*/")):
            if (path / "flags.cfg").exists():
                yield evidence.read(paper, path, _settings)


def complete(output_dir: Path, paper: str) -> list[Run]:
    """Return the complete runs of a paper below a folder, for claims that look at all of them."""
    return [each.run for each in find(output_dir, paper) if each.result is not None]


def read(output_dir: Path | str = "outputs", only: str | None = None) -> list[dict]:
    """Return what evidence.record says of each run below a folder; see `find`."""
    return records(list(find(Path(output_dir), only)))


def records(found: list[evidence.Found]) -> list[dict]:
    """Return what evidence.record says of runs, compared with the code as it is now."""
    from repro.training import provenance

    code = [each.environment.get("code") or {} for each in found]
    now = provenance.code({module for modules in code for module in modules})
    return [evidence.record(each, now, _needs(each)) for each in found]


def _settings(path: Path) -> Mapping:
    """Return the settings of a run whose files are what it wrote; ValueError says which is not."""
    from repro.training import checksums

    checksums.check(path)
    return as_dict(papers.read_settings(path))


def _needs(found: evidence.Found) -> list[str]:
    """Return the names of the runs that a run starts from, as far as its settings can tell."""
    if found.problem:
        return []
    return [name(settle(needed)[0]) for needed in papers.read_settings(found.path).needs()]


def listing(runs: list[dict]) -> str:
    """Return runs as lines of a terminal."""
    if not runs:
        return ""
    wide = max(len(f"{run['paper']}/{run['name']}") for run in runs)
    lines = []
    for run in runs:
        seconds = "" if run["seconds"] is None else f"{run['seconds']:9.0f} s"
        where = f"{run['paper']}/{run['name']}".ljust(wide)
        lines.append(f"{where}  {run['status']:12} {seconds:>11}  {run['problem']}".rstrip())
    return "\n".join(lines) + "\n"


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(prog="tools/runs", description=__doc__.split("\n")[0])
    parser.add_argument("--output_dir", type=Path, default=Path("outputs"))
    parser.add_argument("--paper", choices=papers.PAPERS, help="the runs of one paper alone")
    parser.add_argument("--csv", action="store_true", help="write a table with all columns as CSV")
    arguments = parser.parse_args()
    found = read(arguments.output_dir, arguments.paper)
    if not found:
        sys.exit(f"error: there is no run in {arguments.output_dir}")
    sys.stdout.write(rows.as_csv(found) if arguments.csv else listing(found))


if __name__ == "__main__":
    main()
