"""The report: one self-contained HTML page of every figure, table and verdict there is."""

import base64
import html
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from string import Template

from repro.reporting.claims import CONTRADICTED, VERDICTS

SCALES = ("smoke", "cpu", "paper")

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Reruns: minima, memorisation, generalisation</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 3rem; }
img { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: .85rem; margin: 1rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .7rem .25rem 0;
         border-bottom: 1px solid #ddd; }
.protocol { color: #555; font-size: .85rem; }
.verdict { white-space: nowrap; font-weight: 600; }
.reproduced { color: #1a7f37; } .contradicted { color: #c62828; }
.inconclusive { color: #9a6700; } .not-run { color: #777; }
nav a { margin-right: 1rem; }
</style></head><body>
<h1>Reruns of works on minima, memorisation and generalisation</h1>
<p>$summary</p>
$overview
<p class="protocol">A verdict speaks of the protocol beside it and of nothing larger. "Inconclusive"
means that seeds disagree, that the difference is within what the test set or the seeds can tell, or
that training was cut short or only a part was run.</p>
<nav>$links</nav>
$sections
</body></html>
""")

SECTION = Template("""<section id="$name">
<h2>$title</h2>
<p class="protocol">$name, scale $scale, $runs runs: $protocol</p>
$picture
<table><tr><th></th><th>claim</th><th>published</th><th>measured here</th><th>verdict</th></tr>
$claims
</table></section>
""")


def read(figures_dir: Path) -> list[tuple[Path, dict]]:
    """Return the figures drawn into a folder by tools/reproduce: file and record of each.

    Raises:
      FileNotFoundError: nothing was drawn there.
    """
    files = sorted(figures_dir.glob("*.json"))
    if not files:
        raise FileNotFoundError(f"nothing is drawn in {figures_dir}; run tools/reproduce first")
    return [(file, json.loads(file.read_text())) for file in files]


def overview(drawn: Sequence[tuple[Path, dict]]) -> str:
    """Return a Markdown table of each work's claims by verdict, for a README.

    Where several figures judge a claim, those of the largest scale count: one that contradicts it,
    else the one with the most runs.
    """
    best = {}
    for _, record in drawn:
        for claim in record["claims"]:
            key = record["name"].split("/")[0], claim["id"]
            contradicted = claim["verdict"] == CONTRADICTED
            weight = SCALES.index(record["scale"]), contradicted, len(claim["runs"])
            if key not in best or weight > best[key][0]:
                best[key] = weight, claim["verdict"]
    rows = [f"| work | {' | '.join(VERDICTS)} |", "|---" * (1 + len(VERDICTS)) + "|"]
    for work in sorted({work for work, _ in best}):
        found = {id_: verdict for (other, id_), (_, verdict) in best.items() if other == work}
        ids = sorted(found, key=lambda id_: (id_[0], int("".join(filter(str.isdigit, id_)))))
        cells = [" ".join(id_ for id_ in ids if found[id_] == verdict) for verdict in VERDICTS]
        rows.append(f"| {work} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def summary(drawn: Sequence[tuple[Path, dict]]) -> str:
    """Return all verdicts as one Markdown table, with the protocols below it."""
    rows = ["| claim | | published | measured | verdict |", "|---|---|---|---|---|"]
    notes = []
    for number, (_, record) in enumerate(drawn, start=1):
        for claim in record["claims"]:
            cells = (claim[key] for key in ("id", "statement", "published", "measured"))
            rows.append(f"| {' | '.join(cells)} | {claim['verdict']} [{number}] |")
        notes.append(f"{number}. {record['name']}, scale {record['scale']}: {record['protocol']}")
    return "\n".join([*rows, "", *notes]) + "\n"


def build(drawn: Sequence[tuple[Path, dict]]) -> str:
    """Return the report, one self-contained HTML page, on figures as `read` returns them."""
    counts = Counter(claim["verdict"] for _, record in drawn for claim in record["claims"])
    summary = ", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts[v])
    return PAGE.substitute(
        summary=f"{len(drawn)} figures and tables. Verdicts on claims: {summary}.",
        overview=markdown_table_as_html(overview(drawn)),
        links=" ".join(
            f'<a href="#{file.stem}">{html.escape(record["title"].split(":")[0])}</a>'
            for file, record in drawn
        ),
        sections="".join(_section(file, record) for file, record in drawn),
    )


def _section(file: Path, record: dict) -> str:
    return SECTION.substitute(
        name=file.stem, title=html.escape(record["title"]), scale=record["scale"],
        runs=record["runs"], protocol=html.escape(record["protocol"]), picture=_picture(file),
        claims="\n".join(_claim(claim) for claim in record["claims"]),
    )  # fmt: skip


def _picture(file: Path) -> str:
    """Return the figure, embedded, or the table as HTML."""
    picture, table = file.with_suffix(".png"), file.with_suffix(".md")
    if picture.exists():
        data = base64.b64encode(picture.read_bytes()).decode()
        return f'<img alt="{file.stem}" src="data:image/png;base64,{data}">'
    if table.exists():
        return markdown_table_as_html(table.read_text())
    return ""


def markdown_table_as_html(text: str) -> str:
    """Return the table in a text of tables.markdown as HTML, with the note below it, if any."""
    lines = text.splitlines()
    rows = [line[1:-1].split(" |") for line in lines if line.startswith("|")]
    header, body = rows[0], rows[2:]  # rows[1] is the rule below the header
    cells = [_cells("th", header), *(_cells("td", row) for row in body)]
    note = "" if lines[-1].startswith("|") else lines[-1]
    return f'<table>{"".join(cells)}</table><p class="protocol">{html.escape(note)}</p>'


def _claim(claim: dict) -> str:
    verdict = claim["verdict"]
    cells = [claim["id"], f"{claim['statement']} ({claim['source']})", claim["published"],
             claim["measured"]]  # fmt: skip
    badge = f'<td class="verdict {verdict.replace(" ", "-")}">{verdict}</td>'
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + badge + "</tr>"


def _cells(tag: str, cells: Sequence[str]) -> str:
    row = "".join(f"<{tag}>{html.escape(cell.strip())}</{tag}>" for cell in cells)
    return f"<tr>{row}</tr>"
