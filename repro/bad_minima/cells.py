"""Cells and notes that the tables of Liu et al. 2020 share."""

import itertools
from collections.abc import Sequence

from repro.bad_minima.measures import INITS, diverged, gap, of, pairs, points, spread
from repro.reporting.results import Run
from repro.reporting.tables import percent

ACCURACIES = (  # columns
    "train % (random)",
    "(adversarial)",
    "test % (random)",
    "(adversarial)",
    "gap, points",
    "seeds",
)


def accuracies(runs: Sequence[Run], kind: str, **settings) -> list[str]:
    """Return train and test accuracy from both starts, the gap, and the number of seeds.

    Args:
      runs: of any settings.
      kind, settings: which of them count, as for `measures.of`.
    """
    cells = []
    for quantity, init in itertools.product(("train_accuracy", "test_accuracy"), INITS):
        values = [run.result[quantity] for run in of(runs, kind, init, **settings)]
        cells.append(percent(*spread(values)) if values else "–")
    both = pairs(runs, kind, **settings)
    gaps = points(spread([gap(pair) for pair in both])[0]) if both else "–"
    return [*cells, gaps, str(len(both))]


def deviation(rows: Sequence[Sequence[str]]) -> str:
    """Say what ± is, where a cell has it."""
    several = any("±" in cell for row in rows for cell in row)
    return "± is the standard deviation over seeds. " if several else ""


def left_out(runs: Sequence[Run]) -> str:
    """Say how many runs diverged, where one did."""
    lost = len(diverged(runs))
    return f"{lost} of {len(runs)} runs diverged and are left out. " if lost else ""
