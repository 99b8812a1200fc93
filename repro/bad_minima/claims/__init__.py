"""The claims of Liu et al. 2020, and of its JAX rerun, that runs are judged by."""

from repro.bad_minima.claims import (
    combinations,
    departures,
    gaps,
    initial,
    minima,
    norms,
    starts,
    sweeps,
)
from repro.reporting.claims import Main

_PARTS = (starts, gaps, combinations, norms, sweeps, departures, minima, initial)
_ALL = [claim for part in _PARTS for claim in part.CLAIMS]
CLAIMS = {claim.id: claim for claim in sorted(_ALL, key=lambda claim: int(claim.id[1:]))}
MAIN = Main(
    "B6",
    "From weights fitted to random labels, plain stochastic gradient descent ends"
    " at test accuracies far below those from random weights.",
    "up to about 40 points lower",
)
