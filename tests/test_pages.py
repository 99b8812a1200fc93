"""README.md and the papers' pages say what the reference results say, in tables and in prose."""

import re
import tomllib

import pytest

from repro import papers
from repro.fields import fields
from repro.reporting import blocks
from repro.settings import CONFIGS
from repro.tools import report

FINDINGS = ("What we found", "What was found", "Claims")  # sections that say what was measured
NAMED = r"(?:Figure|Table|Section|Theorem|Lemma|Algorithm|Equation)s?"
# What is no number of a result: code, links' targets, headings, tables, numbered things, years.
EXEMPT = (
    r"^    .*$|^#.*$|`[^`]*`|\]\([^)]*\)",
    rf"{NAMED} \d+\w?(?:(?:, | and | to |-)(?:\d+\w?|\w\b))*",
    r"\b(?:19|20)\d\d\b",
)
# A number is none where letters join it, as in R4, ResNet-18, w70, 2n or float64.
NUMBER = re.compile(
    r"(?<![A-Za-z_\d.])(?<![A-Za-z]-)\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?![A-Za-z_\d])"
)
CLAIM = ("statement", "published", "criterion", "measured", "brief", "error", "protocol")


@pytest.fixture(scope="module")
def gathered():
    return report.gather(report.REFERENCE)


def test_blocks_are_those_of_the_reference_results(gathered):
    """`tools/report --output_dir=outputs/reference` writes them."""
    for file, text in report.filled_pages(gathered).items():
        assert file.read_text() == text, f"{file} is not what tools/report writes"


def test_pages_have_the_tables_of_their_papers(gathered):
    assert blocks.START.format("found") in (report.ROOT / "README.md").read_text()
    for paper in gathered.ledger["papers"]:
        text = (report.ROOT / paper["page"]).read_text()
        assert blocks.START.format(f"claims of {paper['name']}") in text
        for file in gathered.figures_dir.glob(f"{paper['name']}-*.md"):
            assert blocks.START.format(file.stem) in text, file
        for id_ in paper["claims"]:
            assert f"\n| {id_} | " in text


def test_what_is_open_says_what_would_decide_it(gathered):
    for claim in gathered.ledger["claims"]:
        assert bool(claim["to_decide"]) == (claim["verdict"] == "inconclusive"), claim["id"]


# --- numbers in prose -----------------------------------------------------------------------------


def numbers(text):
    """Return the numbers of a text by their values."""
    return {float(found.replace(",", "")): found for found in NUMBER.findall(text)}


def of_values(value):
    """Return the numbers of settings: of lists and tables each, of text those in it."""
    if isinstance(value, dict | list | tuple):
        parts = value.values() if isinstance(value, dict) else value
        return set().union(*map(of_values, parts))
    return set(numbers(str(value)))


def findings(text):
    """Return the prose of the sections on findings that was written by hand."""
    sections = re.split(r"^## ", blocks.outside(text), flags=re.MULTILINE)
    prose = "\n".join(part for part in sections if part.split("\n")[0] in FINDINGS)
    for pattern in EXEMPT:
        prose = re.sub(pattern, " ", prose, flags=re.MULTILINE)
    return prose


def known(gathered, names):
    """Return the numbers that pages of papers may use: of the ledger, of tables, of settings."""
    ledger = gathered.ledger
    claims = [each for each in ledger["claims"] if each["paper"] in names]
    drawn = [each for each in ledger["figures"] if each["paper"] in names]
    texts = [claim[key] for claim in claims for key in CLAIM]
    texts += [figure[key] for figure in drawn for key in ("title", "protocol")]
    found = set(numbers("\n".join(texts)))
    for name in names:
        for file in gathered.figures_dir.glob(f"{name}-*.md"):
            found |= set(numbers(file.read_text()))
        for file in (CONFIGS / name).glob("*.toml"):
            found |= of_values(tomllib.loads(file.read_text()))
        for kind in papers.stages(name).values():
            found |= of_values([field.default for field, _ in fields(kind)])
    return found


@pytest.mark.parametrize("page", ["README.md", *papers.PAPERS])
def test_numbers_in_prose_on_findings_are_of_the_ledger_or_of_settings(gathered, page):
    names = [page] if page in papers.PAPERS else papers.PAPERS
    file = report.ROOT / (f"repro/{page}/README.md" if page in papers.PAPERS else page)
    prose = findings(file.read_text())
    assert prose.strip()
    there = known(gathered, names)
    strange = [text for value, text in numbers(prose).items() if value not in there]
    assert not strange, f"{file} has numbers that come from nowhere: {', '.join(strange)}"


def test_a_number_of_nowhere_is_found_and_what_is_none_is_not():
    page = """
## What we found

ResNet-18 (R4, w70, 2n weights, float64, Figures 1a-c and 2, Table 3; Zhang 2017) loses 31.25 points
over 2,000 images, `--seed=7`, [a](b-8.md), -1e-7.

    tools/run 99

<!-- ledger: found -->
55
<!-- end of ledger -->

## Protocol

77
"""
    assert numbers(findings(page)) == {31.25: "31.25", 2000: "2,000", 1e-7: "1e-7"}


# --- blocks ---------------------------------------------------------------------------------------


def test_what_is_in_a_block_is_replaced_and_nothing_else():
    start, end = "<!-- ledger: {} -->", "<!-- end of ledger -->"
    text = f"a\n{start.format('one')}\nold\n{end}\nb\n{start.format('two')}\n{end}"
    made = blocks.fill(text, str.upper)
    assert made == text.replace("old\n", "ONE\n").replace("two -->\n", "two -->\nTWO\n")
    assert blocks.fill(made, str.upper) == made
    assert blocks.outside(made) == "a\n\nb\n"


@pytest.mark.parametrize(
    "text", ["<!-- ledger: one -->\n", "<!-- end of ledger -->", "<!-- ledger: a --> b"]
)
def test_a_block_without_an_end_is_an_error(text):
    with pytest.raises(ValueError, match=r"blocks start with .* end with"):
        blocks.fill(text, str.upper)


def test_blocks_that_there_are_not(gathered):
    folder = gathered.figures_dir
    with pytest.raises(ValueError, match="no block 'claims of zoo' of the ledger; there are found"):
        blocks.block("claims of zoo", gathered.ledger, folder)
    text = blocks.block("stability-table2-paper", gathered.ledger, folder)
    assert text.startswith("Not drawn yet") and "table2 --scale=paper" in text


def test_committed_runs_name_no_folder_of_a_machine():
    files = [
        f
        for name in ("flags.cfg", "environment.json")
        for f in report.REFERENCE.glob(f"*/*/{name}")
    ]
    assert files
    named = [str(f) for f in files if re.search(r"_(dir|file)=['\"]?/", f.read_text())]
    assert not named
