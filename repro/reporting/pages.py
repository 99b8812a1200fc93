"""The pages of the report: one look at everything, and a page a paper, each a file by itself.

A page has its style, script and pictures within, and asks for nothing else: its own content
security policy forbids it. All text passes through Jinja2's autoescape.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import markupsafe

from repro import files
from repro.reporting import evidence, learning
from repro.reporting.claims import VERDICTS
from repro.reporting.ledger import ORDER, SCALES, number

HERE = Path(__file__).parent / "templates"
MARKS = {"reproduced": "✓", "contradicted": "✕", "inconclusive": "?", "not run": "–"}
COLUMNS = 5  # of settings that vary, in a table of runs


def index(ledger: Mapping, live: bool = False) -> str:
    """Return the page that shows the whole.

    Args:
      ledger: as ledger.collect returns it.
      live: whether a server makes the page anew, which it then looks at every few seconds.
    """
    by_verdict = {verdict: [] for verdict in ORDER}
    for claim in ledger["claims"]:
        by_verdict[claim["verdict"]].append(claim)
    return _render("index.html.j2", ledger, live, by_verdict=by_verdict)


def paper(
    ledger: Mapping,
    name: str,
    figures_dir: Path,
    found: Mapping[tuple[str, str], evidence.Found],
    live: bool = False,
) -> str:
    """Return the page of a paper: its figures, the claims that each judges, the runs behind them.

    Args:
      ledger: as ledger.collect returns it.
      name: of the paper.
      figures_dir: where pictures and tables are.
      found: (paper, name of a run) -> its directory, for learning curves.
      live: as of `index`.
    """
    claims = [claim for claim in ledger["claims"] if claim["paper"] == name]
    runs = [run for run in ledger["runs"] if run["paper"] == name]
    return _render(
        "paper.html.j2",
        ledger,
        live,
        paper=next(each for each in ledger["papers"] if each["name"] == name),
        claims=claims,
        runs=runs,
        sections=_sections(ledger, claims, figures_dir),
        exhibits=_exhibits(claims, {run["name"]: run for run in runs}, found),
        planned=[plan for plan in ledger["planned"] if plan["paper"] == name],
        sweeps=[sweep for sweep in ledger["sweeps"] if sweep["paper"] == name],
    )


def _render(template: str, ledger: Mapping, live: bool, **values) -> str:
    script = (HERE / "report.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template(template)
        .render(
            ledger=ledger,
            live=live,
            style=(HERE / "report.css").read_text(),
            script=script,
            script_digest=digest,
            **values,
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals |= {
        "MARKS": MARKS,
        "VERDICTS": VERDICTS,
        "ORDER": ORDER,
        "SCALES": SCALES,
        "CODE": evidence.CODE,
        "by_verdict_then_number": by_verdict_then_number,
        "commands_for": commands_for,
        "never_drawn": never_drawn,
    }
    environment.filters |= {
        "coded": coded,
        "duration": duration,
        "slug": slug,
        "shown": learning.shown,
        "who": who,
        "what": what,
    }
    return environment


# --- what templates ask for -----------------------------------------------------------------------


def by_verdict_then_number(claims: Sequence[Mapping]) -> list[Mapping]:
    """Return claims as the matrix shows them: contradictions first, then by number."""
    return sorted(claims, key=lambda c: (ORDER.index(c["verdict"]), number(c["id"])))


def commands_for(plans: Sequence[Mapping]) -> list[Mapping]:
    """Return what is left to run above smoke, which judges nothing, small scales first."""
    left = [plan for plan in plans if plan["complete"] < plan["runs"] and plan["scale"] != "smoke"]
    return sorted(left, key=lambda plan: SCALES.index(plan["scale"]))


def never_drawn(ledger: Mapping) -> list[Mapping]:
    """Return the smallest plan, above smoke, of each figure that was drawn at no such scale."""
    drawn = {f["name"] for f in ledger["figures"] if f["scale"] != "smoke"}
    found = {}
    for plan in commands_for(ledger["planned"]):
        if plan["name"] not in drawn:
            found.setdefault(plan["name"], plan)
    return list(found.values())


def who(title: str) -> str:
    """Return the authors of a title such as `Wu, Ma, E (NeurIPS 2018): how SGD selects minima.`"""
    return title.split(": ", 1)[0]


def what(title: str) -> str:
    """Return the subject of a title, as a sentence."""
    text = title.split(": ", 1)[-1]
    return text[:1].upper() + text[1:]


def duration(seconds: float | None) -> str:
    """Return a time as a reader says it."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def coded(text: str) -> markupsafe.Markup:
    """Return text as HTML, in which what stands between backticks is code."""
    code = markupsafe.Markup("<code>{}</code>")
    parts = re.split(r"`([^`]+)`", text)
    return markupsafe.Markup("").join(
        code.format(part) if place % 2 else part for place, part in enumerate(parts)
    )


