"""The claims of Gotmare et al. 2018, and of works it rests on or led to, by their numbers."""

from repro.mode_connectivity.claims import curves, definitions, landscape, trajectories

_PARTS = (definitions, curves, trajectories, landscape)
_FOUND = {claim.id: claim for part in _PARTS for claim in part.CLAIMS}
CLAIMS = {f"M{number}": _FOUND[f"M{number}"] for number in range(1, len(_FOUND) + 1)}
MAIN = "M5"  # the claim that stands for the work
