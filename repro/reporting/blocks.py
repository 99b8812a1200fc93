"""Blocks of the README and of the papers' pages that are written from the ledger, not by hand.

    <!-- ledger: NAME -->
    what stands here is replaced whenever the report of the reference results is written
    <!-- end of ledger -->

NAME is `found`, the table of the README; `claims of PAPER`, all claims of a paper; `sweeps of
PAPER`, what was found for values that it leaves unsaid; `protocol of
FIGURE`, how the runs behind a picture were made; or TABLE, a table with its note. These two are
called as their files are without suffix, such as `stability-table2-cpu`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from repro import files
from repro.reporting import evidence, pages, sweeps, tables
from repro.reporting.claims import NOT_RUN, VERDICTS

START, END = "<!-- ledger: {} -->", "<!-- end of ledger -->"
BLOCK = re.compile(r"<!-- ledger: ([^>]+?) -->\n(.*?)<!-- end of ledger -->", re.DOTALL)


def fill(text: str, make: Callable[[str], str]) -> str:
    """Return a page with its blocks written anew.

    Args:
      text: of the page.
      make: name of a block -> what stands in it.

    Raises:
      ValueError: a block has no end, or an end no block.
    """
    starts, ends = text.count(START.split("{")[0]), text.count(END)
    if not starts == ends == len(BLOCK.findall(text)):
        raise ValueError(
            f"{starts} blocks start with {START.format('NAME')}, {ends} end with {END}"
        )
    return BLOCK.sub(lambda m: f"{START.format(m[1])}\n{make(m[1]).strip()}\n{END}", text)


def outside(text: str) -> str:
    """Return a page without its blocks: what was written by hand."""
    return BLOCK.sub("", text)


def block(name: str, ledger: Mapping, figures_dir: Path) -> str:
    """Return what stands in a block.

    Args:
      name: of the block, see above.
      ledger: as ledger.collect returns it.
      figures_dir: where tables are.

    Raises:
      ValueError: there is no block of this name.
    """
    if name == "found":
        return found(ledger)
    kind, _, rest = name.rpartition(" of ")
    if kind == "claims" and rest in {each["name"] for each in ledger["papers"]}:
        return claims(ledger, rest)
    if kind == "sweeps" and rest in {each["name"] for each in ledger["papers"]}:
        table = sweeps.table([each for each in ledger["sweeps"] if each["paper"] == rest])
        return f"{tables.rows(table)}\n{table.note}" if table.rows else "No sweep was run yet."
    figures = {each["stem"]: each for each in ledger["figures"]}
    if kind == "protocol" and rest in figures:
        return f"Protocol of {figures[rest]['runs']} runs: {figures[rest]['protocol']}."
    file = figures_dir / f"{name}.md"
    if file.exists():
        title, _, table = files.read(file).decode().removeprefix("### ").partition("\n")
        return f"**{title}**\n{table}"
    for plan in ledger["planned"]:
        if rest == f"{plan['name'].replace('/', '-')}-{plan['scale']}":
            return f"Not drawn yet: {plan['title']} (`{plan['command']}`)."
    raise ValueError(
        f"there is no block {name!r} of the ledger; there are found, claims of PAPER, "
        "sweeps of PAPER, protocol of FIGURE, and TABLE, such as stability-table2-cpu"
    )


def found(ledger: Mapping) -> str:
    """Return a row a paper: its main claim in plain words, the verdict on it, counts of all."""
    main = {claim["paper"]: claim for claim in ledger["claims"] if claim["main"]}
    rows = []
    for paper in ledger["papers"]:
        claim = main[paper["name"]]
        rows.append(
            [
                f"[{pages.who(paper['title'])}]({paper['page']})",
                paper["says"],
                paper["published"],
                claim["brief"] or "–",
                claim["verdict"],
                *(str(paper["verdicts"][verdict]) for verdict in VERDICTS),
            ]
        )
    columns = ["paper", "what it says above all", "published", "measured here", "verdict"]
    columns += [f"claims {verdict}" for verdict in VERDICTS]
    return tables.rows(tables.Table(columns, rows, ""))


def claims(ledger: Mapping, paper: str) -> str:
    """Return a table of all claims of a paper, contradicted ones first, and what they rest on."""
    mine = [claim for claim in ledger["claims"] if claim["paper"] == paper]
    listed = [
        [
            claim["id"],
            claim["statement"],
            claim["published"],
            claim["measured"] or (f"`{claim['next']}`" if claim["next"] else "–"),
            claim["verdict"] + (f" ({claim['scale']})" if claim["verdict"] != NOT_RUN else ""),
        ]
        for claim in pages.by_verdict_then_number(mine)
    ]
    columns = ["claim", "statement", "published", "measured here", "verdict (scale)"]
    parts = [tables.rows(tables.Table(columns, listed, ""))]
    open_ = [claim for claim in pages.by_verdict_then_number(mine) if claim["to_decide"]]
    if open_:
        lines = (f"* {claim['id']}: {claim['to_decide']}" for claim in open_)
        parts.append("\n".join(["What would decide those that are inconclusive:", "", *lines, ""]))
    names = {name for claim in mine for name in claim["runs"]}
    runs = [run for run in ledger["runs"] if run["paper"] == paper and run["name"] in names]
    if runs:
        parts.append(f"{_effort(runs)}\n")
    return "\n".join(parts)


def _effort(runs: Sequence[Mapping]) -> str:
    """Say how long runs took, and how many of them were made by code without a fingerprint."""
    seconds = [run["seconds"] for run in runs if run["seconds"] is not None]
    earlier = sum(run["code"] == evidence.EARLIER for run in runs)
    parts = [
        f"{len(seconds)} of the {len(runs)} runs behind these verdicts recorded how long they took:"
        f" {sum(seconds) / 3600:.1f} hours in all, most beside other programs."
    ]
    if earlier:
        parts.append(f"{earlier} of the {len(runs)} were {evidence.CODE[evidence.EARLIER]}.")
    return " ".join(parts)
