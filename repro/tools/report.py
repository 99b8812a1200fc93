"""Write the ledger: one page that shows the whole, and a page a paper.

    tools/report [--output_dir=outputs]            writes <output_dir>/report/index.html and more
    tools/report --serve [--port=8000]             the same while runs go on, made at every request

Pages are files by themselves and ask nothing of the network. Beside them are ledger.json, with
everything the pages show, runs.csv, and claims.md and claims.tex, the verdicts as tables.
<output_dir>/report.md has the verdicts of every figure. The report of the reference results, in
outputs/reference, also rewrites the tables of README.md and of the papers' pages, see
repro/reporting/blocks.py.
"""

import argparse
import dataclasses
import functools
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from repro import papers, tuning
from repro.launch import one_line_errors
from repro.reporting import (
    blocks,
    evidence,
    ledger,
    pages,
    report,
    results,
    rows,
    sweeps,
    tables,
)
from repro.settings import CONFIGS, tuned_file_of
from repro.tools import plans, runs, verdicts

ROOT = CONFIGS.parent
REFERENCE = ROOT / "outputs" / "reference"  # its numbers stand in the README and the papers' pages


@dataclasses.dataclass(frozen=True)
class Gathered:
    """Everything a report is made of."""

    ledger: Mapping
    found: Mapping[tuple[str, str], evidence.Found]
    drawn: Sequence[tuple[Path, Mapping]]
    figures_dir: Path


def gather(output_dir: Path, judge: bool = False) -> Gathered:
    """Read all there is below a folder.

    Args:
      output_dir: holds <paper>/<run> and figures.
      judge: judge claims by the runs as they are, where there are more than the figure has.

    Raises:
      FileNotFoundError: there is neither a figure nor, where claims are judged here, a run.
    """
    directories = list(runs.find(output_dir))
    figures_dir = output_dir / "figures"
    try:
        drawn = report.read(figures_dir)
    except FileNotFoundError:
        if not (judge and directories):
            raise
        drawn = []
    drawn = [(file, record) for file, record in drawn if record["name"] in names()]
    if judge:
        drawn = judged_now(drawn, directories, figures_dir)
    collected = ledger.collect(
        works(), figures(), drawn, runs.records(directories), swept(papers.PAPERS)
    )
    found = {(each.paper, each.path.name): each for each in directories}
    return Gathered(collected, found, drawn, figures_dir)


@functools.cache
def works() -> list[ledger.Paper]:
    """Return the papers as the ledger takes them."""
    found = []
    for name in papers.PAPERS:
        title = (importlib.import_module(f"repro.{name}").__doc__ or name).splitlines()[0]
        main = getattr(papers.module(name, "claims"), "MAIN", None)
        page = f"repro/{name}/README.md"
        found.append(ledger.Paper(name, title.rstrip("."), papers.claims(name), main, page))
    return found


@functools.cache
def figures() -> list[ledger.Figure]:
    """Return all figures and tables that configs/ has, with the names of their runs by scale."""
    found = []
    for paper in papers.PAPERS:
        for file in sorted((CONFIGS / paper).glob("*.toml")):
            name = f"{paper}/{file.stem}"
            config = plans.load_config(name)
            scales = plans.with_runs(config).get("scale", {})
            planned = {
                scale: [run.path.name for run in _plan(paper, config, scale)]
                for scale in plans.SCALES
                if scale in scales
            }
            found.append(ledger.Figure(name, config["title"], config["claims"], planned))
    return found


def swept(names: Sequence[str]) -> list[dict]:
    """Return what sweeps found for values that papers leave unsaid."""
    return [
        record
        for name in names
        for record in sweeps.records(name, tuning.read(tuned_file_of(name)))
    ]


def names() -> set[str]:
    """Return the names of all figures; a record of one that is gone is not shown."""
    return {figure.name for figure in figures()}


def _plan(paper: str, config: dict, scale: str) -> list[plans.Planned]:
    return plans.plan(paper, plans.expand(config, scale), Path(), {})


# --- verdicts on runs as they are -----------------------------------------------------------------


