"""What tables and claims take from runs that say whether points are minima."""

from collections.abc import Sequence

from repro.reporting.results import Run, select

ITERATES = ("70", "150")  # epochs after which SGDR restarts, of which the paper speaks


def iterates(runs: Sequence[Run]) -> list[Run]:
    """Return the trainings by SGDR whose iterates were looked at, by seed."""
    chosen = select(runs, stage="endpoint", mode="sgdr")
    looked_at = [run for run in chosen if "criticality_of_iterates" in run.result]
    return sorted(looked_at, key=lambda run: run.settings["seed"])
