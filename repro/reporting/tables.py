"""Tables with the paper's numbers beside ours, as Markdown and LaTeX."""

import dataclasses
from collections.abc import Sequence

LATEX = str.maketrans(
    {
        **{sign: "\\" + sign for sign in "%&_#${}"},
        "\\": r"\textbackslash{}",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        "<": "$<$",
        ">": "$>$",
        "±": r"$\pm$",
        "–": "--",
        "→": r"$\to$",
        "×": r"$\times$",
        "≤": r"$\le$",
        "≥": r"$\ge$",
        "η": r"$\eta$",
        "ε": r"$\varepsilon$",
        "λ": r"$\lambda$",
    }
)


@dataclasses.dataclass(frozen=True)
class Table:
    """Column names, rows of cells, and a note on how the numbers were got."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str


def markdown(table: Table, title: str) -> str:
    """Return the table in Markdown, with its title and its note."""
    return f"### {title}\n\n{rows(table)}\n{table.note}\n"


def rows(table: Table) -> str:
    """Return the rows of the table in Markdown, and nothing else."""
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "".join("| " + " | ".join(_cell(cell) for cell in line) + " |\n" for line in lines)


def latex(table: Table, title: str) -> str:
    """Return the table as a LaTeX table environment (booktabs)."""
    lines = [
        r"\begin{table}",
        rf"\caption{{{_escape(title)}. {_escape(table.note)}}}",
        rf"\begin{{tabular}}{{{'l' * len(table.columns)}}}",
        r"\toprule",
    ]
    lines += [_latex_row(table.columns), r"\midrule", *map(_latex_row, table.rows)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def percent(value: float | None, error: float | None = None) -> str:
    """Return a share as a percentage, with its standard error where there is one."""
    if value is None:
        return "–"
    return f"{100 * value:.2f}" + (f" ± {100 * error:.2f}" if error else "")


def _cell(text: str) -> str:
    return " ".join(text.replace("|", r"\|").split())


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(_escape(cell) for cell in cells) + r" \\"


def _escape(text: str) -> str:
    return text.translate(LATEX)
