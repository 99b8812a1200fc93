"""The report's tables say what the reference results say; see test_pages.py for the pages."""

from pathlib import Path

import pytest

from repro.reporting import pages, report, tables

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "outputs" / "reference" / "figures"


@pytest.fixture(scope="module")
def drawn():
    return report.read(REFERENCE)


def test_report_holds_the_verdicts_of_the_reference_results(drawn):
    text = (REFERENCE.parent / "report.md").read_text()
    assert report.overview(drawn) in text
    assert report.summary(drawn) in text


def test_overview_takes_the_largest_scale_and_any_contradiction():
    def record(scale, *claims):
        listed = [{"id": i, "verdict": v, "runs": ["run"] * n} for i, v, n in claims]
        return Path("x.json"), {"name": "zoo/fig", "scale": scale, "claims": listed}

    text = report.overview(
        [
            record("smoke", ("Z2", "reproduced", 9), ("Z10", "contradicted", 1)),
            record("cpu", ("Z2", "inconclusive", 1), ("Z3", "contradicted", 1)),
            record("cpu", ("Z3", "reproduced", 2), ("Z4", "not run", 0), ("Z5", "inconclusive", 1)),
            record("cpu", ("Z5", "reproduced", 2)),
        ]
    )
    assert text.splitlines()[-1] == "| zoo | Z5 | Z3 Z10 | Z2 | Z4 |"


def test_pictures_of_the_readme_exist():
    text = (ROOT / "README.md").read_text()
    pictures = [part.split(")")[0] for part in text.split("](")[1:] if ".png)" in part]
    assert pictures and all((ROOT / picture).exists() for picture in pictures)


def test_nothing_drawn_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="run tools/reproduce first"):
        report.read(tmp_path)


def test_tables_in_markdown_and_latex():
    table = tables.Table(["a", "b"], [["1 %", "2 ± 3"], ["<x>", "–"]], "a note")
    text = tables.markdown(table, "Title")
    assert "| 1 % | 2 ± 3 |" in text and text.endswith("a note\n")
    assert r"1 \% & 2 $\pm$ 3 \\" in tables.latex(table, "Title")
    read = pages.read_markdown(text)
    assert read == {
        "header": ["a", "b"],
        "rows": [["1 %", "2 ± 3"], ["<x>", "–"]],
        "note": "a note",
    }


def test_signs_that_latex_reads_as_commands_are_text():
    table = tables.Table(["a"], [[r"10^3 {x} \y ~ $ _ # & η"]], "")
    (row,) = [line for line in tables.latex(table, "T").splitlines() if line.startswith("10")]
    assert row == (
        r"10\textasciicircum{}3 \{x\} \textbackslash{}y \textasciitilde{} \$ \_ \# \& $\eta$ \\"
    )
