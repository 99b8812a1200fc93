"""The claims of Gotmare et al. 2018, and of works it rests on or led to, by their numbers."""

from repro.mode_connectivity.claims import (
    along_curves,
    averages,
    convexity,
    curves,
    definitions,
    instability,
    landscape,
    minima,
    trajectories,
)
from repro.reporting.claims import Main

_PARTS = (
    definitions,
    curves,
    trajectories,
    landscape,
    minima,
    averages,
    convexity,
    instability,
    along_curves,
)
_FOUND = {claim.id: claim for part in _PARTS for claim in part.CLAIMS}
CLAIMS = {f"M{number}": _FOUND[f"M{number}"] for number in range(1, len(_FOUND) + 1)}
MAIN = Main(
    "M5",
    "Networks that were trained in different ways are joined by a curve along "
    "which all networks are about as accurate as its ends.",
    "a picture; at most 1.2 points lost in a similar table",
)
