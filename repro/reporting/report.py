"""The report's tables for readers of text: verdicts by work, and one by one."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from repro import files
from repro.reporting import tables
from repro.reporting.claims import VERDICTS
from repro.reporting.ledger import SCALES, best, number
from repro.reporting.results import check_inside


def read(figures_dir: Path) -> list[tuple[Path, dict]]:
    """Return the figures drawn into a folder by tools/reproduce: file and record of each.

    Raises:
      FileNotFoundError: nothing was drawn there.
      ValueError: a record is damaged, or is none, or a file of a figure lies elsewhere.
    """
    check_inside(figures_dir.parent, figures_dir, *figures_dir.glob("*"))
    files = sorted(figures_dir.glob("*.json"))
    if not files:
        raise FileNotFoundError(f"nothing is drawn in {figures_dir}; run tools/reproduce first")
    return [(file, _record(file)) for file in files]


def _record(file: Path) -> dict:
    """Return the record of a figure.

    Raises:
      ValueError: the file is damaged, or holds something else.
    """
    try:
        record = json.loads(files.read(file))
        json.dumps(record, ensure_ascii=False).encode()  # or no page could hold it
        texts = [record[key] for key in ("title", "name", "scale", "protocol")]
        for claim in record["claims"]:
            texts += [claim[k] for k in ("id", "statement", "published", "measured", "verdict")]
            texts += claim["runs"]
        fine = all(isinstance(text, str) for text in texts) and record["scale"] in SCALES
        fine = fine and isinstance(record["runs"], int)
    except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        raise ValueError(f"{file} is damaged ({error!r}): draw the figure again") from error
    if not fine or not {claim["verdict"] for claim in record["claims"]} <= set(VERDICTS):
        raise ValueError(f"{file} is no record of a figure: draw it again, or remove the file")
    return record


def overview(drawn: Sequence[tuple[Path, dict]]) -> str:
    """Return a Markdown table of each work's claims by verdict.

    Where several figures judge a claim, `ledger.best` says which one counts.
    """
    verdicts = {key: claim["verdict"] for key, (_, claim) in best(drawn).items()}
    rows = [f"| work | {' | '.join(VERDICTS)} |", "|---" * (1 + len(VERDICTS)) + "|"]
    for work in sorted({work for work, _ in verdicts}):
        found = {id_: verdict for (other, id_), verdict in verdicts.items() if other == work}
        ids = sorted(found, key=number)
        cells = [" ".join(id_ for id_ in ids if found[id_] == verdict) for verdict in VERDICTS]
        rows.append(f"| {work} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def summary(drawn: Sequence[tuple[Path, dict]]) -> str:
    """Return all verdicts as one Markdown table, with the protocols below it."""
    rows = ["| claim | | published | measured | verdict |", "|---|---|---|---|---|"]
    notes = []
    for position, (_, record) in enumerate(drawn, start=1):
        for claim in record["claims"]:
            cells = (claim[key] for key in ("id", "statement", "published", "measured"))
            rows.append(f"| {' | '.join(cells)} | {claim['verdict']} [{position}] |")
        notes.append(f"{position}. {record['name']}, scale {record['scale']}: {record['protocol']}")
    return "\n".join([*rows, "", *notes]) + "\n"


def claims_table(ledger: Mapping, paper: str) -> tables.Table:
    """Return a paper's claims, each once, as a table for `tables.markdown` and `tables.latex`."""
    rows = [
        [
            claim["id"],
            claim["statement"],
            claim["published"],
            claim["measured"] or "–",
            claim["verdict"],
            claim["scale"] if claim["measured"] else "–",
        ]
        for claim in ledger["claims"]
        if claim["paper"] == paper
    ]
    note = "A verdict speaks of its scale and of nothing larger."
    columns = ["claim", "statement", "published", "measured here", "verdict", "scale"]
    return tables.Table(columns, rows, note)
