"""Figures as PNG and PDF, tables as Markdown and LaTeX: the same runs give the same bytes."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib import ticker

from repro.reporting import tables
from repro.reporting.results import Run

STYLE = Path(__file__).parent / "paper.mplstyle"
WITHOUT_DATES = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None}}


def draw(make: Callable, runs: Sequence[Run], title: str, stem: Path) -> list[Path]:
    """Draw a figure as PNG and PDF, or write a table as Markdown and LaTeX; return the files.

    Args:
      make: runs -> a matplotlib figure, or a tables.Table.
      runs: what to draw.
      title: of the figure.
      stem: path without suffix.
    """
    with plt.style.context(STYLE):
        made = make(runs)
        if isinstance(made, tables.Table):
            texts = {".md": tables.markdown(made, title), ".tex": tables.latex(made, title)}
            return [_write(stem.with_suffix(suffix), text) for suffix, text in texts.items()]
        files = []
        made.suptitle(title, fontsize=9)
        for kind, metadata in WITHOUT_DATES.items():
            files.append(Path(f"{stem}.{kind}"))
            made.savefig(files[-1], metadata=metadata)
        plt.close(made)
    return files


def _write(file: Path, text: str) -> Path:
    partial = Path(f"{file}.partial")
    partial.write_text(text)
    os.replace(partial, file)
    return file


def label_1_2_5(axis) -> None:
    """Label a logarithmic axis that spans little more than a decade at 1, 2, 5, 10."""
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axis.set_minor_formatter(ticker.NullFormatter())