def slug(text: str) -> str:
    """Return text as the name of an anchor: what is no letter or digit becomes a hyphen."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text)


# --- a paper's page -------------------------------------------------------------------------------


def _sections(ledger: Mapping, claims: Sequence[Mapping], figures_dir: Path) -> list[dict]:
    """Return the figures that count for claims, the worst verdicts first, with picture and claims.

    Claims that no figure judged come last, under no picture.
    """
    drawn = {(figure["name"], figure["scale"]): figure for figure in ledger["figures"]}
    groups = {}
    for claim in by_verdict_then_number(claims):
        groups.setdefault((claim["figure"], claim["scale"]), []).append(claim)
    sections = []
    for key, members in groups.items():
        figure = drawn.get(key)
        picture = _picture(figures_dir / figure["stem"]) if figure else None
        sections.append({"figure": figure, "picture": picture, "claims": members})
    return sorted(sections, key=lambda section: section["figure"] is None)


def _picture(stem: Path) -> dict | None:
    """Return the figure as a data URI, or the table's header and rows."""
    picture, table = Path(f"{stem}.png"), Path(f"{stem}.md")
    if picture.exists():
        data = base64.b64encode(files.read(picture)).decode()
        return {"source": f"data:image/png;base64,{data}", "table": None}
    if table.exists():
        return {"source": None, "table": read_markdown(files.read(table).decode())}
    return None


def read_markdown(text: str) -> dict:
    """Return header, rows and note of a text of tables.markdown."""
    lines = [line for line in text.splitlines() if line.strip()]
    rows = [line[1:-1].split(" |") for line in lines if line.startswith("|")]
    rows = [[cell.strip().replace(r"\|", "|") for cell in row] for row in rows]
    note = "" if lines[-1].startswith("|") else lines[-1]
    return {"header": rows[0], "rows": rows[2:], "note": note}  # rows[1] is a rule


def _exhibits(claims: Sequence[Mapping], runs: Mapping[str, Mapping], found: Mapping) -> dict:
    """Return id of a claim -> its runs, what varies among them, and their learning curves.

    Claims that rest on the same runs share an exhibit: all but the first one shown say `same`.
    """
    exhibits, seen = {}, {}
    for claim in by_verdict_then_number(claims):
        names = tuple(name for name in claim["runs"] if name in runs)
        if not names:
            exhibits[claim["id"]] = None
            continue
        if names in seen:
            exhibits[claim["id"]] = {"same": seen[names], "runs": names}
            continue
        seen[names] = claim["id"]
        apart = learning.together([found[claim["paper"], name].settings for name in names])
        ordered = sorted(names, key=lambda name: _place(found[claim["paper"], name], apart))
        directories = [found[claim["paper"], name] for name in ordered]
        others = [f"{', '.join(rest)} with {name}" for name, rest in apart.items() if rest]
        groups = learning.groups([(each.settings, each.metrics) for each in directories])
        panels = learning.panels(groups)
        exhibits[claim["id"]] = {
            "same": None,
            "runs": [runs[name] for name in ordered],
            "varying": list(apart)[:COLUMNS],
            "others": "; ".join(others),
            "panels": panels,
            "colours": len(groups) <= learning.COLOURS,
            "labels": [group.label for group in groups],
            "seeds": max(len(group.seeds) for group in groups),
        }
    return exhibits


def _place(found: evidence.Found, varying: Sequence[str]) -> list[tuple]:
    """Return what runs are sorted by: the settings that vary, numbers as numbers, then the seed."""
    values = [found.settings.get(name) for name in (*varying, "seed")]
    return [
        (0, value, "") if isinstance(value, int | float) else (1, 0, str(value)) for value in values
    ]
