"""Figures and tables as files: the same runs give the same bytes, whole or not at all."""

import matplotlib.pyplot as plt
import pytest

from repro.reporting import figures
from repro.reporting.tables import Table


def line(runs):
    figure, axes = plt.subplots()
    axes.plot(runs)
    return figure


def test_a_figure_is_drawn_twice_with_the_same_bytes(tmp_path):
    open_before = plt.get_fignums()
    first = figures.draw(line, [1, 3, 2], "A title", tmp_path / "first")
    again = figures.draw(line, [1, 3, 2], "A title", tmp_path / "again")
    other = figures.draw(line, [1, 3, 4], "A title", tmp_path / "other")
    assert [file.name for file in first] == ["first.png", "first.pdf"]
    for one, same, different in zip(first, again, other):
        assert one.read_bytes() == same.read_bytes() != different.read_bytes()
    assert plt.get_fignums() == open_before


def test_a_name_with_points_keeps_them(tmp_path):
    files = figures.draw(line, [1], "", tmp_path / "p0.5")
    assert [file.name for file in files] == ["p0.5.png", "p0.5.pdf"]


def test_a_table_is_markdown_and_latex(tmp_path):
    table = Table(["a", "b"], [["1 %", "2 ± 3"]], "a note")
    files = figures.draw(lambda runs: table, [], "A title", tmp_path / "table")
    markdown, latex = (file.read_text() for file in files)
    assert [file.suffix for file in files] == [".md", ".tex"]
    assert markdown.splitlines()[0] == "### A title" and "| 1 % | 2 ± 3 |" in markdown
    assert r"\caption{A title. a note}" in latex and r"1 \% & 2 $\pm$ 3 \\" in latex
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.md", "table.tex"]


def test_a_figure_that_cannot_be_drawn_leaves_no_file(tmp_path):
    def fail(runs):
        raise ValueError("no runs")

    with pytest.raises(ValueError, match="no runs"):
        figures.draw(fail, [], "", tmp_path / "figure")
    assert not list(tmp_path.iterdir())
