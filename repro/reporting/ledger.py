"""The ledger: every claim once, with its verdict, its evidence and the command that repeats it.

`collect` puts what is known into one plain structure, which `ledger.json` holds, the pages show and
the tables list. It knows no paper: whoever calls it says which papers, figures and runs there are.

    papers   name, title, page, main (id of the main claim), says and published (that claim in words
             for readers who do not know the work), claims (ids), verdicts (verdict -> n)
    claims   paper, id, statement, source, published, criterion, to_decide (where it is open),
             measured, brief (of what was measured, for one line), error, sensitivity, verdict,
             scale, protocol, seeds, main, figure (name), runs (names), absent (names of runs that
             are not here), command (repeats it), next (would say more), elsewhere
    figures  name, paper, title, scale, runs (how many), protocol, stem (file without suffix)
    planned  name, paper, title, scale, runs, complete, claims, command: what could be run
    sweeps   see sweeps.records: what was found for values that papers leave unsaid
    runs     see evidence.record; `needed_by` has the names of the runs that started from it
"""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from repro.reporting.claims import CONTRADICTED, INCONCLUSIVE, NOT_RUN, VERDICTS, Claim, Main

FORMAT = 1  # of ledger.json; a number for readers that check
SCALES = ("smoke", "cpu", "paper")
UNFINISHED = ("not complete", "unreadable")  # what a run without a result is called
ORDER = (CONTRADICTED, INCONCLUSIVE, "reproduced", NOT_RUN)  # what a reader should see first