def judged_now(
    drawn: Sequence[tuple[Path, Mapping]], directories: Sequence[evidence.Found], figures_dir: Path
) -> list[tuple[Path, Mapping]]:
    """Return the records of figures as they would be if they were drawn now.

    A figure keeps its record until more of its runs are complete than it was drawn from. Without a
    record it is not judged at a scale of whose runs only those of a smaller one are there.
    """
    records = {(record["name"], record["scale"]): (file, record) for file, record in drawn}
    complete = {
        (each.paper, each.path.name): each for each in directories if each.result is not None
    }
    for figure in figures():
        paper, smaller = figure.name.split("/")[0], set()
        for scale, planned in figure.runs.items():
            mine = [complete[paper, name] for name in planned if (paper, name) in complete]
            file = figures_dir / f"{figure.name.replace('/', '-')}-{scale}.json"
            before = records.get((figure.name, scale), (file, {"runs": 0}))[1]["runs"]
            new = {each.path.name for each in mine} - smaller
            smaller |= set(planned)
            if len(mine) > before and (before or new):
                everywhere = [each.run for (of, _), each in complete.items() if of == paper]
                record = _judge(figure, scale, [each.run for each in mine], everywhere)
                if record:
                    records[figure.name, scale] = file, record
    return list(records.values())


def _judge(
    figure: ledger.Figure,
    scale: str,
    found: Sequence[results.Run],
    everywhere: Sequence[results.Run],
) -> dict | None:
    paper = figure.name.split("/")[0]
    if not verdicts.counted(paper, found):
        return None
    try:
        return verdicts.record(figure.name, figure.title, figure.claims, scale, found, everywhere)
    except (KeyError, ValueError, IndexError, OSError) as error:  # only a part is there so far
        print(f"{figure.name}, {scale}: cannot be judged yet: {error!r}", file=sys.stderr)
        return None


# --- files ----------------------------------------------------------------------------------------


def contents(name: str, gathered: Gathered, live: bool = False) -> str | None:
    """Return the text of one of the report's files; None where it has none of this name."""
    ledger_ = gathered.ledger
    if name == "index.html":
        return pages.index(ledger_, live)
    if name == "ledger.json":
        return ledger.as_json(ledger_)
    if name == "runs.csv":
        return rows.as_csv(ledger_["runs"])
    if name in ("claims.md", "claims.tex"):
        write = tables.markdown if name.endswith(".md") else tables.latex
        return "\n".join(
            write(report.claims_table(ledger_, work.name), work.title) for work in works()
        )
    stem, _, suffix = name.rpartition(".")
    if suffix == "html" and stem in papers.PAPERS:
        return pages.paper(ledger_, stem, gathered.figures_dir, gathered.found, live)
    return None


def files() -> list[str]:
    """Return the names of the report's files."""
    listed = [f"{paper}.html" for paper in papers.PAPERS]
    return ["index.html", *listed, "ledger.json", "runs.csv", "claims.md", "claims.tex"]


def filled_pages(gathered: Gathered) -> dict[Path, str]:
    """Return the README and the papers' pages, their blocks written from the ledger."""

    def make(name: str) -> str:
        return blocks.block(name, gathered.ledger, gathered.figures_dir)

    files = [ROOT / "README.md", *(ROOT / work.page for work in works())]
    return {file: blocks.fill(file.read_text(), make) for file in files}


def write(output_dir: Path) -> list[Path]:
    """Write the report below a folder, each file whole or not at all, and return the files.

    That of the reference results rewrites the blocks of the README and the papers' pages too.
    """
    gathered = gather(output_dir)
    verdicts = f"# Verdicts\n\n{report.overview(gathered.drawn)}\n{report.summary(gathered.drawn)}"
    texts = {output_dir / "report.md": verdicts}
    texts |= {output_dir / "report" / name: contents(name, gathered) for name in files()}
    if output_dir.resolve() == REFERENCE:
        texts |= filled_pages(gathered)
    (output_dir / "report").mkdir(exist_ok=True)
    for file, text in texts.items():
        partial = file.with_name(f"{file.name}.partial")
        if file.is_relative_to(output_dir):
            results.check_inside(output_dir, partial)
        partial.write_text(text)
        os.replace(partial, file)
    return list(texts)


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(prog="tools/report", description=__doc__.split("\n")[0])
    parser.add_argument("--output_dir", type=Path, default=Path("outputs"))
    parser.add_argument(
        "--serve",
        action="store_true",
        help="show the report at http://127.0.0.1:PORT instead, made anew at every request",
    )
    parser.add_argument("--port", type=int, default=8000, help="of --serve; 0 takes a free one")
    arguments = parser.parse_args()
    try:
        if arguments.serve:
            from repro.tools import report_server

            report_server.serve(arguments.output_dir, arguments.port)
            return
        for file in write(arguments.output_dir):
            print(f"wrote {file}")
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
