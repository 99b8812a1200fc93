"""What tools/reproduce writes of a figure's claims, and tools/report of runs that go on."""

from collections.abc import Iterable, Sequence

from repro import papers
from repro.reporting import claims, results
from repro.reporting.results import Run


def counted(paper: str, runs: Iterable[Run]) -> list[Run]:
    """Return the runs that figures are about, and all claims that do not ask for more.

    Those that diverged are left out where the paper's figures leave them out.
    """
    if not papers.module(paper, "figures").WITHOUT_DIVERGED:
        return list(runs)
    return [run for run in runs if run.result.get("status") != "diverged"]


def record(
    name: str,
    title: str,
    ids: Sequence[str],
    scale: str,
    runs: Sequence[Run],
    everywhere: Sequence[Run],
) -> dict:
    """Judge the claims of a figure, and return what is kept of them beside its picture.

    Args:
      name: of the figure, as `paper/figure`.
      title: of the figure.
      ids: its claims.
      scale: of its runs.
      runs: of the figure, those that diverged among them.
      everywhere: all runs of the paper, for claims that look at them.
    """
    paper = name.split("/")[0]
    known = papers.claims(paper)
    drawn, others = counted(paper, runs), counted(paper, everywhere)

    def judge(claim: claims.Claim) -> dict:
        seen = (runs, scale, everywhere) if claim.diverged else (drawn, scale, others)
        return claims.judge([claim], *seen)[0]

    return {
        "title": title,
        "name": name,
        "scale": scale,
        "runs": len(drawn),
        "protocol": results.protocol(drawn),
        "claims": [judge(known[id_]) for id_ in ids],
    }