@dataclasses.dataclass(frozen=True)
class Paper:
    """A work whose claims are judged."""

    name: str
    title: str  # who, where, what, in a line
    claims: Mapping[str, Claim]
    main: Main | None = None  # the claim that stands for the work
    page: str = ""  # where its own page is, for readers


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure or table that can be drawn, whether it was or not."""

    name: str  # paper/figure
    title: str
    claims: Sequence[str]
    runs: Mapping[str, Sequence[str]]  # scale -> names of its runs


def collect(
    papers: Sequence[Paper],
    figures: Sequence[Figure],
    drawn: Sequence[tuple[Path, Mapping]],
    runs: Sequence[dict],
    sweeps: Sequence[dict] = (),
) -> dict:
    """Return the ledger.

    Args:
      papers: in the order in which they are shown.
      figures: all there are, in that order too.
      drawn: file and record of each figure that was drawn, as report.read returns them.
      runs: what evidence.record says of each run there is.
      sweeps: what sweeps.records says of each sweep there is.
    """
    known = {(run["paper"], run["name"]): run for run in runs}
    complete = {key for key, run in known.items() if run["status"] not in UNFINISHED}
    planned = [
        _planned(figure, scale, names, complete)
        for figure in figures
        for scale, names in figure.runs.items()
    ]
    claims = [
        _claim(paper, claim, drawn, planned, known)
        for paper in papers
        for claim in paper.claims.values()
    ]
    return {
        "format": FORMAT,
        "papers": [_paper(paper, claims) for paper in papers],
        "claims": claims,
        "figures": [_drawn(file, record) for file, record in drawn],
        "planned": planned,
        "sweeps": list(sweeps),
        "runs": _with_needed_by(runs),
    }


def best(drawn: Iterable[tuple[Path, Mapping]]) -> dict[tuple[str, str], tuple[dict, dict]]:
    """Return (paper, id of a claim) -> figure's record and claim's record that count.

    Where several figures judge a claim, those of the largest scale count: one that contradicts it,
    else the one with the most runs. One without the runs that the claim needs judges nothing, so
    that it counts only where no other is there.
    """
    found = {}
    for _, record in drawn:
        for claim in record["claims"]:
            key = record["name"].split("/")[0], claim["id"]
            if key not in found or _weight(record, claim) > _weight(*found[key]):
                found[key] = record, claim
    return found


def _weight(record: Mapping, claim: Mapping) -> tuple:
    verdict, scale = claim["verdict"], SCALES.index(record["scale"])
    return verdict != NOT_RUN, scale, verdict == CONTRADICTED, len(claim["runs"])


def as_json(ledger: Mapping) -> str:
    """Return the text of ledger.json; a number that is not finite becomes text."""
    return json.dumps(_finite(ledger), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def command(name: str, scale: str) -> str:
    """Return the command that draws a figure at a scale."""
    return f"tools/reproduce {name} --scale={scale}"


def number(id_: str) -> tuple[str, int]:
    """Return what ids such as R3 and R27 are sorted by."""
    return id_[0], int("".join(filter(str.isdigit, id_)) or 0)


# --- details --------------------------------------------------------------------------------------


def _claim(paper: Paper, claim: Claim, drawn, planned: Sequence[dict], known: Mapping) -> dict:
    mine = [(file, record) for file, record in drawn if record["name"].split("/")[0] == paper.name]
    here = (paper.name, claim.id)
    judged = [(r, c) for _, r in mine for c in r["claims"] if c["id"] == claim.id]
    record, found = best(mine).get(here, ({}, {}))
    runs = list(found.get("runs", ()))
    absent = [name for name in runs if (paper.name, name) not in known]
    where = [plan for plan in planned if plan["paper"] == paper.name and claim.id in plan["claims"]]
    verdict = found.get("verdict", NOT_RUN)
    return {
        "paper": paper.name,
        "id": claim.id,
        "statement": claim.statement,
        "source": claim.source,
        "published": claim.published,
        "criterion": found.get("criterion") or getattr(claim, "criterion", ""),
        "to_decide": claim.to_decide if verdict == INCONCLUSIVE else "",
        "measured": found.get("measured", ""),
        "brief": found.get("brief") or found.get("measured", ""),
        "error": found.get("error", ""),
        "sensitivity": found.get("sensitivity"),
        "verdict": verdict,
        "scale": record.get("scale", ""),
        "protocol": found.get("protocol", ""),
        "seeds": _seeds(found.get("protocol", ""), [known.get((paper.name, n)) for n in runs]),
        "main": claim.id == (paper.main.id if paper.main else None),
        "figure": record.get("name", ""),
        "runs": runs,
        "absent": absent,
        "command": command(record["name"], record["scale"]) if verdict != NOT_RUN else "",
        "next": _next(where, record.get("scale", ""), verdict, claim.scale),
        "elsewhere": [
            {
                "figure": r["name"],
                "scale": r["scale"],
                "verdict": c["verdict"],
                "measured": c["measured"],
            }
            for r, c in judged
            if r is not record
        ],
    }


def _next(where: Sequence[dict], scale: str, verdict: str, deciding: str) -> str:
    """Return the command that would say more of a claim, where there is one.

    For a claim that was not run the smallest scale with data of the paper's kind, for one that is
    inconclusive or contradicted the next larger one; never one below the scale that can decide it,
    and never one whose runs are all there.
    """
    if verdict == "reproduced":
        return ""
    least = SCALES.index(scale) + (verdict != NOT_RUN) if scale else 0
    least = max(least, SCALES.index(deciding))
    open_ = [
        plan
        for plan in where
        if plan["complete"] < plan["runs"] and SCALES.index(plan["scale"]) >= least
    ]
    open_.sort(key=lambda plan: (SCALES.index(plan["scale"]), plan["runs"] - plan["complete"]))
    return open_[0]["command"] if open_ else ""


def _planned(figure: Figure, scale: str, names: Sequence[str], complete: set) -> dict:
    paper = figure.name.split("/")[0]
    return {
        "name": figure.name,
        "paper": paper,
        "title": figure.title,
        "scale": scale,
        "runs": len(names),
        "complete": sum((paper, name) in complete for name in names),
        "claims": list(figure.claims),
        "command": command(figure.name, scale),
    }


def _drawn(file: Path, record: Mapping) -> dict:
    return {
        "name": record["name"],
        "paper": record["name"].split("/")[0],
        "title": record["title"],
        "scale": record["scale"],
        "runs": record["runs"],
        "protocol": record["protocol"],
        "stem": file.stem,
    }


def _paper(paper: Paper, claims: Sequence[dict]) -> dict:
    mine = [claim for claim in claims if claim["paper"] == paper.name]
    counts = Counter(claim["verdict"] for claim in mine)
    return {
        "name": paper.name,
        "title": paper.title,
        "page": paper.page,
        "main": paper.main.id if paper.main else None,
        "says": paper.main.statement if paper.main else "",
        "published": paper.main.published if paper.main else "",
        "claims": [claim["id"] for claim in mine],
        "verdicts": {verdict: counts[verdict] for verdict in VERDICTS},
    }


def _seeds(protocol: str, runs: Sequence[Mapping | None]) -> list[int]:
    """Return the seeds of a claim's runs, or of their protocol where the runs are not here."""
    found = {run["seed"] for run in runs if run and run["seed"] is not None}
    if not found:
        found = {
            int(seed)
            for part in re.findall(r"seed ([\d/]+)", protocol)
            for seed in part.split("/")
            if seed
        }
    return sorted(found)


def _with_needed_by(runs: Sequence[dict]) -> list[dict]:
    needed_by = {}
    for run in runs:
        for name in run["needs"]:
            needed_by.setdefault((run["paper"], name), []).append(run["name"])
    return [{**run, "needed_by": needed_by.get((run["paper"], run["name"]), [])} for run in runs]


def _finite(value):
    if isinstance(value, float) and value - value != 0:
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value
