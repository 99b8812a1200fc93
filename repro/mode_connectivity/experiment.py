"""Curves between networks, by stages; each makes the runs it needs beside its own, or finds them.

* endpoint     trains one mode: G, or a variant of it.
* curve        trains a curve --from one point --to another.
* evaluate     measures along curve and segment, at several epochs of the curve's training.
* ensemble     lets networks along a curve vote.
* plane        measures on the plane of both ends and the curve's bend, and projects the trajectory.
* slice        measures along random or principal directions through a point.
* study        takes the six curves from G: t-SNE, and the 21 pairs of modes connected through G.
* instability  measures between two trainings that were one until an epoch.

All epochs are the paper's: --epoch_scale=0.2 trains a fifth of them and scales every schedule
alike, and names stay. What the paper leaves open is a flag; README.md has defaults and reasons.
"""

from repro.mode_connectivity import (
    curve,
    endpoint,
    ensemble,
    evaluate,
    instability,
    opening,
    planes,
    slices,
    study,
)
from repro.mode_connectivity.mode_settings import Modes
from repro.training.runs import Job

STAGES = {
    "endpoint": endpoint.run,
    "curve": curve.run,
    "evaluate": evaluate.run,
    "ensemble": ensemble.run,
    "plane": planes.run,
    "slice": slices.run,
    "study": study.run,
    "instability": instability.run,
}
open_run = opening.open_run


def run(settings: Modes, job: Job) -> dict:
    """Go through one stage and return its result."""
    return STAGES[settings.stage](settings, job)
