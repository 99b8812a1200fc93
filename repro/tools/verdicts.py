"""What tools/reproduce writes of a figure's claims, and tools/report of runs that go on."""

from collections.abc import Iterable, Sequence

from repro import papers
from repro.reporting import claims, results
from repro.reporting.results import Run


def counted(paper: str, runs: Iterable[Run]) -> list[Run]:
    """Return the runs that figures and claims are about.

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
      runs: of the figure, see `counted`.
      everywhere: all runs of the paper, for claims that look at them.
    """
    known = papers.claims(name.split("/")[0])
    return {
        "title": title,
        "name": name,
        "scale": scale,
        "runs": len(runs),
        "protocol": results.protocol(runs),
        "claims": claims.judge([known[id_] for id_ in ids], runs, scale, everywhere),
    }
