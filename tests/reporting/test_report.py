"""The report and the README say what the reference results say."""

from pathlib import Path

import pytest

from repro.reporting import report, tables

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "outputs" / "reference" / "figures"


@pytest.fixture(scope="module")
def drawn():
    return report.read(REFERENCE)


def test_page_is_self_contained(drawn):
    page = report.build(drawn)
    assert page.count("<section") == len(drawn)
    assert "src=\"http" not in page and page.count("data:image/png;base64,") >= 1
    for _, record in drawn:
        for claim in record["claims"]:
            assert f"<td>{claim['id']}</td>" in page


def test_readme_and_report_hold_the_verdicts_of_the_reference_results(drawn):
    assert report.overview(drawn) in (ROOT / "README.md").read_text()
    assert report.summary(drawn) in (REFERENCE.parent / "report.md").read_text()


def test_overview_takes_the_largest_scale_and_any_contradiction():
    def record(scale, *claims):
        listed = [{"id": i, "verdict": v, "runs": ["run"] * n} for i, v, n in claims]
        return Path("x.json"), {"name": "zoo/fig", "scale": scale, "claims": listed}

    text = report.overview([
        record("smoke", ("Z2", "reproduced", 9), ("Z10", "contradicted", 1)),
        record("cpu", ("Z2", "inconclusive", 1), ("Z3", "contradicted", 1)),
        record("cpu", ("Z3", "reproduced", 2), ("Z4", "not run", 0), ("Z5", "inconclusive", 1)),
        record("cpu", ("Z5", "reproduced", 2)),
    ])  # fmt: skip
    assert text.splitlines()[-1] == "| zoo | Z5 | Z3 Z10 | Z2 | Z4 |"


def test_pictures_of_the_readme_exist():
    text = (ROOT / "README.md").read_text()
    pictures = [part.split(")")[0] for part in text.split("](")[1:] if ".png)" in part]
    assert pictures and all((ROOT / picture).exists() for picture in pictures)


def test_nothing_drawn_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="run tools/reproduce first"):
        report.read(tmp_path)


def test_tables_in_markdown_latex_and_html():
    table = tables.Table(["a", "b"], [["1 %", "2 ± 3"], ["<x>", "–"]], "a note")
    text = tables.markdown(table, "Title")
    assert "| 1 % | 2 ± 3 |" in text and text.endswith("a note\n")
    assert r"1 \% & 2 $\pm$ 3 \\" in tables.latex(table, "Title")
    html = report.markdown_table_as_html(text)
    assert html.count("<tr>") == 3 and "<td>&lt;x&gt;</td>" in html
