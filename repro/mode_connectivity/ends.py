"""Whether what curves and planes lie between was trained to its end."""

from collections.abc import Sequence

from repro.mode_connectivity.names import EPOCHS
from repro.reporting.claims import ended
from repro.reporting.results import Run


def unfinished(runs: Sequence[Run]) -> str:
    """Say that modes were cut short: fewer epochs than the paper's, and not fitted; else empty.

    The iterates of a trajectory before its end fit less by nature, so that of them the epochs of
    the whole training count alone.
    """
    short = [run for run in runs if not ended(_fitted(run), run.settings["epoch_scale"] >= 1)]
    if not short:
        return ""
    epochs = round(EPOCHS * min(run.settings["epoch_scale"] for run in short))
    return f"cut short: modes had {epochs} of the paper's {EPOCHS} epochs"


def _fitted(run: Run) -> float | None:
    """Return the lower train accuracy of the two modes at a path's ends; None where not known."""
    ends = str(run.settings.get("from")), str(run.settings.get("to"))
    if run.settings["stage"] not in ("evaluate", "instability") or any("@" in end for end in ends):
        return None
    errors = run.arrays()["train_error"]
    return float(1 - max(errors[0], errors[-1]))
