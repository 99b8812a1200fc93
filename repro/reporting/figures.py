"""Every paper's figures, tables and claims, by the names that configs use."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from repro.reporting import (
    gotmare,
    gotmare_claims,
    gotmare_landscape,
    gotmare_planes,
    gotmare_tables,
    gotmare_trajectory_claims,
    liu,
    liu_claims,
    liu_departure_claims,
    liu_norm_claims,
    liu_sweep_claims,
    liu_tables,
    stoican,
    stoican_claims,
    stoican_graph,
    stoican_graph_claims,
    stoican_slides_claims,
    stoican_tables,
    tables,
    wu,
    wu_claims,
    wu_escape_claims,
    wu_tables,
    zhang,
    zhang_claims,
    zhang_noise_claims,
    zhang_regularizer_claims,
    zhang_tables,
)
from repro.reporting.claims import Claim
from repro.reporting.results import Run

# Each paper's modules; what they call CLAIMS, FIGURES and TABLES is gathered below.
PAPERS = {
    "gotmare2018": (
        gotmare, gotmare_planes, gotmare_landscape, gotmare_tables, gotmare_claims,
        gotmare_trajectory_claims,
    ),
    "liu2020": (
        liu, liu_tables, liu_claims, liu_norm_claims, liu_sweep_claims, liu_departure_claims,
    ),
    "stoican": (
        stoican, stoican_graph, stoican_tables, stoican_claims, stoican_slides_claims,
        stoican_graph_claims,
    ),
    "wu2018": (wu, wu_tables, wu_claims, wu_escape_claims),
    "zhang2017": (
        zhang, zhang_tables, zhang_claims, zhang_noise_claims, zhang_regularizer_claims,
    ),
}  # fmt: skip
CLAIMS: dict[str, dict[str, Claim]] = {  # paper -> id -> claim
    paper: {claim.id: claim for room in rooms for claim in getattr(room, "CLAIMS", ())}
    for paper, rooms in PAPERS.items()
}


def _gathered(name: str) -> dict:
    """Return what all papers' modules have in their dictionaries of this name."""
    rooms = (room for rooms in PAPERS.values() for room in rooms)
    return {key: value for room in rooms for key, value in getattr(room, name, {}).items()}


FIGURES: dict[str, Callable] = _gathered("FIGURES")  # name -> function(runs) -> matplotlib Figure
TABLES: dict[str, Callable] = _gathered("TABLES")  # name -> function(runs) -> tables.Table

# Papers whose figures and claims are about trainings that ended; the others say what diverged.
WITHOUT_DIVERGED = ("zhang2017",)
STYLE = Path(__file__).parent / "paper.mplstyle"
WITHOUT_DATES = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None}}


def showable(paper: str, runs: Sequence[Run]) -> list[Run]:
    """Return the runs that a paper's figures and claims can be given."""
    if paper not in WITHOUT_DIVERGED:
        return list(runs)
    return [run for run in runs if run.result["status"] != "diverged"]


def draw(name: str, runs: Sequence[Run], title: str, stem: Path) -> list[Path]:
    """Draw a figure as PNG and PDF, or write a table as Markdown and LaTeX; return the files.

    The same runs give the same bytes.

    Args:
      name: a key of FIGURES or TABLES.
      runs: what to draw.
      title: of the figure.
      stem: path without suffix.

    Raises:
      ValueError: unknown name.
    """
    if name in TABLES:
        table = TABLES[name](runs)
        texts = {".md": tables.markdown(table, title), ".tex": tables.latex(table, title)}
        return [_write(stem.with_suffix(suffix), text) for suffix, text in texts.items()]
    if name not in FIGURES:
        raise ValueError(f"unknown figure {name!r}; choose from {', '.join([*FIGURES, *TABLES])}")
    files = []
    with plt.style.context(STYLE):
        figure = FIGURES[name](runs)
        figure.suptitle(title, fontsize=9)
        for kind, metadata in WITHOUT_DATES.items():
            files.append(Path(f"{stem}.{kind}"))
            figure.savefig(files[-1], metadata=metadata)
        plt.close(figure)
    return files


def _write(file: Path, text: str) -> Path:
    partial = Path(f"{file}.partial")
    partial.write_text(text)
    os.replace(partial, file)
    return file
