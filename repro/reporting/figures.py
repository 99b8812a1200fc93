"""Every paper's figures, tables and claims, by the names that configs use."""

import os
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from repro.reporting import (
    gotmare,
    gotmare_claims,
    gotmare_planes,
    gotmare_tables,
    stoican,
    stoican_claims,
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

CLAIMS: dict[str, dict[str, Claim]] = {  # paper -> id -> claim
    "zhang2017": {
        claim.id: claim
        for room in (zhang_claims, zhang_noise_claims, zhang_regularizer_claims)
        for claim in room.CLAIMS
    },
    "stoican": {claim.id: claim for claim in stoican_claims.CLAIMS},
    "gotmare2018": {claim.id: claim for claim in gotmare_claims.CLAIMS},
    "wu2018": {
        claim.id: claim for room in (wu_claims, wu_escape_claims) for claim in room.CLAIMS
    },
}
FIGURES = {  # name -> function(runs) -> matplotlib Figure
    **zhang.FIGURES, **stoican.FIGURES, **wu.FIGURES, **gotmare.FIGURES, **gotmare_planes.FIGURES,
}  # fmt: skip
TABLES = {  # name -> function(runs) -> tables.Table
    **zhang_tables.TABLES, **stoican.TABLES, **wu_tables.TABLES, **gotmare_tables.TABLES,
}  # fmt: skip

STYLE = Path(__file__).parent / "paper.mplstyle"
WITHOUT_DATES = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None}}


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
