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
from collections.abc import Callable, Mapping
from pathlib import Path

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
        title, _, table = file.read_text().removeprefix("### ").partition("\n")
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
    code = {run["name"]: run["code"] for run in ledger["runs"] if run["paper"] == paper}
    behind = {name for claim in mine for name in claim["runs"] if name in code}
    earlier = sum(code[name] == evidence.EARLIER for name in behind)
    text = tables.rows(tables.Table(columns, listed, ""))
    if earlier:
        some = "All" if earlier == len(behind) else f"{earlier} of the"
        code = evidence.CODE[evidence.EARLIER]
        text += f"\n{some} {len(behind)} runs behind these verdicts were {code}.\n"
    return text
