"""What figures, tables and claims take from trainings: their iterates, and those put together."""

from collections.abc import Sequence

from repro.reporting.results import Run, select

ITERATES = ("70", "150")  # epochs after which SGDR restarts, of which the paper speaks


def iterates(runs: Sequence[Run]) -> list[Run]:
    """Return the trainings by SGDR whose iterates were looked at, by seed."""
    chosen = select(runs, stage="endpoint", mode="sgdr")
    looked_at = [run for run in chosen if "criticality_of_iterates" in run.result]
    return sorted(looked_at, key=lambda run: run.settings["seed"])


def gains(runs: Sequence[Run], mode: str) -> list[tuple[Run, float, list[float]]]:
    """Return trainings by swa or fge, by seed, with what their networks gain together.

    Rows are (run, validation accuracy of the average or the ensemble, those of its members).
    """
    name = {"swa": "average_test_accuracy", "fge": "ensemble_test_accuracy"}[mode]
    chosen = [
        run
        for run in select(runs, stage="endpoint", mode=mode)
        if "member_test_accuracies" in run.result
    ]
    chosen.sort(key=lambda run: run.settings["seed"])
    return [(run, run.result[name], run.result["member_test_accuracies"]) for run in chosen]


def instabilities(runs: Sequence[Run], quantity: str) -> dict[int, list[tuple[Run, float]]]:
    """Return how far errors rise between two trainings that were one until an epoch.

    Args:
      runs: of any stage.
      quantity: `train_error` or `test_error`.

    Returns:
      epoch of the fork, rising -> (run, points over the mean of the ends), by seed.
    """
    chosen = sorted(
        select(runs, stage="instability"),
        key=lambda run: (run.settings["fork"], run.settings["seed"]),
    )
    found: dict[int, list[tuple[Run, float]]] = {}
    for run in chosen:
        rise = 100 * run.result["instability"][quantity]
        found.setdefault(run.settings["fork"], []).append((run, rise))
    return found
