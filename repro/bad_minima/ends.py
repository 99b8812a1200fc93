"""Which ends of runs were looked at, and what was found: runs with --curvature_at_end."""

from collections.abc import Sequence

from repro.bad_minima.measures import of
from repro.reporting.results import Run

# measure of the end -> what it is called, and its value
FLATNESS = {
    "sharpness": ("largest\neigenvalue", lambda run: run.result["criticality"]["largest"]),
    **{
        name: (label, lambda run, name=name: run.result["flatness"][name]["value"])
        for name, label in {
            "m_sharpness": "m-sharpness",
            "m_sharpness_5_steps": "m-sharpness,\nfive steps",
            "adaptive": "adaptive",
            "adaptive_5_steps": "adaptive,\nfive steps",
        }.items()
    },
}


def looked_at(runs: Sequence[Run], init: str, *, sam: bool = False) -> list[Run]:
    """Return the vanilla runs from a start, by SGD or SAM, whose end was looked at, by seed."""
    rhos = {run.settings.get("sam_rho") for run in runs}
    return [
        run
        for rho in sorted(rhos, key=lambda rho: rho or 0.0)
        if bool(rho) == sam
        for run in of(runs, "vanilla", init, sam_rho=rho, curvature_at_end=True)
        if "flatness" in run.result
    ]
